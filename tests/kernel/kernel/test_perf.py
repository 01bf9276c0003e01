"""Perf event arrays: every record arrives, and those that cannot are counted."""

from __future__ import annotations

import os
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import pytest

from ctconsole.errors import UsageError
from ctconsole.kernel import clock, mapwrite, pins
from ctconsole.kernel.maps import possible_cpus
from ctconsole.kernel.perf import PerfReader
from ctconsole.kernel.programs import load_program, run_program
from ctconsole.model.spec import MapSpec, MapType
from tests.support.bpf_insns import emitting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ctconsole.kernel.gate import Gate

RECORD = 64
PACKET = bytes(64)


@contextmanager
def events(gate: Gate, bpffs: Path) -> Iterator[tuple[Path, Callable[[int], None]]]:
    """An array's pin, and what writes so many records into it from one CPU."""
    spec = MapSpec("cilium_events", MapType.PERF_EVENT_ARRAY, 4, 4, possible_cpus())
    with mapwrite.create(gate, spec) as live:
        pins.pin(gate, live, bpffs / spec.name)
        program = load_program(gate, emitting(live.writable_fd(gate), RECORD))
    try:
        yield bpffs / spec.name, lambda count: run(program, count)
    finally:
        os.close(program)


def run(program: int, count: int) -> None:
    run_program(program, PACKET, repeat=count)


def test_a_record_arrives_whole_with_its_time_and_cpu(gate: Gate, bpffs: Path) -> None:
    with events(gate, bpffs) as (path, emit), PerfReader(gate, path) as reader:
        before = clock.ktime()
        emit(2)
        found = reader.read(timeout=0.01)
        assert len(found) == 2
        assert np.frombuffer(found.record(1)[:RECORD], "u8").tolist() == list(range(8, 0, -1))
        assert before <= int(found.times[0]) / 1e9 < int(found.times[1]) / 1e9 < before + 60
        assert set(found.cpus.tolist()) <= set(reader.cpus)
        assert not len(reader.read())


def test_a_hundred_thousand_records_at_a_hundred_thousand_a_second(gate: Gate, bpffs: Path) -> None:
    with events(gate, bpffs) as (path, emit), PerfReader(gate, path) as reader:
        done, counts = threading.Event(), []

        def follow() -> None:
            while not done.is_set():
                counts.append(len(reader.read(timeout=0.005)))
            counts.append(len(reader.read()))

        thread = threading.Thread(target=follow)
        thread.start()
        started = time.monotonic()
        for sent in range(1000, 101_000, 1000):
            emit(1000)
            time.sleep(max(0.0, started + sent / 100_000 - time.monotonic()))
        done.set()
        thread.join()
        assert (sum(counts), reader.lost) == (100_000, 0)


def test_what_does_not_fit_is_counted(gate: Gate, bpffs: Path) -> None:
    with events(gate, bpffs) as (path, emit), PerfReader(gate, path, pages=1) as reader:
        emit(1000)
        first = reader.read()
        assert 0 < len(first) < 4096 // RECORD
        assert len(first) + first.lost == 1000
        emit(1)
        second = reader.read()
        assert (len(second), second.lost, reader.lost) == (1, 0, first.lost)


def test_records_that_wrap_around_the_end_of_the_ring(gate: Gate, bpffs: Path) -> None:
    with events(gate, bpffs) as (path, emit), PerfReader(gate, path, pages=1) as reader:
        for _ in range(100):
            emit(7)
            found = reader.read()
            assert [found.record(n)[:8] for n in range(len(found))] == [
                (8).to_bytes(8, "little")
            ] * 7
        assert reader.lost == 0


def test_a_reader_that_leaves_leaves_the_slots_empty(gate: Gate, bpffs: Path) -> None:
    with events(gate, bpffs) as (path, emit):
        PerfReader(gate, path).close()
        emit(5)
        with PerfReader(gate, path) as reader:
            emit(1)
            assert len(reader.read()) == 1


def test_another_kind_of_map_is_refused(gate: Gate, bpffs: Path) -> None:
    with mapwrite.create(gate, MapSpec("other", MapType.ARRAY, 4, 4, 1)) as live:
        pins.pin(gate, live, bpffs / "other")
    with pytest.raises(UsageError, match="ARRAY, not a perf event array"):
        PerfReader(gate, bpffs / "other")
