from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import numpy as np

from ctconsole.agent import listener
from ctconsole.agent.listener import _Follower
from ctconsole.model.packets.samples import Samples

if TYPE_CHECKING:
    import pytest


def read(records: int) -> Samples:
    """A read of so many records of 64 bytes."""
    starts = np.arange(records) * 64
    return Samples(
        np.zeros(records * 64, np.uint8),
        starts,
        np.full(records, 64),
        np.zeros(records, np.uint64),
        np.zeros(records, np.uint16),
    )


def test_who_does_not_read_is_given_so_many_bytes_and_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(listener, "BEHIND", 10 * read(10).nbytes)
    follower = _Follower()
    for _ in range(300):
        follower.take(read(10))
    reads = follower.reads(threading.Event())
    found = [next(reads) for _ in range(10)]
    assert [len(one) for one in found] == [10] * 10
    assert sum(one.lost for one in found) == 290 * 10
    follower.take(read(10))
    assert len(next(reads)) == 10


def test_one_read_is_kept_whatever_its_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "BEHIND", 1)
    follower = _Follower()
    follower.take(read(10))
    assert len(next(follower.reads(threading.Event()))) == 10
