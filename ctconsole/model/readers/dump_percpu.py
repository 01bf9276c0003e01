"""Files written by ``bpftool map dump`` of a per-CPU map: ``-j``, ``-jp`` and plain text.

Such maps (``cilium_metrics``) have some hundred entries, so one pattern for an entry will do.
Whatever stands between entries and is no punctuation is damage, remembered with its offset.

Source of the formats: ``tools/bpf/bpftool/map.c`` of Linux 6.1 and dumps made with it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np

from ctconsole.errors import FormatError
from ctconsole.model.readers.dump import MOST_DAMAGE, Damage
from ctconsole.model.readers.dump_forms import map_name_of

if TYPE_CHECKING:
    import numpy.typing as npt

    Bytes: TypeAlias = npt.NDArray[np.uint8]

LARGEST_FILE: Final = 1 << 25
"""Bytes of text: a hundred entries of 1,000 CPUs are 15 MB."""

# Possessive throughout: a damaged file must not make a pattern try again.
_BYTES = rb'\s*+("0x[0-9a-f]{2}"(?:\s*+,\s*+"0x[0-9a-f]{2}")*+)\s*+\]'
_CPU = rb'\{\s*+"cpu"\s*+:\s*+\d{1,5}\s*+,\s*+"value"\s*+:\s*+\[' + _BYTES + rb"\s*+\}"
_CPU_BARE = re.sub(rb"\((?!\?)", rb"(?:", _CPU)
_JSON: Final = re.compile(
    rb'\{\s*+"key"\s*+:\s*+\['
    + _BYTES
    + rb'\s*+,\s*+"values"\s*+:\s*+\[\s*+('
    + _CPU_BARE
    + rb"(?:\s*+,\s*+"
    + _CPU_BARE
    + rb")*+)\s*+\]"
)
_JSON_CPU: Final = re.compile(_CPU)
_HEX = rb"((?:\s*+[0-9a-f]{2}(?![0-9a-f]))++)"
_HEX_BARE = rb"(?:\s*+[0-9a-f]{2}(?![0-9a-f]))++"
_PLAIN: Final = re.compile(
    rb"key:" + _HEX + rb"\s*+((?:\s*+value \(CPU \d{1,5}\):" + _HEX_BARE + rb")++)"
)
_PLAIN_CPU: Final = re.compile(rb"value \(CPU \d{1,5}\):" + _HEX)
_DIGITS: Final = re.compile(rb"(?:0x)?([0-9a-f]{2})")
_BETWEEN: Final = re.compile(
    rb"(?:[\s,\[\]}]|#[^\n]*+(?:\n|\Z)|`++[^\n]*+(?:\n|\Z)|Found \d++ elements?+"
    rb'|"formatted"[^\n]*+)*+'
)


@dataclass(frozen=True, slots=True)
class PerCpuDump:
    """The entries of one file, as many as could be read.

    Attributes:
        source: the file, for messages.
        map_name: the map its name speaks of.
        keys: u1 of shape (n, key size).
        values: u1 of shape (n, CPUs, value size).
        damage: what could not be read, in the file's order.
    """

    source: str
    map_name: str
    keys: Bytes
    values: Bytes
    damage: tuple[Damage, ...]

    def error(self) -> FormatError | None:
        """The damage as an error naming file and offset; None for a sound file."""
        if not self.damage:
            return None
        first = self.damage[0]
        return FormatError(
            f"{self.source} is damaged at byte {first.offset}: {first.reason}; "
            f"{len(self.keys)} entries could be read"
        )


def is_per_cpu(head: bytes) -> bool:
    """Whether the beginning of a dump shows values by CPU."""
    return b'"values"' in head or b"value (CPU " in head


def read_per_cpu(text: bytes, source: str) -> PerCpuDump:
    """Read a dump.

    Args:
        text: the whole file.
        source: the file's path, for messages and for the map's name.
    """
    plain = b"value (CPU " in text
    entry, cpu = (_PLAIN, _PLAIN_CPU) if plain else (_JSON, _JSON_CPU)
    keys: list[bytes] = []
    values: list[list[bytes]] = []
    damage: list[Damage] = []
    position = 0
    for found in entry.finditer(text):
        _gap(text, position, found.start(), damage)
        position = found.end()
        key = _raw(found[1])
        value = [_raw(one[1]) for one in cpu.finditer(found[2])]
        if _alike(keys, values, key, value):
            keys.append(key)
            values.append(value)
        else:
            _complain(damage, found.start(), "an entry of other sizes than the ones before")
    _gap(text, position, len(text), damage)
    shape = (len(keys), len(values[0]), len(values[0][0])) if values else (0, 0, 0)
    return PerCpuDump(
        source,
        map_name_of(source.rsplit("/", 1)[-1]),
        np.frombuffer(b"".join(keys), np.uint8).reshape(len(keys), len(keys[0]) if keys else 0),
        np.frombuffer(b"".join(b"".join(one) for one in values), np.uint8).reshape(shape),
        tuple(damage),
    )


def _raw(digits: bytes) -> bytes:
    return bytes(int(pair, 16) for pair in _DIGITS.findall(digits))


def _alike(keys: list[bytes], values: list[list[bytes]], key: bytes, value: list[bytes]) -> bool:
    size = len(value[0])
    if any(len(one) != size for one in value):
        return False
    return not keys or (len(key), len(value), size) == (
        len(keys[0]),
        len(values[0]),
        len(values[0][0]),
    )


def _gap(text: bytes, start: int, end: int, damage: list[Damage]) -> None:
    """Note what stands between two entries and belongs to neither."""
    found = _BETWEEN.match(text, start, end)
    offset = found.end() if found else start
    if offset < end:
        _complain(damage, offset, "no entry where one should be")


def _complain(damage: list[Damage], offset: int, reason: str) -> None:
    if len(damage) < MOST_DAMAGE:
        damage.append(Damage(offset, reason))
