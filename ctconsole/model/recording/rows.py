"""The rows of a table by what differs from those of the moment before.

A walk comes in the order of the map's buckets, so that most rows follow the one they followed
before: which row came from which is told by the places where that is not so. Of a row that has
changed the difference is kept, as numbers of four bytes: a counter that went up by three and a
lifetime that moved on by two seconds are small numbers wherever they stand. Bytes of one place
are put side by side, which is what makes them pack well.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from ctconsole.errors import FormatError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from ctconsole.model.ct.changes import Pairs

    Bytes = npt.NDArray[np.uint8]
    Places = npt.NDArray[np.int64]

_WORD: Final = 4
_WIDEST: Final = 1 << 16
"""Bytes of a key or a value that are believed."""

_PART: Final = 1 << 14
"""Rows that are compared at a time: the processor's cache has room for them."""


class RawRows(NamedTuple):
    """The raw entries of one table.

    Attributes:
        keys: u1 of shape (n, key size).
        values: u1 of shape (n, value size).
    """

    keys: Bytes
    values: Bytes


class ByColumn(NamedTuple):
    """Rows whose first bytes come first, then the second ones, ...: as large as the table itself.

    Attributes:
        rows: u1 of shape (n, width).
    """

    rows: Bytes

    @property
    def nbytes(self) -> int:
        """Of all of them."""
        return self.rows.nbytes

    def pieces(self) -> Iterator[bytes]:
        """One column after the other."""
        for place in range(self.rows.shape[1]):
            yield self.rows[:, place].tobytes()


def whole(rows: RawRows) -> dict[str, Any]:
    """All rows, for a moment that stands by itself."""
    return {
        "count": len(rows.keys),
        "key": rows.keys.shape[1],
        "value": rows.values.shape[1],
        "keys": ByColumn(rows.keys),
        "values": ByColumn(rows.values),
    }


def of_whole(told: object) -> RawRows:
    """Undo `whole`.

    Raises:
        FormatError: it is none.
    """
    found = _mapping(told)
    count = _number(found, "count")
    keys, values = (
        _rows(found, f"{part}s", count, _number(found, part, _WIDEST)) for part in ("key", "value")
    )
    return RawRows(keys, values)


def difference(older: RawRows, newer: RawRows, kept: Pairs) -> dict[str, Any] | None:
    """What makes the newer rows of the older ones.

    Args:
        older: the rows of the moment before.
        newer: rows of the same sizes.
        kept: which row of the one is which of the other, in any order.

    Returns:
        None where the keys of a pair differ, since the pairs were found by hashes.
    """
    source = np.full(len(newer.keys), -1, np.int32)
    source[kept.newer] = kept.older
    fresh = np.flatnonzero(source < 0)
    came_from = source[source >= 0] if len(fresh) else source
    found = _changed(older, newer, source)
    if found is None:
        return None
    changed, differ = found
    steps = came_from.copy()
    steps[1:] -= came_from[:-1] + np.int32(1)
    jumps = np.flatnonzero(steps)
    return {
        "count": len(newer.keys),
        "fresh": _places(fresh),
        "jumps": _places(jumps),
        "by": _columns(steps[jumps].astype("<i4")[:, None].view(np.uint8)),
        "keys": _columns(newer.keys[fresh]),
        "values": _columns(newer.values[fresh]),
        "changed": _places(changed),
        "differ": _columns(differ),
    }


def _changed(
    older: RawRows, newer: RawRows, source: npt.NDArray[np.int32]
) -> tuple[Places, Bytes] | None:
    """Which of the rows that stay have changed, and by what; None where the keys differ.

    Args:
        older: the rows of the moment before.
        newer: rows of the same sizes.
        source: which of the older rows each newer one is; -1: none.

    Returns:
        Places among the rows that stay, and the differences.
    """
    before, after = _words(older.values), _words(newer.values)
    changed, differ = [np.empty(0, np.int64)], [np.empty((0, newer.values.shape[1]), np.uint8)]
    passed = 0
    for start in range(0, len(source), _PART):
        part = source[start : start + _PART]
        staying = np.flatnonzero(part >= 0)
        old, new = part[staying], start + staying
        if not np.array_equal(older.keys[old], newer.keys[new]):
            return None
        was, now = before[old], after[new]
        rows = np.flatnonzero((was != now).any(axis=1))
        changed.append(rows + passed)
        differ.append(_raw(now[rows] - was[rows]))
        passed += len(staying)
    return np.concatenate(changed), np.concatenate(differ)


def applied(older: RawRows, told: object) -> RawRows:
    """Undo `difference`.

    Raises:
        FormatError: it is none, or not one of these rows.
    """
    found = _mapping(told)
    count, widths = _number(found, "count"), (older.keys.shape[1], older.values.shape[1])
    fresh = _places_of(found, "fresh", count)
    if count - len(fresh) > len(older.keys):
        raise FormatError("A recorded table has more rows than could have stayed")
    staying = np.ones(count, np.bool_)
    staying[fresh] = False
    place = np.flatnonzero(staying)
    jumps = _places_of(found, "jumps", len(place))
    steps = np.ones(len(place), np.int64)
    steps[jumps] += _rows(found, "by", len(jumps), 4).reshape(-1).view("<i4")
    came_from = np.cumsum(steps) - 1
    if len(came_from) and not (came_from.min() >= 0 and came_from.max() < len(older.keys)):
        raise FormatError("A row of a recording came from nowhere")
    keys, values = (np.empty((count, width), np.uint8) for width in widths)
    keys[place], values[place] = older.keys[came_from], older.values[came_from]
    keys[fresh] = _rows(found, "keys", len(fresh), widths[0])
    values[fresh] = _rows(found, "values", len(fresh), widths[1])
    changed = place[_places_of(found, "changed", len(place))]
    differ = _rows(found, "differ", len(changed), widths[1])
    values[changed] = _raw(_words(values[changed]) + _words(differ))
    return RawRows(keys, values)


def _words(raw: Bytes) -> npt.NDArray[Any]:
    """RawRows as unsigned numbers, which go round."""
    if raw.shape[1] % _WORD:
        return raw
    return np.ascontiguousarray(raw).view("<u4")


def _raw(words: npt.NDArray[Any]) -> Bytes:
    return np.ascontiguousarray(words).view(np.uint8)


def _columns(rows: Bytes) -> bytes:
    """The first byte of every row, then the second of every one, ..."""
    return rows.T.tobytes()


def _rows(found: Mapping[str, Any], name: str, count: int, width: int) -> Bytes:
    data = found.get(name)
    if not isinstance(data, bytes) or len(data) != count * width:
        raise FormatError(f"The {name} of a recorded table are not {count} of {width} bytes")
    return np.ascontiguousarray(np.frombuffer(data, np.uint8).reshape(width, count).T)


def _places(rows: npt.NDArray[Any]) -> bytes:
    """Row numbers in order, each by how far it lies behind the one before."""
    apart = np.diff(rows, prepend=0).astype("<u4")
    return _columns(apart[:, None].view(np.uint8))


def _places_of(found: Mapping[str, Any], name: str, count: int) -> Places:
    """Undo `_places`: numbers below ``count``, each above the one before."""
    data = found.get(name)
    if not isinstance(data, bytes) or len(data) % _WORD:
        raise FormatError(f"The {name} rows of a recorded table are no numbers")
    apart = _rows(found, name, len(data) // _WORD, _WORD).reshape(-1).view("<u4")
    rows = np.cumsum(apart.astype(np.int64))
    if len(rows) and not (rows[-1] < count and (apart[1:] > 0).all()):
        raise FormatError(f"The {name} rows of a recorded table are not among its rows")
    return rows


def _mapping(told: object) -> Mapping[str, Any]:
    if not isinstance(told, Mapping):
        raise FormatError("A recorded table is no table")
    return told


def _number(found: Mapping[str, Any], name: str, most: int = (1 << 32) - 1) -> int:
    number = found.get(name)
    if type(number) is not int or not 0 <= number <= most:
        raise FormatError(f"The {name} of a recorded table is no such number: {number!r:.40}")
    return number
