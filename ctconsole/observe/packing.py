"""What a file is packed with, by its first bytes, and its own bytes within bounded memory."""

from __future__ import annotations

import gzip
import lzma
from enum import Enum
from typing import IO, TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from zstandard import ZstdDecompressionObj

BLOCK: Final = 1 << 18
"""Bytes at a time; of a file that breaks off, at most so many are lost."""

HEAD: Final = 512
"""Bytes that tell what a file is packed with: a tar's first header."""

_XZ_MEMORY: Final = 72 << 20
"""Bytes for unpacking: ``xz -9`` takes 65 MiB, a file may ask for 4 GiB."""

_ZSTD_WINDOW: Final = 1 << 27
"""Bytes for unpacking: what ``zstd`` itself allows where nobody says ``--long=31``."""

_ZSTD_STEP: Final = 512
"""Packed bytes at a time: each four of them may be a block of 128 KiB."""

_USTAR: Final = slice(257, 262)
_CHECKSUM: Final = slice(148, 156)


class Packing(Enum):
    """How bytes are packed; TAR and ZIP hold files, the others one stream."""

    TAR = "tar"
    ZIP = "zip"
    GZIP = "gzip"
    XZ = "xz"
    ZSTD = "zstd"


_MAGIC: Final = (
    (b"PK\x03\x04", Packing.ZIP),
    (b"PK\x05\x06", Packing.ZIP),
    (b"\x1f\x8b\x08", Packing.GZIP),
    (b"\xfd7zXZ\0", Packing.XZ),
    (b"\x28\xb5\x2f\xfd", Packing.ZSTD),
)
_NAMES: Final = (
    (".tar", Packing.TAR),
    (".tgz", Packing.GZIP),
    (".tar.gz", Packing.GZIP),
    (".tar.xz", Packing.XZ),
    (".tar.zst", Packing.ZSTD),
    (".zip", Packing.ZIP),
)
_TARS: Final = (".tar", ".tgz", ".tar.gz", ".tar.xz", ".tar.zst")


def packing_of(head: bytes) -> Packing | None:
    """What the first `HEAD` bytes of a file tell; None where it is not packed."""
    for magic, packing in _MAGIC:
        if head.startswith(magic):
            return packing
    return Packing.TAR if _is_tar(head) else None


def _is_tar(head: bytes) -> bool:
    """Whether this is a tar header: it says so, or its checksum is right (tar before POSIX)."""
    if head[_USTAR] == b"ustar":
        return True
    if len(head) < HEAD or not head[0]:
        return False
    try:
        told = int(head[_CHECKSUM].strip(b" \0"), 8)
    except ValueError:
        return False
    return told == sum(head) - sum(head[_CHECKSUM]) + 8 * ord(" ")


def packing_of_name(name: str, *, packed: bool = False) -> Packing | None:
    """What a name promises of a file whose bytes tell nothing: it is damaged then.

    Args:
        name: its path.
        packed: ask what is in it once it is unpacked.
    """
    lower = name.lower()
    if packed:
        return Packing.TAR if lower.endswith(_TARS) else None
    return next((packing for end, packing in _NAMES if lower.endswith(end)), None)


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


class Ahead:
    """A file whose first bytes have been looked at; it is read from its beginning.

    Attributes:
        head: the first `HEAD` bytes; fewer where the file ends or fails before.
    """

    def __init__(self, file: _Readable) -> None:
        self._file = file
        self._failure: Exception | None = None
        head = b""
        try:
            while len(head) < HEAD and (block := file.read(HEAD - len(head))):
                head += block
        except Exception as error:  # noqa: BLE001 - raised again where the reader gets there
            self._failure = error
        self.head = self._rest = head
        self._position = 0

    def read(self, size: int = -1) -> bytes:
        """Some bytes, at most ``size``; none at the end.

        Raises:
            Exception: whatever reading raises.
        """
        if self._rest:
            block = self._rest[:size] if size >= 0 else self._rest
            self._rest = self._rest[len(block) :]
        elif self._failure is not None:
            raise self._failure
        else:
            block = self._file.read(size)
        self._position += len(block)
        return block

    def tell(self) -> int:
        """How many bytes have been read."""
        return self._position


def unpacked(file: IO[bytes], packing: Packing) -> _Readable:
    """The bytes of a stream that is packed.

    Reading raises what `gzip`, `lzma` or `zstandard` raise, once everything before was handed
    out: a plain ``read`` of a cut file throws away what it already has, and tarfile's own
    unpacking lets a cut gzip header end in a TypeError.
    """
    match packing:
        case Packing.GZIP:
            return _Unpacking(gzip.GzipFile(fileobj=file))
        case Packing.XZ:
            return _Unpacking(_Xz(file))
        case _:
            return _Zstd(file)


class _Unpacking:
    """Hands out what could be unpacked before it fails at what could not."""

    def __init__(self, packed: gzip.GzipFile | _Xz) -> None:
        self._packed = packed

    def read(self, size: int) -> bytes:
        """Some bytes, at most ``size``; none at the end."""
        return self._packed.read1(size)


class _Zstd:
    """Unpacks zstd, within bounded memory."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._frame: ZstdDecompressionObj | None = None
        self._packed = b""
        self._plain = b""

    def read(self, size: int) -> bytes:
        """Some bytes, at most ``size``; none at the end.

        Raises:
            ValueError: it is damaged, or asks for too much memory.
            EOFError: it is cut short.
        """
        while not self._plain and self._more():
            pass
        block, self._plain = self._plain[:size], self._plain[size:]
        return block

    def _more(self) -> bool:
        """Unpack a little more; False at the end."""
        # Few files are packed so, and every start would pay for it.
        import zstandard

        self._packed = self._packed or self._file.read(_ZSTD_STEP)
        if not self._packed:
            if self._frame is not None:
                raise EOFError("it is cut short")
            return False
        try:
            if self._frame is None:
                unpacker = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW)
                self._frame = unpacker.decompressobj()
            self._plain = self._frame.decompress(self._packed)
        except zstandard.ZstdError as error:
            raise ValueError(str(error)) from error
        self._packed = self._frame.unused_data
        if self._frame.eof:
            self._frame = None
        return True


class _Xz:
    """Unpacks xz, within bounded memory."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._decoder = lzma.LZMADecompressor(memlimit=_XZ_MEMORY)

    def read1(self, size: int) -> bytes:
        """Some bytes, at most ``size``; none at the end.

        Raises:
            lzma.LZMAError: it is damaged, or asks for too much memory.
            EOFError: it is cut short.
        """
        while True:
            if self._decoder.eof:
                rest = self._decoder.unused_data.lstrip(b"\0") or self._file.read(BLOCK).lstrip(
                    b"\0"
                )
                if not rest:
                    return b""
                self._decoder = lzma.LZMADecompressor(memlimit=_XZ_MEMORY)
            elif self._decoder.needs_input:
                rest = self._file.read(BLOCK)
                if not rest:
                    raise EOFError("it is cut short")
            else:
                rest = b""
            block = self._decoder.decompress(rest, size)
            if block:
                return block
