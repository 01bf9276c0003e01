"""Readers of files on damaged input: our own errors only, no hang, offsets inside the file."""

from __future__ import annotations

import io
import json
import tarfile
import time
import zipfile
from typing import TYPE_CHECKING

import pytest

from ctconsole.errors import CtconsoleError
from ctconsole.model.ct.layout import Layout
from ctconsole.model.ct.table import CtTable
from ctconsole.model.readers.ct_text import read_ct_text
from ctconsole.model.readers.dump import read_dump
from ctconsole.model.readers.dump_percpu import read_per_cpu
from ctconsole.observe.offline import read_offline
from ctconsole.observe.offline_source import OfflineSource
from tests.support.captures import CAPTURES, printed
from tests.support.mutations import mutations
from tests.support.record_maps import info

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SLOWEST = 2.0
DUMPS = [
    (CAPTURES / folder / f"cilium_{name}.bpftool.json").read_bytes()
    for folder in ("handmade-1.9", "real-1.18-svc")
    for name in ("ct4_global", "ct6_global", "ct_any4_global")
]
PLAIN = b"key:\n" + b"0a " * 14 + b"\nvalue:\n" + b"00 " * 56 + b"\nFound 1 element\n"
TEXTS = [printed(folder, "ct-list.txt") for folder in ("handmade-1.9", "handmade-1.18")]
PER_CPU = [
    json.dumps(
        [
            {
                "key": ["0x01", "0x02"],
                "values": [{"cpu": cpu, "value": ["0xff", "0x00"]} for cpu in range(4)],
            }
        ]
        * 3
    ).encode(),
    b"key:\n00 01\nvalue (CPU 00): 01 02\nvalue (CPU 01): 03 04\nFound 1 element\n" * 2,
]


def each(seeds: list[bytes], count: int, read: Callable[[bytes], None]) -> None:
    """Every damaged copy is read, none in more than `SLOWEST` seconds."""
    for text in mutations(seeds, count):
        started = time.process_time()
        read(text)
        assert time.process_time() - started < SLOWEST, text[:200]


def test_dumps() -> None:
    def read(text: bytes) -> None:
        dump = read_dump([text], "x/cilium_ct4_global.json")
        assert all(0 <= damage.offset <= len(text) for damage in dump.damage)
        assert (dump.error() is None) == (not dump.damage)
        assert len(dump.keys) == len(dump.values)

    each([*DUMPS, PLAIN * 3], 15_000, read)


def test_dumps_in_small_blocks() -> None:
    def read(text: bytes) -> None:
        whole = read_dump([text], "x")
        pieces = read_dump([text[at : at + 61] for at in range(0, len(text), 61)], "x")
        assert pieces.keys.tolist() == whole.keys.tolist()

    each([DUMPS[1], PLAIN], 1_500, read)


def test_texts_of_cilium() -> None:
    def read(text: bytes) -> None:
        found = read_ct_text([text], "x")
        assert all(0 <= damage.offset <= len(text) for damage in found.damage)
        for name, (keys, values) in found.maps.items():
            assert found.layout is not None
            assert len(CtTable.from_raw(info(name), found.layout, keys, values)) == len(keys)

    each(TEXTS, 10_000, read)


def test_per_cpu_dumps() -> None:
    def read(text: bytes) -> None:
        dump = read_per_cpu(text, "x/cilium_metrics.json")
        assert all(0 <= damage.offset <= len(text) for damage in dump.damage)
        assert len(dump.keys) == len(dump.values)

    each(PER_CPU, 25_000, read)


def archives() -> dict[str, bytes]:
    """A sound archive of each sort, with a dump and a text in it."""
    members = {"a/cilium_ct4_global.bpftool.json": DUMPS[0], "b/cmd/ct-list.txt": TEXTS[1]}
    found = {}
    for name, form in (("x.tar", "w"), ("x.tar.gz", "w:gz")):
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode=form) as packed:  # type: ignore[call-overload]  # one of its modes
            for path, text in members.items():
                entry = tarfile.TarInfo(path)
                entry.size = len(text)
                packed.addfile(entry, io.BytesIO(text))
        found[name] = stream.getvalue()
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as zipped:
        for path, text in members.items():
            zipped.writestr(path, text)
    return found | {"x.zip": stream.getvalue()}


@pytest.mark.parametrize("name", archives())
def test_archives(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    sound = archives()[name]

    def read(raw: bytes) -> None:
        path.write_bytes(raw)
        try:
            offline = read_offline([path])
            for one in offline.maps:
                assert len(one.keys) == len(one.values)
        except CtconsoleError:
            return

    each([sound], 1_000, read)


def test_a_source_of_damaged_files(tmp_path: Path) -> None:
    path = tmp_path / "cilium_ct4_global.json"

    def read(text: bytes) -> None:
        path.write_bytes(text)
        try:
            source = OfflineSource([path], layout=Layout.V1_18)
            for row in source.maps().rows:
                if row.is_conntrack:
                    assert len(source.table(row.info.id)) == row.entries
        except CtconsoleError:
            return

    each([*DUMPS, *TEXTS], 1_500, read)
