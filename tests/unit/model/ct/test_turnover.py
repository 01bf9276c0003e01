"""What comes and goes is told the same of two looks kept small as of two whole samples."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ctconsole.model.ct.changes import KeyedTable, changes_between
from ctconsole.model.ct.turnover import Headcount, Turnover, turnover_between
from tests.support.fakes import CT4, EPOCH, NOW, FakeSource, random_table


def test_two_looks_tell_what_two_samples_tell() -> None:
    whole = random_table(FakeSource().rows[CT4].info, 3000)
    later = replace(whole.take(slice(500, None)), taken_at=EPOCH + 4, now=NOW + 4)
    older, newer = whole.take(slice(0, 2900)), later
    changes = changes_between(KeyedTable(older), KeyedTable(newer))
    assert changes
    turnover = turnover_between(Headcount.of(older), Headcount.of(newer), newer)
    assert turnover == Turnover.of(changes)
    assert (turnover.new, turnover.gone) == (25.0, 125.0)
    gone = older.take(np.arange(len(older)) < 500)
    living = int(np.count_nonzero(gone.values["lifetime"] > newer.now))
    assert turnover.evicted == pytest.approx(living / 4)


def test_looks_at_two_maps_or_at_one_moment_are_not_compared() -> None:
    table = random_table(FakeSource().rows[CT4].info, 100)
    other = replace(table, info=replace(table.info, id=1), taken_at=EPOCH + 1)
    assert turnover_between(Headcount.of(table), Headcount.of(other), other) is None
    assert turnover_between(Headcount.of(table), Headcount.of(table), table) is None


def test_without_a_clock_nobody_knows_what_was_evicted() -> None:
    table = random_table(FakeSource().rows[CT4].info, 100)
    newer = replace(table.take(slice(0, 50)), taken_at=EPOCH + 2, now=0)
    turnover = turnover_between(Headcount.of(table), Headcount.of(newer), newer)
    assert turnover
    assert (turnover.gone, turnover.evicted) == (25.0, None)
