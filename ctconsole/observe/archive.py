"""Files that a person hands over: single ones, folders, tar and zip archives, and archives in them.

A ``cilium-sysdump`` is a zip with one bugtool archive (tar.gz) per node in it. What a file is
packed with is told by its first bytes (`packing`), and by its name only where these tell nothing.
Members come in order, each as blocks of bytes; nothing is unpacked to disk. Where an archive is
damaged, what came before is kept and the damage is told with file and offset.
"""

from __future__ import annotations

import io
import lzma
import os
import struct
import tarfile
import zipfile
import zlib
from contextlib import contextmanager
from dataclasses import dataclass, field
from tarfile import (  # type: ignore[attr-defined]  # typeshed lacks EOFHeaderError
    EOFHeaderError,
    HeaderError,
    ReadError,
)
from typing import IO, TYPE_CHECKING, Final, Self, cast

from ctconsole.errors import UsageError
from ctconsole.observe import stdin, zipheads
from ctconsole.observe.packing import (
    BLOCK,
    HEAD,
    Ahead,
    Packing,
    packing_of,
    packing_of_name,
    unpacked,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    Wanted = Callable[[str], bool]

DEEPEST: Final = 3
"""Archives in archives: a sysdump has two levels."""

LARGEST_HELD: Final = 1 << 26
"""Bytes of a zip inside a tar, and of a member of a zip without directory: held in memory."""

LARGEST_DIRECTORY: Final = 1 << 23
"""Bytes of a zip's directory: a hundred thousand members."""

LARGEST_HEADER: Final = 1 << 20
"""Bytes of a tar member's headers; long names and times have headers of their own."""

LEAST_UNPACKED: Final = 1 << 26
MOST_UNPACKED: Final = 64
"""Bytes that come of each packed one, beyond `LEAST_UNPACKED`: dumps have some 20."""

LEAST_MEMBERS: Final = 10_000
BYTES_A_MEMBER: Final = 256
"""Packed bytes for each member, beyond `LEAST_MEMBERS`."""

MOST_PROBLEMS: Final = 1000

_BROKEN: Final = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    OSError,
    NotImplementedError,
    RuntimeError,  # zipfile: an encrypted member
    ValueError,  # both: numbers in headers that are none
    struct.error,
)


class _StrictHeader(tarfile.TarInfo):
    """A header that must be one: tarfile takes a broken or missing one for the end."""

    @classmethod
    def fromtarfile(cls, tarfile: tarfile.TarFile) -> Self:
        """Read a member's header.

        Raises:
            tarfile.ReadError: it is broken, or the archive ends without its end mark.
        """
        source = cast("_Packed", getattr(tarfile.fileobj, "fileobj", None))
        try:
            with source.headers():
                return super().fromtarfile(tarfile)
        except EOFHeaderError:
            raise
        except HeaderError as error:
            raise ReadError(f"{error} where a member's header should be") from error


@dataclass
class Member:
    """One file.

    Attributes:
        name: its path; inside archives the archive's path, then the path in it.
        blocks: its bytes, to be read once, before the next member is asked for.
    """

    name: str
    blocks: Iterator[bytes]


@dataclass
class Walker:
    """Goes through what was handed over.

    Attributes:
        wanted: whether a file of this path, found in a folder or archive, is of interest.
        problems: what could not be read, one sentence each, naming file and offset.
    """

    wanted: Wanted
    problems: list[str] = field(default_factory=list)
    _room: _Room | None = None

    def members(self, path: Path) -> Iterator[Member]:
        """The files at a path. A single file is taken whatever its name.

        Raises:
            UsageError: there is nothing readable at the path.
        """
        try:
            if path.is_dir():
                yield from self._folder(path)
                return
            if stdin.is_meant(path):
                yield from self._outermost(stdin.opened(), stdin.NAME)
                return
            with path.open("rb") as file:
                yield from self._outermost(file, str(path))
        except OSError as error:
            raise UsageError(f"{path} cannot be read: {error.strerror or error}") from error

    def _folder(self, folder: Path) -> Iterator[Member]:
        for path in sorted(folder.rglob("*")):
            if not path.is_file():
                continue
            name = str(path)
            if not self.wanted(name):
                continue
            try:
                file = path.open("rb")
            except OSError as error:
                self._add(f"{name} cannot be read: {error.strerror or error}")
                continue
            with file:
                yield from self._outermost(file, name)

    def _outermost(self, file: IO[bytes], name: str) -> Iterator[Member]:
        """A file, or what is in it; how much may come of a packed one goes by its size."""
        head = file.read(HEAD)
        packing = packing_of(head) or packing_of_name(name)
        file.seek(0)
        if packing is None:
            yield Member(name, self._blocks(file, name))
            return
        self._room = _Room(os.fstat(file.fileno()).st_size)
        try:
            yield from self._packed(file, packing, name, 1)
        except _RoomError as error:
            self._add(f"{name} {error}; what came before was read")
        finally:
            self._room = None

    def _packed(self, file: IO[bytes], packing: Packing, name: str, depth: int) -> Iterator[Member]:
        """What is in a packed file, as far as it can be read."""
        try:
            if packing is Packing.ZIP:
                yield from self._zip(file, name, depth)
            elif packing is Packing.TAR:
                yield from self._tar(file, name, depth)
            else:
                yield from self._unpacked(file, packing, name, depth)
        except _BROKEN as error:
            self._complain(name, _position(file), error)

    def _unpacked(
        self, file: IO[bytes], packing: Packing, name: str, depth: int
    ) -> Iterator[Member]:
        """A file that was packed by itself: a tar, or anything else."""
        plain = Ahead(unpacked(file, packing))
        inside = packing_of(plain.head)
        if inside is None and packing_of_name(name, packed=True) is Packing.TAR:
            inside = Packing.TAR
        if inside is Packing.TAR:
            yield from self._tar(cast("IO[bytes]", plain), name, depth)
        else:
            yield from self._inner(cast("IO[bytes]", plain), name, depth, inside)

    def _tar(self, file: IO[bytes], name: str, depth: int) -> Iterator[Member]:
        plain = cast("IO[bytes]", _Packed(file))
        with tarfile.open(fileobj=plain, mode="r|", tarinfo=_StrictHeader) as archive:
            while (entry := archive.next()) is not None:
                # It remembers every member, also in a stream.
                archive.members = []  # type: ignore[attr-defined]  # typeshed lacks it
                self._count()
                inner = f"{name}/{entry.name}"
                if not entry.isfile() or not self.wanted(inner):
                    continue
                opened = archive.extractfile(entry)
                if opened is not None:
                    ahead = Ahead(opened)
                    inside = packing_of(ahead.head) or packing_of_name(inner)
                    yield from self._inner(cast("IO[bytes]", ahead), inner, depth, inside)

    def _zip(self, file: IO[bytes], name: str, depth: int) -> Iterator[Member]:
        try:
            archive = zipfile.ZipFile(cast("IO[bytes]", _Seekable(file)))
        except zipfile.BadZipFile as error:
            self._complain(name, file.seek(0, io.SEEK_END), error)
            for short, content in zipheads.members(file, LARGEST_HELD):
                inner = f"{name}/{short}"
                if self.wanted(inner):
                    inside = packing_of(content[:HEAD]) or packing_of_name(inner)
                    yield from self._inner(io.BytesIO(content), inner, depth, inside)
            return
        with archive:
            for entry in archive.infolist():
                inner = f"{name}/{entry.filename}"
                self._count()
                if entry.is_dir() or not self.wanted(inner):
                    continue
                if entry.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
                    self._add(f"{inner} is packed in a way that is not known here; it was not read")
                    continue
                try:
                    with archive.open(entry) as opened:
                        head = opened.read(HEAD)
                        opened.seek(0)
                        inside = packing_of(head) or packing_of_name(inner)
                        yield from self._inner(opened, inner, depth, inside)
                except _BROKEN as error:
                    # The other members of a zip stand on their own.
                    self._complain(inner, entry.header_offset, error)

    def _inner(
        self, opened: IO[bytes], name: str, depth: int, packing: Packing | None
    ) -> Iterator[Member]:
        """A member of an archive, or what is in it."""
        if packing is None:
            yield Member(name, self._blocks(opened, name))
            return
        if depth >= DEEPEST:
            self._add(f"{name} lies in {DEEPEST} archives already; it was not read")
            return
        if packing is not Packing.ZIP or isinstance(opened, zipfile.ZipExtFile):
            yield from self._packed(opened, packing, name, depth + 1)
            return
        packed, more = taken(iter(lambda: opened.read(BLOCK), b""), LARGEST_HELD)
        if more:
            self._add(f"{name} has more than {LARGEST_HELD} bytes; no more were read")
        yield from self._packed(io.BytesIO(packed), packing, name, depth + 1)

    def _blocks(self, file: IO[bytes], name: str) -> Iterator[bytes]:
        """A file's bytes; a damaged one ends early and is complained about."""
        count = 0
        try:
            while block := file.read(BLOCK):
                count += len(block)
                if self._room is not None and not self._room.takes(len(block)):
                    self._add(f"{name} {_TOO_MUCH}; what came before was read")
                    return
                yield block
        except _BROKEN as error:
            self._complain(name, count, error)

    def _complain(self, name: str, offset: int, error: Exception) -> None:
        self._add(
            f"{name} is damaged at byte {offset}: {str(error) or type(error).__name__}; "
            "what came before was read"
        )

    def _count(self) -> None:
        """Count one more member.

        Raises:
            _RoomError: these are too many for an archive of this size.
        """
        if self._room is not None:
            self._room.members -= 1
            if self._room.members < 0:
                raise _RoomError("has more members than an archive of its size may have")

    def _add(self, problem: str) -> None:
        if len(self.problems) < MOST_PROBLEMS:
            self.problems.append(problem)


_TOO_MUCH: Final = "unpacks to more than an archive of its size may"


class _RoomError(Exception):
    """More comes of an archive than may; says what, to follow the archive's name."""


class _Room:
    """What may still come of an archive.

    Args:
        size: bytes of the packed file.
    """

    def __init__(self, size: int) -> None:
        self._unpacked = max(LEAST_UNPACKED, MOST_UNPACKED * size)
        self.members = max(LEAST_MEMBERS, size // BYTES_A_MEMBER)

    def takes(self, size: int) -> bool:
        """Whether there is room for so many bytes more."""
        self._unpacked -= size
        return self._unpacked >= 0


def taken(blocks: Iterable[bytes], limit: int) -> tuple[bytes, bool]:
    """The first bytes of a file, at most ``limit``, and whether there are more.

    No block is asked for once there are enough.
    """
    text = bytearray()
    for block in blocks:
        text += block[: limit - len(text) + 1]
        if len(text) > limit:
            del text[limit:]
            return bytes(text), True
    return bytes(text), False


class _Packed:
    """A tar's bytes; while a member's headers are read, only so many of them."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._left: int | None = None

    @contextmanager
    def headers(self) -> Iterator[None]:
        """Let no more be read than headers may take; those of one member are read in each other."""
        outermost = self._left is None
        if outermost:
            self._left = LARGEST_HEADER
        try:
            yield
        finally:
            if outermost:
                self._left = None

    def read(self, size: int) -> bytes:
        """Some bytes, at most ``size``; none at the end.

        Raises:
            tarfile.ReadError: headers take too many.
        """
        block = self._file.read(size)
        if self._left is not None:
            self._left -= len(block)
            if self._left < 0:
                raise ReadError("a member's headers are too long")
        return block


class _Seekable:
    """A zip, read in pieces that fit in memory: its directory is asked for in one piece."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable

    def read(self, size: int = -1) -> bytes:
        """Some bytes.

        Raises:
            zipfile.BadZipFile: too many are asked for.
        """
        if size > LARGEST_DIRECTORY:
            raise zipfile.BadZipFile("its directory is too long")
        return self._file.read(LARGEST_DIRECTORY if size < 0 else size)


def _position(file: IO[bytes]) -> int:
    try:
        return file.tell()
    except (OSError, ValueError):
        return 0
