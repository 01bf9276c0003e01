"""Files written by ``bpftool map show``: plain text, ``-j`` and ``-jp``.

Source of the formats: ``show_map_close_plain`` and ``show_map_close_json`` of
``tools/bpf/bpftool/map.c`` of Linux 6.1, and what it printed.
"""

from __future__ import annotations

import re
from pathlib import PurePath
from typing import TYPE_CHECKING, Final

from ctconsole.errors import FormatError
from ctconsole.model.readers import documents
from ctconsole.model.spec import MapInfo, MapType

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_PLAIN: Final = re.compile(
    rb"^(\d{1,10}): (\w{1,40})  (?:name (\S{1,15})  )?flags 0x([0-9a-f]{1,8})[^\n]*\n"
    rb"\tkey (\d{1,10})B  value (\d{1,10})B  max_entries (\d{1,10})(?:  memlock (\d{1,19})B)?",
    re.MULTILINE,
)
_NUMBERS: Final = ("id", "bytes_key", "bytes_value", "max_entries")
_LARGEST: Final = 1 << 32


_IN_JSON: Final = re.compile(rb'"bytes_key"\s*:\s*\d{1,10}\s*,\s*"bytes_value"\s*:')


def looks_like_show(head: bytes) -> bool:
    """Whether there is a map among the first lines of a file.

    Args:
        head: the beginning of the file.
    """
    return _PLAIN.search(head) is not None or _IN_JSON.search(head) is not None


def read_show(text: bytes) -> tuple[MapInfo, ...]:
    """The maps that are shown; what makes no sense is left out.

    Args:
        text: the whole file: a list of maps, one map, as of one pin, or one behind the other.
    """
    try:
        found, _ = documents.items(text, "the list of maps")
    except FormatError:
        found = []
    shown = tuple(info for item in found if (info := _json(item)))
    return shown or tuple(_plain(text))


def _plain(text: bytes) -> Iterable[MapInfo]:
    for found in _PLAIN.finditer(text):
        number, kind, name, flags, key, value, most, memlock = found.groups(default=b"")
        yield MapInfo(
            int(number),
            name.decode("ascii", "replace"),
            _type(kind.decode("ascii", "replace")),
            int(key),
            int(value),
            int(most),
            int(flags, 16),
            int(memlock) if memlock else None,
        )


def _json(item: Mapping[str, object]) -> MapInfo | None:
    numbers = [_number(item.get(name)) for name in _NUMBERS]
    if None in numbers:
        return None
    number, key, value, most = (one or 0 for one in numbers)
    return MapInfo(
        number,
        str(item.get("name") or "")[:15],
        _type(str(item.get("type"))),
        key,
        value,
        most,
        _number(item.get("flags")) or 0,
        _number(item.get("bytes_memlock")),
        pin=_pin(item.get("pinned")),
    )


def _pin(paths: object) -> PurePath | None:
    """The first of the places where a map is pinned."""
    if not (isinstance(paths, list) and paths and isinstance(paths[0], str)):
        return None
    return PurePath(paths[0])


def _number(value: object) -> int | None:
    return value if type(value) is int and 0 <= value < _LARGEST else None


def _type(word: str) -> MapType:
    """The map type of bpftool's word, which is the kernel's constant in small letters."""
    return MapType.__members__.get(word.upper(), MapType.UNSPEC)
