"""The other entries of a connection, and the entry put into words."""

from __future__ import annotations

import json

import numpy as np
import pytest

from ctconsole.model.ct.related import in_a_line, related, with_state
from ctconsole.model.listing.copied import copied_json, copied_text, tcpdump_filter
from tests.support.ct_tables import Entry, ct_table

CLIENT, SERVICE, BACKEND = "10.0.1.1:40000", "172.20.0.10:80", "10.0.2.2:8080"
SERVED = ct_table(
    Entry(CLIENT, SERVICE, tuple_flags=4, rev_nat=7, backend=3),
    Entry(CLIENT, BACKEND, rev_nat=7),
    Entry("10.0.1.1:40001", BACKEND, rev_nat=7),
    Entry(CLIENT, BACKEND, tuple_flags=1),
    Entry(CLIENT, "10.0.9.9:53", protocol=17),
    Entry(BACKEND, CLIENT),
)


@pytest.mark.parametrize(
    ("row", "others"), [(0, [1]), (1, [0, 3, 5]), (2, []), (3, [1, 5]), (4, [])]
)
def test_a_connection_has_other_entries(row: int, others: list[int]) -> None:
    assert related(SERVED, row).tolist() == others


def test_an_entry_is_said_in_a_line() -> None:
    one = SERVED.take(slice(0, 1))
    assert in_a_line(one) == f"TCP {CLIENT} -> {SERVICE}, client to service"
    assert with_state(one).endswith("backend 3")


def test_an_entry_is_copied_as_text_and_as_json() -> None:
    one = SERVED.take(slice(1, 2))
    text = copied_text(one)
    assert f"TCP {CLIENT} -> {BACKEND}" in text
    assert "if flushed" in text
    assert one.keys[0].tobytes().hex(" ", -4) in text
    told = json.loads(copied_json(one))
    assert (told["source"], told["rev_nat"]) == ("10.0.1.1", 7)


def test_a_filter_for_tcpdump_takes_both_ways() -> None:
    assert tcpdump_filter(SERVED.take(slice(4, 5))) == (
        "udp and ((src host 10.0.1.1 and src port 40000 and dst host 10.0.9.9 and dst port 53)"
        " or (src host 10.0.9.9 and src port 53 and dst host 10.0.1.1 and dst port 40000))"
    )
    echo = ct_table(Entry("10.0.1.1:1", "10.0.2.2:0", protocol=1))
    assert tcpdump_filter(echo) == "icmp and host 10.0.1.1 and host 10.0.2.2"
    other = ct_table(Entry("10.0.1.1:0", "10.0.2.2:0", protocol=47))
    assert tcpdump_filter(other) == "ip proto 47 and host 10.0.1.1 and host 10.0.2.2"


def test_looking_for_them_does_not_depend_on_the_order_of_rows() -> None:
    turned = SERVED.take(np.arange(len(SERVED))[::-1])
    assert related(turned, len(SERVED) - 2).tolist() == [0, 2, 5]
