"""Files that a person hands over: single ones, folders, tar and zip archives, and archives in them.

A ``cilium-sysdump`` is a zip with one bugtool archive (tar.gz) per node in it. Members come in
order, each as blocks of bytes; nothing is unpacked to disk. Where an archive is damaged, what came
before is kept and the damage is told with file and offset.
"""

from __future__ import annotations

import gzip
import io
import lzma
import struct
import tarfile
import zipfile
import zlib
from dataclasses import dataclass, field
from tarfile import (  # type: ignore[attr-defined]  # typeshed lacks EOFHeaderError
    EOFHeaderError,
    HeaderError,
    ReadError,
)
from typing import IO, TYPE_CHECKING, Final, Self, cast

from ctconsole.errors import UsageError
from ctconsole.observe import zipheads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Wanted = Callable[[str], bool]

BLOCK: Final = 1 << 18
"""Bytes at a time; of a file that breaks off, at most so many are lost."""

DEEPEST: Final = 3
"""Archives in archives: a sysdump has two levels."""

LARGEST_NESTED: Final = 1 << 30
"""Bytes of a packed archive inside another; it is held in memory while it is read."""

_TAR_ENDS: Final = (".tar", ".tar.gz", ".tgz", ".tar.xz")
_ZIP_ENDS: Final = (".zip",)
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
        try:
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

    def members(self, path: Path) -> Iterator[Member]:
        """The files at a path. A single file is taken whatever its name.

        Raises:
            UsageError: there is nothing readable at the path.
        """
        try:
            if path.is_dir():
                yield from self._folder(path)
                return
            with path.open("rb") as file:
                if is_archive(path.name):
                    yield from self._archive(file, str(path), 1)
                else:
                    yield Member(str(path), self._blocks(file, str(path)))
        except OSError as error:
            raise UsageError(f"{path} cannot be read: {error.strerror or error}") from error

    def _folder(self, folder: Path) -> Iterator[Member]:
        for path in sorted(folder.rglob("*")):
            if not path.is_file():
                continue
            name = str(path)
            if is_archive(path.name):
                with path.open("rb") as file:
                    yield from self._archive(file, name, 1)
            elif self.wanted(name):
                with path.open("rb") as file:
                    yield Member(name, self._blocks(file, name))

    def _archive(self, file: IO[bytes], name: str, depth: int) -> Iterator[Member]:
        """The members of an archive, as far as it can be read."""
        try:
            inside = self._zip if name.lower().endswith(_ZIP_ENDS) else self._tar
            yield from inside(file, name, depth)
        except _BROKEN as error:
            self._complain(name, _position(file), error)

    def _tar(self, file: IO[bytes], name: str, depth: int) -> Iterator[Member]:
        plain = _unpacked(file, name)
        with tarfile.open(fileobj=plain, mode="r|", tarinfo=_StrictHeader) as archive:
            for entry in archive:
                if not entry.isfile():
                    continue
                inner = f"{name}/{entry.name}"
                opened = archive.extractfile(entry)
                if opened is not None:
                    yield from self._inner(opened, inner, depth)

    def _zip(self, file: IO[bytes], name: str, depth: int) -> Iterator[Member]:
        try:
            archive = zipfile.ZipFile(file)
        except zipfile.BadZipFile as error:
            self._complain(name, file.seek(0, io.SEEK_END), error)
            for short, content in zipheads.members(file, LARGEST_NESTED):
                yield from self._inner(io.BytesIO(content), f"{name}/{short}", depth)
            return
        with archive:
            for entry in archive.infolist():
                inner = f"{name}/{entry.filename}"
                if entry.is_dir() or not (is_archive(inner) or self.wanted(inner)):
                    continue
                try:
                    with archive.open(entry) as opened:
                        yield from self._inner(opened, inner, depth)
                except _BROKEN as error:
                    # The other members of a zip stand on their own.
                    self._complain(inner, entry.header_offset, error)

    def _inner(self, opened: IO[bytes], name: str, depth: int) -> Iterator[Member]:
        if is_archive(name):
            if depth < DEEPEST:
                packed = opened.read(LARGEST_NESTED)
                yield from self._archive(io.BytesIO(packed), name, depth + 1)
        elif self.wanted(name):
            yield Member(name, self._blocks(opened, name))

    def _blocks(self, file: IO[bytes], name: str) -> Iterator[bytes]:
        """A file's bytes; a damaged one ends early and is complained about."""
        count = 0
        try:
            while block := file.read(BLOCK):
                count += len(block)
                yield block
        except _BROKEN as error:
            self._complain(name, count, error)

    def _complain(self, name: str, offset: int, error: Exception) -> None:
        self.problems.append(
            f"{name} is damaged at byte {offset}: {str(error) or type(error).__name__}; "
            "what came before was read"
        )


class _Unpacking:
    """Hands out what could be unpacked before it fails at what could not.

    A plain ``read`` of a cut file throws away what it already has; tarfile's own unpacking lets a
    cut gzip header end in a TypeError.
    """

    def __init__(self, packed: gzip.GzipFile | lzma.LZMAFile) -> None:
        self._packed = packed

    def read(self, size: int) -> bytes:
        """Some bytes, at most ``size``; none at the end."""
        return self._packed.read1(size)


def _unpacked(file: IO[bytes], name: str) -> IO[bytes]:
    """A tar's own bytes."""
    lower = name.lower()
    if lower.endswith((".gz", ".tgz")):
        return cast("IO[bytes]", _Unpacking(gzip.GzipFile(fileobj=file)))
    return cast("IO[bytes]", _Unpacking(lzma.LZMAFile(file))) if lower.endswith(".xz") else file


def is_archive(name: str) -> bool:
    """Whether a file's name is that of an archive that can be read."""
    return name.lower().endswith((*_TAR_ENDS, *_ZIP_ENDS))


def _position(file: IO[bytes]) -> int:
    try:
        return file.tell()
    except (OSError, ValueError):
        return 0
