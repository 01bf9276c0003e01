"""A recording that was cut off or damaged, at every byte of a small one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ctconsole.errors import FormatError
from ctconsole.observe.recording.reader import Recording
from ctconsole.observe.recording.seeker import Seeker
from tests.support.recorded import KEY, MOMENTS, entries, record

if TYPE_CHECKING:
    from pathlib import Path


def read(path: Path) -> tuple[int, str]:
    """How many moments can be made of a file, and what is told of its end."""
    with Recording(path) as found:
        seeker = Seeker(found.moments)
        for place, was in enumerate(MOMENTS[: len(found.moments)]):
            assert entries(seeker.at(place).tables[KEY]) == entries(was.tables[KEY])
        return len(found.moments), found.told


def found_at(told: str) -> int:
    return int(told.split("at byte ")[1].split(":", maxsplit=1)[0].replace(",", ""))


def test_a_recording_cut_at_any_byte_opens_up_to_its_last_whole_frame(tmp_path: Path) -> None:
    path = tmp_path / "node.ctrec"
    record(path)
    whole = path.read_bytes()
    counts = []
    for end in range(len(whole)):
        path.write_bytes(whole[:end])
        try:
            count, told = read(path)
        except FormatError:
            count = 0
        else:
            assert "was not ended" in told or f"{end - found_at(told):,} bytes behind" in told
        counts.append(count)
    assert counts == sorted(counts)
    assert set(counts) == set(range(len(MOMENTS) + 1))


def test_a_recording_with_any_byte_flipped_shows_nothing_that_was_not_so(tmp_path: Path) -> None:
    path = tmp_path / "node.ctrec"
    record(path)
    whole = path.read_bytes()
    seen = set()
    for place in range(len(whole)):
        flipped = bytearray(whole)
        flipped[place] ^= 0x40
        path.write_bytes(flipped)
        try:
            count, told = read(path)
        except FormatError:
            continue
        assert "are not shown" in told
        assert found_at(told) <= place
        seen.add(count)
    assert seen == set(range(1, len(MOMENTS) + 1))
