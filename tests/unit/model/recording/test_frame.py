from __future__ import annotations

import random
from dataclasses import replace

import pytest

from ctconsole.errors import FormatError
from ctconsole.model.recording.frame import (
    HEADER_BYTES,
    BrokenOff,
    Frame,
    FrameKind,
    frame,
    frame_of,
    frames,
)

TWO = (frame(FrameKind.HEAD, 1.5, b"a head"), frame(FrameKind.WHOLE, 2.5, b"a moment" * 9))
FILE = b"".join(one.encoded() for one in TWO)


def read(data: bytes) -> list[tuple[FrameKind, float, bytes] | BrokenOff]:
    return [
        one if isinstance(one, BrokenOff) else (one[1].kind, one[1].time, one[1].content())
        for one in frames(data)
    ]


WHOLE = [(FrameKind.HEAD, 1.5, b"a head"), (FrameKind.WHOLE, 2.5, b"a moment" * 9)]


def test_frames_are_read_as_they_were_written() -> None:
    assert read(FILE) == WHOLE


@pytest.mark.parametrize("end", range(1, len(FILE)))
def test_a_file_cut_anywhere_ends_with_its_last_whole_frame(end: int) -> None:
    *before, last = read(FILE[:end])
    first = TWO[0].bytes_in_file
    if end == first:
        assert [*before, last] == WHOLE[:1]
    else:
        assert before == WHOLE[: int(end > first)]
        assert isinstance(last, BrokenOff)
        assert last.offset == (first if end > first else 0)
        assert "cut off" in last.why


@pytest.mark.parametrize("place", range(len(FILE)))
def test_a_flipped_byte_ends_it_before_the_frame_that_holds_it(place: int) -> None:
    flipped = bytearray(FILE)
    flipped[place] ^= 0x10
    *before, last = read(bytes(flipped))
    assert before == WHOLE[: int(place >= TWO[0].bytes_in_file)]
    assert isinstance(last, BrokenOff)


def test_a_frame_of_a_kind_to_come_is_passed_over() -> None:
    later = replace(TWO[0], kind=99).encoded()  # type: ignore[arg-type]
    assert read(later + FILE) == WHOLE


def test_a_frame_cannot_ask_for_more_memory_than_its_bytes_are_worth() -> None:
    with pytest.raises(FormatError, match="claims to be"):
        Frame(FrameKind.WHOLE, 1.0, b"\x28\xb5\x2f\xfd" * 8, 1 << 31, zstd=True).content()


def test_bytes_that_pack_better_than_may_be_believed_are_stored_as_they_are() -> None:
    content = bytes(20 << 20)
    made = frame(FrameKind.WHOLE, 1.0, content)
    assert not made.zstd
    assert made.content() == content


def test_content_in_pieces_is_the_same_frame_to_whoever_reads_it() -> None:
    pieces = [bytes([seed]) * seed for seed in range(200)]
    made = frame_of(FrameKind.WHOLE, 1.0, pieces)
    assert made.content() == b"".join(pieces)
    better = frame_of(FrameKind.WHOLE, 1.0, [bytes(1 << 20)] * 20)
    assert not better.zstd
    assert better.content() == bytes(20 << 20)


@pytest.mark.parametrize("size", [0, 71, 73])
def test_a_frame_of_another_size_than_it_says_is_refused(size: int) -> None:
    with pytest.raises(FormatError, match="something else"):
        replace(TWO[1], size=size).content()


def test_bytes_that_are_not_packed_are_refused() -> None:
    noise = random.Random(1).randbytes(64)  # noqa: S311 - the same at every run
    with pytest.raises(FormatError, match="cannot be unpacked"):
        Frame(FrameKind.WHOLE, 1.0, noise, 64, zstd=True).content()


def test_the_header_is_as_long_as_it_says() -> None:
    assert len(FILE) == sum(one.bytes_in_file for one in TWO)
    assert HEADER_BYTES == 28
