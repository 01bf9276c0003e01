"""Dumps of real Cilium maps with what Cilium's own tool printed for them (tests/data/captures)."""

from __future__ import annotations

from pathlib import Path, PurePath

from ctconsole.model.ct.layout import VALUE_SIZE, Layout
from ctconsole.model.ct.table import CtTable
from ctconsole.model.readers.dump import Dump, read_dump
from ctconsole.model.spec import MapInfo, MapType

CAPTURES = Path(__file__).parent.parent / "data" / "captures"
FOLDERS = ("handmade-1.9", "handmade-1.18", "real-1.18-a", "real-1.18-svc")
NAMES = ("ct4_global", "ct_any4_global", "ct6_global", "ct_any6_global")


def dump_files(folder: str) -> list[Path]:
    """The conntrack dumps of a capture, in Cilium's order."""
    paths = [CAPTURES / folder / f"cilium_{name}.bpftool.json" for name in NAMES]
    return [path for path in paths if path.exists()]


def layout_of(folder: str) -> Layout:
    return Layout(folder.split("-")[1])


def dump(path: Path) -> Dump:
    return read_dump([path.read_bytes()], str(path))


def tables(folder: str, *, now: int = 0, taken_at: float = 0.0) -> list[CtTable]:
    """The conntrack maps of a capture."""
    return [table(path, layout_of(folder), now, taken_at) for path in dump_files(folder)]


def table(path: Path, layout: Layout, now: int = 0, taken_at: float = 0.0) -> CtTable:
    read = dump(path)
    size = 38 if "6" in read.map_name else 14
    info = MapInfo(
        0,
        read.map_name[:15],
        MapType.LRU_HASH,
        size,
        VALUE_SIZE,
        4096,
        pin=PurePath(read.map_name),
    )
    keys = read.keys.reshape(-1, size)
    values = read.values.reshape(-1, VALUE_SIZE)
    return CtTable.from_raw(info, layout, keys, values, now=now, taken_at=taken_at)


def printed(folder: str, name: str) -> bytes:
    """What Cilium's tool printed."""
    return (CAPTURES / folder / name).read_bytes()
