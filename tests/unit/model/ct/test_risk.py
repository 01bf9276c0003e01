from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ctconsole.model.ct.knowledge import Knowledge, PolicyFacts, ServiceFacts, Translations
from ctconsole.model.ct.layout import CtFlag, IpProtocol, Layout
from ctconsole.model.ct.outcomes import Change, Reason, Risk
from ctconsole.model.ct.query import Query
from ctconsole.model.ct.risk import breaking, endangered, judge, returning
from tests.support import captures
from tests.support.ct_tables import Entry, ct_table

SEEN = CtFlag.SEEN_NON_SYN
SERVICE = Entry(destination="10.96.0.1:80", tuple_flags=4, rev_nat=1, backend=3, rx=None)
NO_POLICY = Knowledge(policy=PolicyFacts(never=True))


def verdict(
    entry: Entry, knowledge: Knowledge = NO_POLICY, change: Change = Change.RECREATE
) -> tuple[Risk, Reason]:
    verdicts = judge(replace(ct_table(entry), knowledge=knowledge), change)
    return Risk(verdicts.risk[0]), Reason(verdicts.reason[0])


def translated_as(entry: Entry, *, kept: bool) -> Knowledge:
    """What is known where a connection leaves translated, from its own port or from another."""
    owners = ct_table(entry).key_rows
    return replace(NO_POLICY, translated={14: Translations(owners, np.array([kept]))})


def test_a_plain_connection_comes_back_by_its_next_packet() -> None:
    assert verdict(Entry()) == (Risk.COMES_BACK, Reason.FORWARD)


def test_a_resize_touches_nothing() -> None:
    assert verdict(SERVICE, Knowledge(), Change.RESIZE) == (Risk.UNTOUCHED, Reason.NONE)


def test_what_has_expired_is_no_loss() -> None:
    entry = replace(SERVICE, left=-1)
    assert verdict(entry, Knowledge()) == (Risk.DEAD, Reason.EXPIRED)


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (ServiceFacts(3, sticky=False), (Risk.BREAKS, Reason.RANDOM_BACKEND)),
        (ServiceFacts(3, sticky=True), (Risk.COMES_BACK, Reason.ONE_BACKEND)),
        (ServiceFacts(1, sticky=False), (Risk.COMES_BACK, Reason.ONE_BACKEND)),
        (None, (Risk.AT_RISK, Reason.UNKNOWN_SERVICE)),
    ],
)
def test_a_service_breaks_when_it_may_pick_another_backend(
    facts: ServiceFacts | None, expected: tuple[Risk, Reason]
) -> None:
    knowledge = replace(NO_POLICY, services={1: facts} if facts else {})
    assert verdict(SERVICE, knowledge) == expected
    behind = Entry(destination="10.0.2.2:8080", rev_nat=1)
    assert verdict(behind, knowledge) == expected


def test_datagrams_to_a_random_service_are_only_at_risk() -> None:
    knowledge = Knowledge(services={1: ServiceFacts(2, sticky=False)})
    entry = replace(SERVICE, protocol=IpProtocol.UDP)
    assert verdict(entry, knowledge) == (Risk.AT_RISK, Reason.RANDOM_BACKEND)


@pytest.mark.parametrize(
    ("flag", "expected"),
    [
        (CtFlag.DSR, (Risk.BREAKS, Reason.DSR)),
        (CtFlag.NODE_PORT, (Risk.AT_RISK, Reason.NODE_PORT)),
        (CtFlag.LB_LOOPBACK, (Risk.AT_RISK, Reason.LOOPBACK)),
        (CtFlag.PROXY_REDIRECT, (Risk.AT_RISK, Reason.PROXY)),
        (CtFlag.FROM_L7LB, (Risk.AT_RISK, Reason.PROXY)),
        (CtFlag.FROM_TUNNEL, (Risk.AT_RISK, Reason.TUNNEL)),
    ],
)
def test_what_only_the_entry_remembers_is_missed(
    flag: CtFlag, expected: tuple[Risk, Reason]
) -> None:
    assert verdict(Entry(flags=SEEN | flag)) == expected


def test_policy_decides_about_a_server_that_speaks_first() -> None:
    pushing_in = Entry(tuple_flags=1, rx=50, tx=3)
    pushing_out = Entry(tuple_flags=0, rx=3, tx=50)
    for entry in (pushing_in, pushing_out):
        assert verdict(entry, Knowledge()) == (Risk.AT_RISK, Reason.REPLY_FIRST)
        assert verdict(entry, NO_POLICY) == (Risk.COMES_BACK, Reason.FORWARD)
    asking = Entry(tuple_flags=1, rx=3, tx=50)
    assert verdict(asking, Knowledge()) == (Risk.COMES_BACK, Reason.FORWARD)


def test_an_endpoint_that_lets_answers_through_puts_none_at_risk() -> None:
    """A pod answers through its egress policy, and hears answers through its ingress policy."""
    pushing_in = Entry(destination="10.0.1.5:80", tuple_flags=1, rx=50, tx=3)
    pushing_out = Entry(source="10.0.1.5:40000", tuple_flags=0, rx=3, tx=50)
    pod = frozenset({bytes([10, 0, 1, 5])})
    answers, hears = PolicyFacts(open_egress=pod), PolicyFacts(open_ingress=pod)
    comes_back, at_risk = (Risk.COMES_BACK, Reason.FORWARD), (Risk.AT_RISK, Reason.REPLY_FIRST)
    assert verdict(pushing_in, Knowledge(policy=answers)) == comes_back
    assert verdict(pushing_in, Knowledge(policy=hears)) == at_risk
    assert verdict(pushing_out, Knowledge(policy=hears)) == comes_back
    assert verdict(pushing_out, Knowledge(policy=answers)) == at_risk


def test_a_quiet_connection_is_at_risk_where_policy_is_not_known_to_be_off() -> None:
    quiet = Entry(rx=100, tx=100)
    assert verdict(quiet, Knowledge()) == (Risk.AT_RISK, Reason.QUIET)
    assert verdict(quiet, NO_POLICY) == (Risk.COMES_BACK, Reason.FORWARD)


def test_related_errors_are_judged_by_policy() -> None:
    entry = Entry(protocol=IpProtocol.ICMP, tuple_flags=2)
    assert verdict(entry, Knowledge()) == (Risk.AT_RISK, Reason.RELATED)


def test_only_a_flush_takes_the_translation_along() -> None:
    knowledge = translated_as(Entry(), kept=False)
    assert verdict(Entry(), knowledge, Change.FLUSH) == (Risk.BREAKS, Reason.SNAT)
    assert verdict(Entry(), knowledge, Change.RECREATE) == (Risk.COMES_BACK, Reason.FORWARD)


def test_a_port_that_was_kept_is_given_again_unless_the_outside_speaks_first() -> None:
    knowledge = translated_as(Entry(), kept=True)
    assert verdict(Entry(), knowledge, Change.FLUSH) == (Risk.AT_RISK, Reason.SNAT_KEPT)


@pytest.mark.parametrize(
    ("kept", "outcome"),
    [(False, (Risk.AT_RISK, Reason.SNAT)), (True, (Risk.COMES_BACK, Reason.FORWARD))],
)
def test_nobody_resets_a_datagram(kept: bool, outcome: tuple[Risk, Reason]) -> None:  # noqa: FBT001 - a table's column
    asking = Entry(protocol=IpProtocol.UDP)
    assert verdict(asking, translated_as(asking, kept=kept), Change.FLUSH) == outcome


def test_a_closing_connection_needs_no_backend_any_more() -> None:
    knowledge = replace(NO_POLICY, services={1: ServiceFacts(3, sticky=False)})
    entry = replace(SERVICE, flags=SEEN | CtFlag.RX_CLOSING | CtFlag.TX_CLOSING, left=9)
    assert verdict(entry, knowledge)[0] is Risk.COMES_BACK


@pytest.mark.parametrize("folder", captures.FOLDERS)
def test_captures_are_judged_whole(folder: str) -> None:
    for table in captures.tables(folder):
        verdicts = judge(table, Change.FLUSH)
        assert sum(count for _, _, count in verdicts.reasons()) == len(table)
        picked = verdicts.risk[table.service & table.alive & ~table.closing]
        assert (picked >= Risk.AT_RISK).all()


def test_layouts_are_judged_alike() -> None:
    knowledge = replace(NO_POLICY, services={1: ServiceFacts(2, sticky=False)})
    old, new = (
        judge(
            replace(ct_table(SERVICE, Entry(), layout=layout), knowledge=knowledge), Change.RECREATE
        )
        for layout in (Layout.V1_9, Layout.V1_18)
    )
    assert list(old.risk) == list(new.risk) == [Risk.BREAKS, Risk.COMES_BACK]


_MARKED = [
    int(SEEN | flag)
    for flag in (CtFlag.DSR, CtFlag.NODE_PORT, CtFlag.FROM_TUNNEL, CtFlag.PROXY_REDIRECT)
]


@pytest.mark.parametrize("change", [Change.RECREATE, Change.FLUSH])
def test_each_risk_is_told_alone_as_it_is_among_everything(change: Change) -> None:
    random = np.random.default_rng(3)
    entries = [
        Entry(
            protocol=int(random.choice([6, 6, 17])),
            tuple_flags=int(random.choice([0, 1, 3, 4])),
            rev_nat=int(random.choice([0, 0, 1, 2, 3])),
            flags=int(random.choice([0x10, 0x10, 0, 0x13, *_MARKED])),
            left=int(random.choice([-5, 5, 300])),
            rx=(None, 20, 40, 200)[random.integers(4)],
            tx=(None, 20, 40, 200)[random.integers(4)],
        )
        for _ in range(500)
    ]
    services = {1: ServiceFacts(3, sticky=False), 2: ServiceFacts(1, sticky=False)}
    table = replace(ct_table(*entries), knowledge=Knowledge(services=services))
    risks = judge(table, change).risk
    for risk, alone in (
        (Risk.BREAKS, breaking),
        (Risk.AT_RISK, endangered),
        (Risk.COMES_BACK, returning),
    ):
        has = risks == risk
        assert has.any()
        assert (alone(table, change) == has).all()
        if change is Change.RECREATE:
            assert (Query.parse(f"risk:{risk.word}").rows(table) == has).all()


def test_of_several_verdicts_the_worst_counts_and_the_first_rule_of_equally_bad_ones() -> None:
    def random_service(flags: CtFlag = SEEN, left: int = 300) -> Entry:
        return Entry(protocol=6, tuple_flags=4, rev_nat=1, flags=int(SEEN | flags), left=left)

    table = replace(
        ct_table(
            random_service(),
            random_service(CtFlag.DSR),
            random_service(CtFlag.DSR, left=-1),
            Entry(protocol=17, tuple_flags=1, flags=int(CtFlag.DSR | CtFlag.FROM_TUNNEL)),
            Entry(protocol=17, tuple_flags=1, flags=int(CtFlag.PROXY_REDIRECT | CtFlag.NODE_PORT)),
        ),
        knowledge=Knowledge(services={1: ServiceFacts(3, sticky=False)}),
    )
    verdicts = judge(table, Change.RECREATE)
    assert [Reason(code) for code in verdicts.reason] == [
        Reason.RANDOM_BACKEND,
        Reason.RANDOM_BACKEND,
        Reason.EXPIRED,
        Reason.DSR,
        Reason.NODE_PORT,
    ]
