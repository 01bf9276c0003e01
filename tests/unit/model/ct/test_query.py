from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctconsole.errors import UsageError
from ctconsole.model.ct.layout import CtFlag, IpProtocol
from ctconsole.model.ct.query import Query
from tests.support.ct_tables import Entry, ct_table

TABLE = ct_table(
    Entry(source="10.0.1.1:40000", destination="10.0.2.2:443", bytes=2_000_000, rx=5, tx=5),
    Entry(source="10.0.1.2:40001", destination="10.0.2.2:80", flags=0, rx=None, tx=50, left=9),
    Entry(source="10.0.3.1:5353", destination="8.8.8.8:53", protocol=IpProtocol.UDP, left=-3),
    Entry(source="10.0.1.1:1234", destination="10.96.0.1:443", tuple_flags=4, rev_nat=3, backend=7),
    Entry(source="192.168.0.1:9", destination="10.0.1.1:80", tuple_flags=1, flags=0x10 | 0x80),
)


def found(text: str) -> list[int]:
    return [int(row) for row in np.flatnonzero(Query.parse(text).rows(TABLE))]


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("", [0, 1, 2, 3, 4]),
        ("proto:tcp", [0, 1, 3, 4]),
        ("!proto:tcp", [2]),
        ("proto:17", [2]),
        ("dport:443", [0, 3]),
        ("dport:50-100", [1, 2, 4]),
        ("dport:80,53", [1, 2, 4]),
        ("port<100", [1, 2, 4]),
        ("src:10.0.0.0/8", [0, 1, 2, 3]),
        ("src:10.0.1.0/24 !dport:443", [1]),
        ("dst:10.96.0.1", [3]),
        ("ip:10.0.1.1", [0, 3, 4]),
        ("10.0.1.1 443", [0, 3]),
        ("state:syn", [1]),
        ("state:dead", [2]),
        ("alive", [0, 1, 3, 4]),
        ("closing", []),
        ("dir:svc", [3]),
        ("in", [4]),
        ("flag:dsr", [4]),
        ("flag:seen_non_syn", [0, 2, 3, 4]),
        ("left<30s", [1, 2]),
        ("left>=5m", [0, 3, 4]),
        ("idle>30", [1]),
        ("bytes>1M", [0]),
        ("packets<=4", [0, 1, 2, 3, 4]),
        ("backend:7 revnat=3", [3]),
        ("src:fd00::/8", []),
        ("risk:dead", [2]),
        ("risk:at-risk", [3]),  # its service is not known
        ("risk:breaks,dead !dead", [4]),
    ],
)
def test_filters_choose_rows(text: str, rows: list[int]) -> None:
    assert found(text) == rows


def test_ipv6_networks_are_cut_at_any_bit() -> None:
    table = ct_table(
        Entry(source="[fd00:1::1]:1", destination="[fd00::ff]:80"),
        Entry(source="[fd00:2::1]:1", destination="[fd00::ff]:80"),
    )
    assert list(Query.parse("src:fd00:1::/31").rows(table)) == [True, False]
    assert list(Query.parse("src:fd00:2::/31").rows(table)) == [False, True]
    assert list(Query.parse("fd00:2::1").rows(table)) == [False, True]
    assert list(Query.parse("10.0.0.0/8").rows(table)) == [False, False]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("dport:443 colour:red", "colour"),
        ("state:asleep", "established"),
        ("proto:tcpp", "udp"),
        ("dport:70000", "65535"),
        ("src:10.0.0", "10.0.0.0/8"),
        ("left<soon", "s, m, h, d"),
        ("proto<6", "proto:tcp"),
        ("dport:", "dport:443"),
        ("dport:90-80", "range"),
        ("nonsense", "Fields:"),
    ],
)
def test_errors_name_the_term_and_what_is_allowed(text: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        Query.parse(text)
    assert text.rsplit(maxsplit=1)[-1] in str(caught.value)
    assert said in str(caught.value)


@given(st.text(alphabet="dportsc:<>=!,.-/0123456789 abk[]m²", max_size=40))
def test_any_text_is_a_filter_or_a_usage_error(text: str) -> None:
    try:
        query = Query.parse(text)
    except UsageError:
        return
    assert query.rows(TABLE).shape == (5,)


def test_every_flag_can_be_asked_for() -> None:
    for flag in CtFlag:
        assert flag.name
        assert Query.parse(f"flag:{flag.name.lower()}")
