"""The frames a recording is made of: a header with a checksum, and packed bytes.

::

    offset  size
         0     4  "CTf1"
         4     1  `FrameKind`
         5     1  1 where the bytes are packed with zstd, 0 where they stand as they are
         6     2  zero
         8     4  bytes in the file
        12     4  bytes unpacked
        16     8  the moment, seconds since the Unix epoch, f8
        24     4  CRC-32 of the header up to here, and of the bytes
        28        the bytes

Numbers are little-endian. A frame is whole or it is not there: whoever reads checks the checksum
of each frame before its bytes are looked at.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from enum import IntEnum
from struct import Struct
from typing import TYPE_CHECKING, Final

import zstandard

from ctconsole.errors import FormatError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    Buffer = bytes | memoryview

MAGIC: Final = b"CTf1"

_HEADER: Final = Struct("<4sBBxxIId")
_SUM: Final = Struct("<I")

HEADER_BYTES: Final = _HEADER.size + _SUM.size

_LEVEL: Final = 3

_MOST_PACKING: Final = 64
_ALWAYS: Final = 16 << 20
"""Bytes any frame may have unpacked; above that `_MOST_PACKING` times its packed bytes.

So a small file cannot ask for much memory; what packs better than that is stored as it is.
"""


class FrameKind(IntEnum):
    """What is in a frame.

    HEAD tells what is recorded, once, at the beginning. WHOLE is a moment by itself, STEP one by
    what differs from the moment before. EVENTS are events, NAMES what things are called. INDEX is
    the last frame of a recording that was ended: where the others are.
    """

    HEAD = 1
    WHOLE = 2
    STEP = 3
    EVENTS = 4
    INDEX = 5
    NAMES = 6


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame.

    Attributes:
        kind: what is in it.
        time: the moment it tells of, seconds since the Unix epoch.
        packed: its bytes as in a file.
        size: how many they are unpacked.
        zstd: whether they are packed.
    """

    kind: FrameKind
    time: float
    packed: Buffer
    size: int
    zstd: bool

    @property
    def stands_alone(self) -> bool:
        """Whether it tells a moment without those before it."""
        return self.kind is FrameKind.WHOLE

    @property
    def bytes_in_file(self) -> int:
        """Header and bytes."""
        return HEADER_BYTES + len(self.packed)

    def encoded(self) -> bytes:
        """As it stands in a file."""
        header = _HEADER.pack(
            MAGIC, self.kind, int(self.zstd), len(self.packed), self.size, self.time
        )
        total = zlib.crc32(self.packed, zlib.crc32(header))
        return b"".join((header, _SUM.pack(total), self.packed))

    def content(self) -> bytes:
        """Its bytes, unpacked.

        Raises:
            FormatError: they are not what the header says.
        """
        if not self.zstd:
            return bytes(self.packed)
        if self.size > max(_ALWAYS, _MOST_PACKING * len(self.packed)):
            raise FormatError(f"A frame of {len(self.packed)} bytes claims to be {self.size}")
        try:
            # Decompress() alone would believe the size that the packed bytes themselves claim.
            reader = zstandard.ZstdDecompressor().stream_reader(self.packed)
            content = reader.read(self.size + 1)
        except zstandard.ZstdError as error:
            raise FormatError(f"A frame cannot be unpacked: {error}") from error
        if len(content) != self.size:
            raise FormatError(f"A frame unpacks to something else than {self.size} bytes")
        return bytes(content)


def frame_of(kind: FrameKind, time: float, pieces: Iterable[bytes]) -> Frame:
    """Pack a frame whose content comes in pieces, which may be gone through twice."""
    packer = zstandard.ZstdCompressor(level=_LEVEL, write_content_size=False).compressobj()
    packed, size = bytearray(), 0
    for piece in pieces:
        packed += packer.compress(piece)
        size += len(piece)
    packed += packer.flush()
    if size > max(_ALWAYS, _MOST_PACKING * len(packed)):
        return Frame(kind, time, b"".join(pieces), size, zstd=False)
    return Frame(kind, time, bytes(packed), size, zstd=True)


def frame(kind: FrameKind, time: float, content: bytes) -> Frame:
    """Pack a frame."""
    packed = zstandard.ZstdCompressor(level=_LEVEL, write_content_size=False).compress(content)
    if len(content) > max(_ALWAYS, _MOST_PACKING * len(packed)):
        return Frame(kind, time, content, len(content), zstd=False)
    return Frame(kind, time, packed, len(content), zstd=True)


@dataclass(frozen=True, slots=True)
class BrokenOff:
    """Where a recording ends although it was not ended there.

    Attributes:
        offset: of the first byte that is not part of a whole frame.
        why: what is wrong with it, as the end of a sentence.
    """

    offset: int
    why: str


def frames(data: Buffer) -> Iterator[tuple[int, Frame] | BrokenOff]:
    """The whole frames of a file with their offsets; where it breaks off, at last a `BrokenOff`.

    A frame whose kind is not known, of a newer release, is passed over.
    """
    view, offset = memoryview(data), 0
    while offset < len(view):
        end = offset + HEADER_BYTES
        if end > len(view):
            yield BrokenOff(offset, "a frame's header is cut off")
            return
        magic, kind, zstd, packed, size, time = _HEADER.unpack_from(view, offset)
        if magic != MAGIC:
            yield BrokenOff(offset, "there is no frame where one should begin")
            return
        if end + packed > len(view):
            yield BrokenOff(offset, "a frame is cut off")
            return
        [told] = _SUM.unpack_from(view, offset + _HEADER.size)
        content = view[end : end + packed]
        if zlib.crc32(content, zlib.crc32(view[offset : offset + _HEADER.size])) != told:
            yield BrokenOff(offset, "a frame is damaged: its checksum is another")
            return
        if kind in set(FrameKind):
            yield offset, Frame(FrameKind(kind), time, content, size, zstd=bool(zstd))
        offset = end + packed
