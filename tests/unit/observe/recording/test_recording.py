from __future__ import annotations

import errno
import os
import stat
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
import pytest

from ctconsole.errors import FormatError, UsageError
from ctconsole.model.ct.knowledge import Knowledge, PolicyFacts, ServiceFacts
from ctconsole.model.recording.frame import FrameKind, frame
from ctconsole.model.recording.plain import plain
from ctconsole.observe.recording.counted import MOST as MOST_COUNTS
from ctconsole.observe.recording.counted import fills_of_frames
from ctconsole.observe.recording.encoder import MOST_STEPS, Encoder
from ctconsole.observe.recording.moment import pack
from ctconsole.observe.recording.reader import Recording
from ctconsole.observe.recording.seeker import Seeker
from ctconsole.observe.recording.writer import RecordingWriter
from tests.support.ct_tables import Entry, ct_table
from tests.support.fakes import FakeSource, story
from tests.support.recorded import HEAD, KEY, MOMENTS, MOST, entries, maps, moment, record
from tests.support.split_brain import uses

if TYPE_CHECKING:
    from pathlib import Path


def test_every_moment_comes_back_in_any_order(tmp_path: Path) -> None:
    record(tmp_path / "node.ctrec")
    with Recording(tmp_path / "node.ctrec") as found:
        seeker = Seeker(found.moments)
        for place in (0, 3, 1, 2, 2, 0):
            one, was = seeker.at(place), MOMENTS[place]
            assert one.node == was.node
            assert one.title == was.title
            assert (one.agent, one.facts) == (was.agent, was.facts)
            table, before = one.tables[KEY], was.tables[KEY]
            assert entries(table) == entries(before)
            assert (table.now, table.taken_at) == (before.now, before.taken_at)
            assert table.state.tolist() == before.state.tolist()
        assert (found.head, found.told) == (HEAD, "")
        assert found.times == [one.taken_at for one in MOMENTS]
        assert found.events == story()[:2]
        assert found.names.service(1) == "web"


def test_a_recording_is_its_users_alone_and_never_written_over(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        record(tmp_path / "node.ctrec")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "node.ctrec").stat().st_mode) == 0o600
    content = (tmp_path / "node.ctrec").read_bytes()
    with pytest.raises(UsageError, match="never written over"):
        RecordingWriter(tmp_path / "node.ctrec", HEAD, MOST)
    assert (tmp_path / "node.ctrec").read_bytes() == content


def test_what_is_known_beside_the_entries_is_kept_when_it_changes(tmp_path: Path) -> None:
    known = Knowledge(
        MappingProxyType({1: ServiceFacts(3, sticky=False)}),
        PolicyFacts(frozenset({b"\n\0\0\1"})),
    )
    first = MOMENTS[0]
    table = replace(first.tables[KEY], knowledge=known)
    learned = replace(first, taken_at=1002.0, tables=MappingProxyType({KEY: table}))
    record(tmp_path / "node.ctrec", (first, learned))
    with Recording(tmp_path / "node.ctrec") as found:
        seeker = Seeker(found.moments)
        assert seeker.at(0).tables[KEY].knowledge.services == {}
        assert seeker.at(1).tables[KEY].knowledge == known


def test_programs_are_kept(tmp_path: Path) -> None:
    one = replace(MOMENTS[0], usage=uses(FakeSource()))
    record(tmp_path / "node.ctrec", (one, MOMENTS[1]))
    with Recording(tmp_path / "node.ctrec") as found:
        assert Seeker(found.moments).at(0).usage == one.usage
        assert Seeker(found.moments).at(1).usage == ()


def test_a_table_that_did_not_change_shares_its_arrays(tmp_path: Path) -> None:
    first = MOMENTS[0]
    later = replace(first.tables[KEY], now=10_002, taken_at=1002.0)
    record(
        tmp_path / "node.ctrec",
        (first, replace(first, taken_at=1002.0, tables=MappingProxyType({KEY: later}))),
    )
    with Recording(tmp_path / "node.ctrec") as found:
        seeker = Seeker(found.moments)
        one, two = (seeker.at(place).tables[KEY] for place in (0, 1))
        assert two.keys is one.keys
        assert two.now == 10_002


def test_a_map_that_was_recreated_begins_anew(tmp_path: Path) -> None:
    again = replace(
        MOMENTS[1],
        tables=MappingProxyType({KEY: ct_table(Entry("10.0.1.1:8"), map_id=99)}),
    )
    record(tmp_path / "node.ctrec", (MOMENTS[0], again))
    with Recording(tmp_path / "node.ctrec") as found:
        table = Seeker(found.moments).at(1).tables[KEY]
        assert table.info.id == 99
        assert len(table) == 1


def test_a_recording_ends_before_it_grows_too_large(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    with RecordingWriter(tmp_path / "node.ctrec", HEAD, 4096) as writer:
        number = 0
        while writer.add(
            moment(number, *(Entry(packets=int(rng.integers(1 << 30))) for _ in range(40)))
        ):
            number += 1
    assert 0 < number == writer.moments
    assert (tmp_path / "node.ctrec").stat().st_size <= 4096
    with Recording(tmp_path / "node.ctrec") as found:
        assert (len(found.moments), found.told) == (number, "")


def test_a_full_disk_costs_the_last_moment_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full:
        """A disk with room for half a frame."""

        def __init__(self, file: object) -> None:
            self._file = file

        def __getattr__(self, name: str) -> object:
            return getattr(self._file, name)

        def write(self, content: memoryview) -> int:
            if len(content) < 20:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            written: int = self._file.write(content[:10])  # type: ignore[attr-defined]
            return written

    writer = RecordingWriter(tmp_path / "node.ctrec", HEAD, MOST)
    assert writer.add(MOMENTS[0])
    with monkeypatch.context() as patch:
        patch.setattr(writer, "_file", Full(writer._file))
        with pytest.raises(OSError, match="No space left"):
            writer.add(MOMENTS[1])
    assert writer.add(MOMENTS[2])
    writer.close()
    with Recording(tmp_path / "node.ctrec") as found:
        assert (len(found.moments), found.told) == (2, "")
        table = Seeker(found.moments).at(1).tables[KEY]
        assert entries(table) == entries(MOMENTS[2].tables[KEY])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"PK\x03\x04 no recording", "is no recording"),
        (frame(FrameKind.HEAD, 1.0, pack(plain(HEAD))).encoded(), "holds no whole moment"),
        (
            frame(FrameKind.HEAD, 1.0, pack(plain(replace(HEAD, version=9)))).encoded(),
            "of format 9",
        ),
        (frame(FrameKind.HEAD, 1.0, b"\xc1").encoded(), "holds something else"),
        (frame(FrameKind.WHOLE, 1.0, pack({})).encoded(), "is no recording"),
    ],
)
def test_a_file_that_is_none_is_refused_in_a_sentence(
    tmp_path: Path, content: bytes, said: str
) -> None:
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(FormatError, match=said):
        Recording(tmp_path / "file")


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UsageError, match="is no file"):
        Recording(tmp_path / "pipe")


@pytest.mark.parametrize(
    "told",
    [
        {"node": 5},
        {"node": {"rows": [5]}},
        {"tables": 5},
        {"tables": [{"key": 1}]},
        {"tables": [{"key": "x"}]},
        {"tables": [{"key": KEY, "facts": {}}]},
        {"usage": [[]]},
        {"error": 1},
    ],
)
def test_a_strangers_moment_that_is_none_is_refused(tmp_path: Path, told: object) -> None:
    head = frame(FrameKind.HEAD, 1.0, pack(plain(HEAD))).encoded()
    (tmp_path / "file").write_bytes(head + frame(FrameKind.WHOLE, 1.0, pack(told)).encoded())
    with Recording(tmp_path / "file") as found, pytest.raises(FormatError):
        Seeker(found.moments).at(0)


def test_a_whole_moment_comes_now_and_then_so_that_seeking_is_short() -> None:
    encoder = Encoder()
    kinds = [encoder.encode(replace(MOMENTS[0], taken_at=n)).kind for n in range(2 * MOST_STEPS)]
    assert kinds.count(FrameKind.WHOLE) >= 2
    wholes = [place for place, kind in enumerate(kinds) if kind is FrameKind.WHOLE]
    assert max(np.diff([*wholes, len(kinds)])) <= MOST_STEPS + 1


def test_a_moment_that_failed_on_its_way_leaves_the_next_one_whole() -> None:
    encoder = Encoder()
    encoder.encode(MOMENTS[0])
    broken = replace(MOMENTS[1], error=object())  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        encoder.encode(broken)
    assert encoder.encode(MOMENTS[2]).kind is FrameKind.WHOLE


def test_how_full_maps_were_is_read_from_the_beginning_without_the_entries(tmp_path: Path) -> None:
    record(tmp_path / "node.ctrec")
    with Recording(tmp_path / "node.ctrec") as found:
        counts = fills_of_frames(found.moments)
    assert counts == {KEY: ((1000.0, 2), (1002.0, 3), (1004.0, 1), (1006.0, 0))}


def test_a_damaged_frame_costs_only_its_own_count() -> None:
    encoder = Encoder()
    frames = [encoder.encode(one) for one in MOMENTS]
    frames[1] = replace(frames[1], packed=b"nothing", size=70_000)
    assert fills_of_frames(frames)[KEY][:2] == ((1000.0, 2), (1004.0, 1))


def test_of_a_long_recording_the_largest_of_each_stretch_is_told() -> None:
    encoder = Encoder()
    many = [moment(number) for number in range(2 * MOST_COUNTS)]
    many[700] = replace(many[700], node=maps(77, many[700].taken_at))
    points = fills_of_frames([encoder.encode(one) for one in many])[KEY]
    assert len(points) <= MOST_COUNTS + 1
    assert (many[700].taken_at, 77) in points
