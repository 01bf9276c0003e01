"""Conntrack tables as Parquet files, which DuckDB, Spark, Trino and pandas read.

A snapshot is one file: ``DIR/node=NAME/taken=2026-11-28T14-03-09Z/ct.parquet``. What reads such a
folder finds the node and the time as columns, and looks only into what a question is about.
"""

from __future__ import annotations

import os
import re
import secrets
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import quote

import numpy as np

from ctconsole.errors import CtconsoleError, MissingFeatureError, UsageError
from ctconsole.model.ct.layout import IpProtocol
from ctconsole.model.ct.table import Direction, State
from ctconsole.model.text.addresses import address
from ctconsole.private import make_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    import numpy.typing as npt

    from ctconsole.model.ct.hiding import Hiding
    from ctconsole.model.ct.table import CtTable
    from ctconsole.node.entries import Part

SCHEMA_VERSION: Final = "1"
"""In the files' metadata as ``ctconsole.schema``; a column that means something else is another
version, a new column is not."""

_NAME: Final = "ct.parquet"
_MOST_NAME: Final = 200
"""Letters of a node's name; a folder's name has 255 bytes."""


class ParquetColumn(NamedTuple):
    """A column of the files.

    Attributes:
        name: what it is called.
        type: pyarrow's name of its type; ``word`` is text that repeats itself.
        told: what it means, as the files tell it, too.
        values: its values of a table.
    """

    name: str
    type: str
    told: str
    values: Callable[[CtTable], Any]


def _timed(values: Callable[[CtTable], npt.NDArray[Any]]) -> Callable[[CtTable], Any]:
    """What is known only where the clock is; else every value is null."""
    return lambda table: values(table) if table.has_clock else [None] * len(table)


def _words(codes: npt.NDArray[np.uint8], words: Iterable[str]) -> Any:  # noqa: ANN401 - pyarrow has no types
    import pyarrow as pa

    return pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int32)), list(words))


def _addresses(rows: npt.NDArray[np.uint8]) -> Any:  # noqa: ANN401 - likewise
    """Addresses as text, each written once."""
    import pyarrow as pa

    from ctconsole.model.text.columns import join, literal

    size = rows.shape[1]
    if not len(rows):
        return _words(np.zeros(0, np.uint8), [])
    plain = np.ascontiguousarray(rows).view(f"V{size}").reshape(-1)
    each, codes = np.unique(plain, return_inverse=True)
    clear = each.view(np.uint8).reshape(-1, size)
    text = join([*address(clear), literal(b"\n")], len(clear))
    texts = text.tobytes().decode("ascii").splitlines()
    return pa.DictionaryArray.from_arrays(pa.array(codes.reshape(-1).astype(np.int32)), texts)


def _protocols(table: CtTable) -> Any:  # noqa: ANN401 - likewise
    known = {int(one): one.name.lower() for one in IpProtocol}
    return _words(table.keys["nexthdr"], [known.get(n, str(n)) for n in range(256)])


COLUMNS: Final = (
    ParquetColumn(
        "map", "word", "name of the map", lambda t: _words(np.zeros(len(t), "u1"), [t.info.label])
    ),
    ParquetColumn(
        "family", "uint8", "4 or 6", lambda t: np.full(len(t), 6 if t.is_ipv6 else 4, "u1")
    ),
    ParquetColumn("protocol", "word", "tcp, udp, ..., else its number", _protocols),
    ParquetColumn(
        "direction",
        "word",
        "out, in, service: which way the entry looks",
        lambda t: _words(t.direction, [one.name.lower() for one in Direction]),
    ),
    ParquetColumn("related", "bool", "an entry for ICMP errors of a flow", lambda t: t.related),
    ParquetColumn("src", "word", "address of whoever began", lambda t: _addresses(t.ends.source)),
    ParquetColumn("sport", "uint16", "port of it", lambda t: t.ends.source_port),
    ParquetColumn(
        "dst", "word", "address of the other end", lambda t: _addresses(t.ends.destination)
    ),
    ParquetColumn("dport", "uint16", "port of it", lambda t: t.ends.destination_port),
    ParquetColumn(
        "state",
        "word",
        "opening, one_way, established, half_closed, closing, expired; null without a clock",
        lambda t: (
            _words(t.state, [one.name.lower() for one in State]) if t.has_clock else [None] * len(t)
        ),
    ),
    ParquetColumn(
        "alive", "bool", "its lifetime is not over; null without a clock", _timed(lambda t: t.alive)
    ),
    ParquetColumn(
        "remaining",
        "int64",
        "seconds it lives on; null without a clock",
        _timed(lambda t: t.remaining),
    ),
    ParquetColumn(
        "idle",
        "int64",
        "seconds since it was last reported, which is every 5 at most; null without a clock",
        _timed(lambda t: t.idle),
    ),
    ParquetColumn(
        "lifetime",
        "uint32",
        "the stamp it lives until, by the node's clock",
        lambda t: t.values["lifetime"],
    ),
    ParquetColumn(
        "packets",
        "uint64",
        "of both directions; null where not counted",
        lambda t: _counted(t, t.packets),
    ),
    ParquetColumn(
        "bytes",
        "uint64",
        "of both directions; null where not counted",
        lambda t: _counted(t, t.bytes),
    ),
    ParquetColumn("flags", "uint16", "the entry's flags as they are", lambda t: t.values["flags"]),
    ParquetColumn(
        "rev_nat", "uint16", "service id for replies, 0: none", lambda t: t.values["rev_nat_index"]
    ),
    ParquetColumn(
        "identity", "uint32", "security identity of the source", lambda t: t.values["src_sec_id"]
    ),
    ParquetColumn(
        "backend", "uint64", "backend id of a service entry, 0: none", lambda t: t.backend
    ),
)
"""What a file has, in this order; beside it ``node`` and ``taken`` are in its path."""


def _counted(table: CtTable, values: npt.NDArray[np.uint64]) -> Any:  # noqa: ANN401 - likewise
    return values if table.counted else [None] * len(table)


class SnapshotFile(NamedTuple):
    """One file that was written."""

    path: Path
    entries: int


def write_snapshots(
    parts: Iterable[Part],
    folder: Path,
    *,
    hiding: Hiding | None = None,
    tell: Callable[[str], None],
) -> list[SnapshotFile]:
    """Write the tables of each node into a file of its own, whole or not at all.

    Args:
        parts: the tables.
        folder: of all snapshots; made where it is missing, for this user alone.
        hiding: replaces addresses and nodes' names.
        tell: takes what could not be read.

    Raises:
        MissingFeatureError: pyarrow is not installed.
        UsageError: there is a snapshot of that node and second.
        CtconsoleError: a file cannot be written.
    """
    _pyarrow()
    files: dict[str, _File] = {}
    try:
        for part in parts:
            if part.problem:
                tell(part.problem)
            table = part.table if hiding is None else hiding.table(part.table)
            node = part.table.whose.name or os.uname().nodename
            name = node if hiding is None else hiding.name(node)
            if name not in files:
                # All tables of a node go where its first one goes, which was read a moment before.
                path = folder / f"node={_folder_name(name)}" / f"taken={_moment(table)}" / _NAME
                files[name] = _File(path, hidden=hiding is not None)
            files[name].add(table)
        return [one.keep() for one in files.values()]
    except OSError as error:
        raise CtconsoleError(f"{folder} cannot be written: {error.strerror or error}") from error
    finally:
        for one in files.values():
            one.drop()


class _File:
    """A file under a hidden name until it is whole."""

    def __init__(self, path: Path, *, hidden: bool) -> None:
        import pyarrow.parquet

        if path.exists():
            raise UsageError(f"{path} is there, and a snapshot is never written over another")
        self._path = path
        self._entries = 0
        make_folder(path.parent)
        self._draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        self._file = os.fdopen(os.open(self._draft, flags, 0o600), "wb")
        self._schema = schema(hidden=hidden)
        self._writer = pyarrow.parquet.ParquetWriter(
            self._file, self._schema, compression="zstd", use_dictionary=True
        )

    def add(self, table: CtTable) -> None:
        """Write these entries."""
        import pyarrow as pa

        columns = [
            pa.array(_native(values) if isinstance(values, np.ndarray) else values)
            for values in (one.values(table) for one in COLUMNS)
        ]
        arrays = [
            column.cast(field.type) for column, field in zip(columns, self._schema, strict=True)
        ]
        self._writer.write_table(pa.Table.from_arrays(arrays, schema=self._schema))
        self._entries += len(table)

    def keep(self) -> SnapshotFile:
        """Give it its name."""
        self._writer.close()
        self._file.flush()
        os.fsync(self._file.fileno())
        self._draft.rename(self._path)
        return SnapshotFile(self._path, self._entries)

    def drop(self) -> None:
        """Let go of it; one that was not kept is gone."""
        with suppress(Exception):
            self._writer.close()
        self._file.close()
        self._draft.unlink(missing_ok=True)


_TYPES: Final = {"word": "string", "bool": "bool_"}


def _native(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """A column as Arrow takes it: on its own, in this machine's byte order."""
    return np.ascontiguousarray(values, values.dtype.newbyteorder("="))


def schema(*, hidden: bool) -> Any:  # noqa: ANN401 - pyarrow has no types
    """The files' schema, with what each column means, and whether addresses were replaced."""
    pyarrow = _pyarrow()
    fields = [
        pyarrow.field(
            one.name,
            getattr(pyarrow, _TYPES.get(one.type, one.type))(),
            metadata={"description": one.told},
        )
        for one in COLUMNS
    ]
    told = {"ctconsole.schema": SCHEMA_VERSION, "ctconsole.hidden": str(hidden).lower()}
    return pyarrow.schema(fields, metadata=told)


def _pyarrow() -> Any:  # noqa: ANN401 - likewise
    try:
        import pyarrow.parquet
    except ModuleNotFoundError as error:
        raise MissingFeatureError(
            "Parquet files need pyarrow", hint="pip install 'ctconsole[parquet]'"
        ) from error
    return pyarrow


def _moment(table: CtTable) -> str:
    """When it was taken, to the second; of files that do not tell, ``unknown``."""
    if not table.taken_at:
        return "unknown"
    return time.strftime("%Y-%m-%dT%H-%M-%SZ", time.gmtime(table.taken_at))


def _folder_name(name: str) -> str:
    """A node's name as part of a path, whatever is in it."""
    quoted = quote(name, safe="", errors="surrogateescape")
    return re.sub(r"^\.+", lambda found: "%2E" * len(found[0]), quoted)[:_MOST_NAME]
