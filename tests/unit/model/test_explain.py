"""What operators ask, answered from inputs as they have them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ctconsole.model.advice import Watched, advise
from ctconsole.model.ct.clock import ClockSource
from ctconsole.model.event import Event, EventKind
from ctconsole.model.explain.answer import many, sentence
from ctconsole.model.explain.facts import ContentTally, Known, TableKnown
from ctconsole.model.explain.log import LogFacts, told
from ctconsole.model.explain.questions import QUESTIONS, asked
from ctconsole.model.explain.texts import TextFacts, read_text
from ctconsole.model.spec import MapInfo, MapType
from tests.support.fakes import EPOCH, map_info, random_table

if TYPE_CHECKING:
    from ctconsole.model.fill import Trend

CASES = Path(__file__).parents[2] / "data" / "cases"
CT4 = map_info(7, "cilium_ct4_global", MapType.LRU_HASH, (14, 56), 524_288)


def answer(key: str, known: Known) -> str:
    """All sentences of an answer in one text."""
    [question] = asked((key,))
    return ". ".join(question.answer(known).sentences)


def unknown(key: str, known: Known) -> str:
    [question] = asked((key,))
    return ". ".join(question.answer(known).unknown)


def texts(name: str) -> TextFacts:
    """What a file of the cases tells."""
    [file] = CASES.glob(f"{name}-*")
    facts = TextFacts()
    [_] = read_text([file.read_bytes()], facts)
    return facts


def table(trend: Trend, info: MapInfo = CT4, rows: int = 0) -> TableKnown:
    """A table with a past, and with entries where rows are asked for."""
    found = TableKnown("", info, trend[-1][1], advise(Watched(info, trend, cpus=2)))
    if not rows:
        return found
    tally = ContentTally()
    tally.add(random_table(info, rows))
    return replace(found, content=tally.content(), tops=tally.tops(3), ports=tally.ports(3))


def full_since(minutes: int) -> Trend:
    first = EPOCH - 600
    return tuple((first + 60 * n, 524_200 if n >= 10 - minutes else 100_000 + n) for n in range(11))


def test_a_full_table_is_told_since_when() -> None:
    known = Known(live=True, tables=(table(full_since(4)),), now=EPOCH)
    assert "524,200 of 524,288 entries: full: it throws entries out" in answer("full", known)
    assert "(4m ago)" in answer("full", known)


def test_one_that_was_never_seen_otherwise_is_full_for_as_long_as_it_is_counted() -> None:
    known = Known(live=True, tables=(table(full_since(10)),), now=EPOCH)
    assert "full for as long as it is counted" in answer("full", known)
    assert "10m ago" in answer("full", known)


def test_what_lives_what_closes_and_who_has_most_is_counted() -> None:
    one = table(((EPOCH, 4000),), rows=4000)
    known = Known(live=True, tables=(one,), now=EPOCH)
    assert one.content is not None
    kinds = one.content.stats.kinds
    assert f"{kinds.expired:,} have expired" in answer("full", known)
    assert f"{kinds.expired:,} (" in answer("stays", known)
    assert "wait for the garbage collector" in answer("stays", known)
    assert "most by source: 10.244." in answer("who", known)
    assert "most by port: " in answer("who", known)
    assert "nothing at hand tells names" in unknown("who", known)
    assert "when the garbage collector runs" in unknown("stays", known)


def test_names_stand_beside_addresses() -> None:
    one = table(((EPOCH, 4000),), rows=4000)
    assert one.tops is not None
    top = one.tops.sources[0]
    named = replace(one, names={top.address: "shop/web-1"})
    known = Known(live=True, tables=(named,), now=EPOCH)
    assert "most by source: shop/web-1 (10.244." in answer("who", known)


def test_several_nodes_are_told_apart() -> None:
    one = table(((0.0, 100),))
    nodes = (replace(one, node="a"), replace(one, node="b", entries=700))
    assert "by node: b 700, a 100" in answer("who", Known(live=False, tables=nodes))


def test_the_collector_is_part_of_why_nothing_goes() -> None:
    known = Known(live=True, gc_interval=43_200.0, gc_last=EPOCH - 7200, gc_deleted=5, now=EPOCH)
    assert "(2h ago) and deleted 5. it runs every 12h" in answer("stays", known)


def test_dynamic_sizing_is_named_as_the_cause_with_the_memory() -> None:
    facts = texts("62")
    told_of = answer("recreated", Known(live=False, log=facts.log))
    assert "at a time that is not told: cilium_ct4_global from 260,580 to 263,725" in told_of
    assert "follows the node's memory, which was 27.7 GiB and is 28.0 GiB" in told_of
    assert "carry no time" in unknown("recreated", Known(live=False, log=facts.log))


def test_each_of_several_restarts_has_its_day_and_its_cause() -> None:
    facts = texts("69")
    assert facts.log is not None
    assert [(one.old, one.new) for one in facts.log.recreations] == [
        ("260580", "263725"),
        ("263725", "260580"),
        ("260580", "263725"),
    ]
    told_of = answer("recreated", Known(live=False, log=facts.log))
    for day in ("2024-05-01", "2024-05-08", "2024-05-15"):
        assert day in told_of
    assert "which was 28.0 GiB and is 27.7 GiB, 341.9 MiB less" in told_of


def recreated(**fields: str | int) -> str:
    facts = LogFacts()
    pin = "/sys/fs/bpf/tc/globals/cilium_ct4_global"
    facts.take(Event(EPOCH, EventKind.MAP_MISMATCH, "agent-log", pin, "mismatch", fields=fields))
    return told(facts.recreations[0])


@pytest.mark.parametrize(
    ("what", "old", "new", "cause"),
    [
        ("Flags", "0", "2", "distributed LRU (bpf-distributed-lru) was switched on"),
        ("Flags", "1", "0", "preallocation (preallocate-bpf-maps) was switched on"),
        ("Value-size", 48, 56, "another release has other keys or values"),
        ("Max entries", 1024, 2048, "has become 2048; the log does not tell who set it"),
    ],
)
def test_other_causes_are_told_by_what_differs(
    what: str, old: str | int, new: str | int, cause: str
) -> None:
    assert recreated(property=what, old=old, new=new).endswith(cause)


def test_an_option_that_was_changed_is_the_cause() -> None:
    facts = LogFacts()
    option = {"old": "1024", "new": "2048"}
    name = "bpf-ct-global-tcp-max"
    facts.take(Event(1.0, EventKind.AGENT_OPTION, "log", name, "--x changed", fields=option))
    differs = {"property": "Max entries", "old": "1024", "new": "2048"}
    facts.take(
        Event(2.0, EventKind.MAP_MISMATCH, "log", "/x/cilium_ct4_global", "m", fields=differs)
    )
    assert facts.recreations[0].cause == f"{name} was changed from 1024 to 2048"


def test_the_kernels_error_tells_contention_from_a_full_table() -> None:
    known = Known(live=False, drops=texts("80").drops)
    assert '1 time the kernel said "Device or resource busy"' in answer("insertion", known)
    assert "contention, not a full table" in answer("insertion", known)


def test_counters_have_no_error_and_that_is_said() -> None:
    facts = texts("78")
    known = Known(live=False, drops=facts.drops, pressure=facts.pressure)
    assert "14,077 drops, without the kernel's error" in answer("insertion", known)
    assert "ct4_global is 97.3% full" in answer("insertion", known)
    assert "the kernel's error" in unknown("insertion", known)


def test_drop_counters_of_the_tool_are_added_up() -> None:
    assert texts("49").drops["CT: Map insertion failed", ""] == 15_321 + 17


def test_a_status_tells_clock_ratio_and_sizes() -> None:
    facts = texts("79")
    assert facts.clock == ClockSource("jiffies", 250)
    assert facts.ratio == 0.0025
    known = Known(live=False, clock=facts.clock, sizes=facts.sizes[""], ratio=facts.ratio)
    assert "one is 1.024 s at HZ 250" in answer("expires", known)
    assert (
        "cilium_ct4_global was made for 287,994 entries, which bpf-map-dynamic-size-ratio 0.0025 "
        "gives a node of 30.6 GiB"
    ) in answer("size", known)


def test_zeros_are_not_counted_where_accounting_is_off() -> None:
    known = Known(live=True, accounting=False)
    assert "bpf-conntrack-accounting is off" in answer("zero", known)


def test_counts_that_are_there_are_told() -> None:
    known = Known(live=True, tables=(table(((EPOCH, 500),), rows=500),))
    assert "they are not all zero" in answer("zero", known)
    assert "services' entries, which never count" in answer("zero", known)


def test_without_any_fact_every_question_says_what_it_lacks() -> None:
    for question in QUESTIONS:
        found = question.answer(Known(live=False))
        assert found.unknown, question.key
        assert not found.rests_on, question.key


def test_a_pinned_map_that_the_node_does_not_work_with_is_no_answer() -> None:
    fresh = table(((EPOCH - 60, 0), (EPOCH, 40)), rows=40)
    used = "older map 549, replaced 11:02:31, in use by 12 programs (cil_from_conta)"
    known = Known(live=True, tables=(fresh,), older={CT4.label: used})
    assert f"{CT4.label} is not the map that the node works with: {used}" in answer("full", known)
    assert "as it should be" not in answer("size", known)
    assert "not full" not in answer("insertion", known)
    for key in ("full", "stays", "who", "insertion", "zero", "size"):
        assert f"{CT4.label}: what is in the map that the node works with" in unknown(key, known)


def test_a_text_of_no_form_is_none() -> None:
    assert read_text([b"hello\nworld\n"], TextFacts()) == []
    assert read_text([b'[{"key": ["0x01"]}, "Clock Source for BPF: ktime"]'], TextFacts()) == []


def test_lines_of_several_forms_in_one_text_are_all_taken() -> None:
    log, counters, status = (
        next(CASES.glob(f"{number}-*")).read_bytes() for number in ("62", "49", "79")
    )
    facts = TextFacts()
    names = read_text([b"# kubectl exec\n", status, b"\n", counters, log[:100], log[100:]], facts)
    assert names == ["an agent's status", "the tool's drop counters", "an agent's log"]
    assert facts.log is not None
    assert facts.log.recreations
    assert facts.drops["CT: Map insertion failed", ""] == 15_338
    assert facts.clock is not None


def test_a_log_that_tells_nothing_is_still_one() -> None:
    facts = TextFacts()
    assert read_text([b'level=info msg="Policy imported" subsys=policy\n'], facts) == [
        "an agent's log"
    ]
    assert facts.log is not None


def test_words() -> None:
    assert (many(1, "entry", "entries"), many(2, "drop")) == ("1 entry", "2 drops")
    assert sentence("it runs") == "It runs"
    assert sentence("cilium_ct4_global is full") == "cilium_ct4_global is full"
