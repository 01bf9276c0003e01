"""Members of a zip whose directory, which stands at its end, is missing: found by their heads.

Source: sections 4.3.7 (local file header) and 4.3.9 (data descriptor) of PKWARE's APPNOTE.
"""

from __future__ import annotations

import mmap
import struct
import zlib
from typing import IO, TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_HEAD: Final = struct.Struct("<4s5H3I2H")
_MAGIC: Final = b"PK\x03\x04"
_STORED, _DEFLATED = 0, 8
_ENCRYPTED, _SIZE_FOLLOWS = 0x1, 0x8


def members(file: IO[bytes], most: int) -> Iterator[tuple[str, bytes]]:
    """Names and unpacked bytes, in the file's order; the last may be cut short.

    Ends where a member begins that cannot be passed over.

    Args:
        file: the zip; where it is no file of its own, its first ``most`` bytes are held.
        most: bytes of a member that are unpacked.
    """
    file.seek(0)
    data: bytes | mmap.mmap
    try:
        # The kernel holds a file; what lies in another archive is held here.
        data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError):
        data = file.read(most)
    place = 0
    while (start := data.find(_MAGIC, place)) >= 0 and start + _HEAD.size <= len(data):
        _, _, flags, method, _, _, _, size, _, name_size, extra = _HEAD.unpack_from(data, start)
        body = start + _HEAD.size + name_size + extra
        name = data[start + _HEAD.size :][:name_size].decode("utf-8", "replace")
        sized = not flags & _SIZE_FOLLOWS
        place = body + size if sized else body
        if flags & _ENCRYPTED or method not in {_STORED, _DEFLATED}:
            continue
        if method == _STORED:
            if not sized:
                return
            yield name, data[body:place]
            continue
        unpacked, used = _inflate(data[body : place if sized else None], most)
        place = place if sized else body + used
        yield name, unpacked


def _inflate(packed: bytes, most: int) -> tuple[bytes, int]:
    """What can be unpacked, and how many bytes that took."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        return inflater.decompress(packed, most), len(packed) - len(inflater.unused_data)
    except zlib.error:
        return b"", 1
