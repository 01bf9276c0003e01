"""What came back, what broke, and what nobody knows."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ctconsole.model.ct.layout import TcpFlag
from ctconsole.model.ct.sequel import EntriesBefore, Sequel
from tests.support.ct_tables import Entry, ct_table

if TYPE_CHECKING:
    from ctconsole.model.ct.table import CtTable


def written(*entries: Entry) -> CtTable:
    """A table that a test may write into."""
    table = ct_table(*entries)
    return replace(table, keys=table.keys.copy(), values=table.values.copy())


A, B, C = (f"10.0.1.{n}:40000" for n in (1, 2, 3))


def test_what_is_there_again_is_back_and_what_is_not_is_not_known() -> None:
    before = EntriesBefore(ct_table(Entry(A), Entry(B), Entry(C, left=-5)))
    found = before.sequels(ct_table(Entry(A)))
    assert found.of.tolist() == [Sequel.BACK, Sequel.AWAY, Sequel.OVER]
    assert found.sentence == "1 of 2 are there, 1 are away: silent or gone, not known"


def test_a_reset_since_then_says_that_the_connection_broke() -> None:
    before, now = written(Entry(A), Entry(B)), written(Entry(A), Entry(B))
    before.values["rx_flags_seen"][1] = now.values["rx_flags_seen"][1] = TcpFlag.RST
    now.values["tx_flags_seen"][0] = TcpFlag.RST
    found = EntriesBefore(before).sequels(now)
    assert found.of.tolist() == [Sequel.RESET, Sequel.BACK]
    assert found.sentence == "1 of 2 are there, 1 broke"


def test_an_answer_that_is_taken_for_a_beginning_says_so() -> None:
    before, now = ct_table(Entry(A), Entry(B)), written(Entry(A), Entry(B))
    for row in (0, 1):
        key = now.keys[row].copy()
        now.keys["saddr"][row], now.keys["daddr"][row] = key["daddr"], key["saddr"]
        now.keys["sport"][row], now.keys["dport"][row] = key["dport"], key["sport"]
        now.keys["flags"][row] ^= row
    assert EntriesBefore(before).sequels(now).of.tolist() == [Sequel.REVERSED] * 2


def test_nothing_is_claimed_of_a_table_of_dead_entries() -> None:
    found = EntriesBefore(ct_table(Entry(A, left=-5))).sequels(ct_table())
    assert found.sentence == "nothing that lived was in it"
