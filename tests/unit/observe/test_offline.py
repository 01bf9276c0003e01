"""Maps out of files, folders and archives, sound and damaged."""

from __future__ import annotations

import io
import shutil
import tarfile
import zipfile
from typing import TYPE_CHECKING, Literal

import numpy as np
import pytest

from ctconsole.errors import FormatError, GoneError, UsageError
from ctconsole.model.ct.layout import Layout
from ctconsole.observe.forms import is_interesting
from ctconsole.observe.offline import read_offline
from ctconsole.observe.offline_source import OfflineSource
from tests.support.captures import CAPTURES

if TYPE_CHECKING:
    from pathlib import Path

FOLDER = CAPTURES / "real-1.18-svc"
DUMP = "cilium_ct4_global.bpftool.json"


def names(path: Path) -> list[str]:
    return [one.info.label for one in read_offline([path]).maps]


def bugtool(folder: Path, *, as_text: bool = False) -> Path:
    """A bugtool archive of one node: cmd/*.md in a tar.gz."""
    node = folder / "cilium-bugtool-node1" / "cmd"
    node.mkdir(parents=True)
    if as_text:
        listing = (FOLDER / "ct-list.txt").read_text()
        text = f"# cilium bpf ct list global\n\n```\n{listing}\n```\n"
        (node / "cilium-dbg-bpf-ct-list-global.md").write_text(text)
    else:
        name = "bpftool-map-dump-pinned--sys-fs-bpf-tc-globals-cilium_ct4_global.md"
        text = f"# bpftool -j map dump\n\n```\n{(FOLDER / DUMP).read_text()}```\n"
        (node / name).write_text(text)
    (node / "ip-a.md").write_text("# ip a\n")
    packed = folder / "cilium-bugtool-node1.tar.gz"
    with tarfile.open(packed, "w:gz") as archive:
        archive.add(node.parent, "cilium-bugtool-node1")
    shutil.rmtree(node.parent)
    return packed


def test_a_folder_gives_its_dumps_and_not_the_text_beside_them() -> None:
    offline = read_offline([FOLDER])
    assert [one.info.label for one in offline.maps] == [
        "cilium_ct4_global",
        "cilium_ct6_global",
        "cilium_ct_any4_global",
        "cilium_ct_any6_global",
    ]
    assert offline.problems == ()
    assert [one.info.id for one in offline.maps] == [1, 2, 3, 4]


def test_text_stands_in_where_there_is_no_dump(tmp_path: Path) -> None:
    [one, *_] = read_offline([bugtool(tmp_path, as_text=True)]).maps
    assert (one.info.label, one.layout, one.problem) == ("cilium_ct4_global", Layout.V1_18, "")
    assert len(one.keys) == 3


def test_a_sysdump_is_an_archive_of_archives(tmp_path: Path) -> None:
    packed = bugtool(tmp_path)
    sysdump = tmp_path / "cilium-sysdump.zip"
    with zipfile.ZipFile(sysdump, "w") as archive:
        archive.write(packed, "dump/cilium-bugtool-node1.tar.gz")
        archive.writestr("dump/nodes.yaml", "nothing of interest")
    [one] = read_offline([sysdump]).maps
    assert one.info.label == "cilium_ct4_global"
    assert "cilium-bugtool-node1" in one.node
    assert len(one.keys) == 3


@pytest.mark.parametrize("missing", [600, 1700, 2200, 4000])
@pytest.mark.parametrize("form", ["w", "w:gz"])
def test_a_cut_archive_says_where_and_keeps_what_came_before(
    tmp_path: Path, form: Literal["w", "w:gz"], missing: int
) -> None:
    archive = tmp_path / ("node.tar" if form == "w" else "node.tar.gz")
    with tarfile.open(archive, form) as packed:
        for folder in ("a", "b"):
            packed.add(FOLDER / DUMP, f"{folder}/{DUMP}")
        last = tarfile.TarInfo("c")
        last.size = 4096
        packed.addfile(last, io.BytesIO(np.random.default_rng(7).bytes(4096)))
    whole = archive.read_bytes()
    end = len(whole) if form == "w:gz" else whole.rindex(b"c" + b"\0" * 99) + 512 + 4096
    archive.write_bytes(whole[: end - missing])
    offline = read_offline([archive])
    assert [len(one.keys) for one in offline.maps][:1] == [3]
    assert any(f"{archive}" in problem for problem in offline.problems)
    assert all("is damaged at byte " in problem for problem in offline.problems)


def test_a_damaged_member_of_a_zip_does_not_hide_the_others(tmp_path: Path) -> None:
    archive = tmp_path / "node.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for folder in ("a", "b"):
            packed.write(FOLDER / DUMP, f"{folder}/{DUMP}")
    raw = bytearray(archive.read_bytes())
    raw[100:140] = b"\xff" * 40
    archive.write_bytes(raw)
    offline = read_offline([archive])
    assert len(offline.maps[-1].keys) == 3
    assert any(f"{archive}/a/{DUMP} is damaged" in text for text in offline.problems)


def test_a_damaged_dump_in_an_archive_names_member_and_offset(tmp_path: Path) -> None:
    cut = (FOLDER / DUMP).read_bytes()[:700]
    archive = tmp_path / "node.tar"
    with tarfile.open(archive, "w") as packed:
        entry = tarfile.TarInfo(f"cmd/{DUMP}")
        entry.size = len(cut)
        packed.addfile(entry, io.BytesIO(cut))
    [one] = read_offline([archive]).maps
    assert f"node.tar/cmd/{DUMP} is damaged at byte " in one.problem
    assert len(one.keys) == 1


def test_a_file_that_is_not_there_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"nowhere\.zip cannot be read: No such file"):
        read_offline([tmp_path / "nowhere.zip"])


@pytest.mark.parametrize(
    ("name", "interesting"),
    [
        ("x/cmd/bpftool-map-dump-pinned--sys-fs-bpf-tc-globals-cilium_lxc.md", True),
        ("x/cilium_policy_v2_00990.json", True),
        ("x/cmd/cilium-bpf-ct-list-global.md", True),
        ("x/cilium_ct4_global.show.json", True),
        ("x/cmd/ip-addr-show-cilium_host.md", False),
        ("x/cmd/cilium-status.md", False),
    ],
)
def test_what_is_taken_from_a_folder(name: str, *, interesting: bool) -> None:
    assert is_interesting(name) is interesting


class TestOfflineSource:
    def test_it_shows_counts_and_tables_and_no_events(self) -> None:
        source = OfflineSource([FOLDER], now=4325)
        rows = {row.info.label: row for row in source.maps().rows}
        row = rows["cilium_ct4_global"]
        assert (row.entries, row.fill, row.is_conntrack) == (3, None, True)
        assert row.info.pin is not None
        table = source.table(row.info.pin)
        assert (table.layout, len(table), table.has_clock) == (Layout.V1_18, 3, True)
        assert len(source.table(row.info.id)) == 3
        assert not source.live
        assert list(source.events(0, 10)) == []
        source.close()

    def test_the_layout_may_be_named(self) -> None:
        source = OfflineSource([FOLDER], layout=Layout.V1_16)
        assert source.table(1).layout is Layout.V1_16

    def test_a_map_that_is_not_in_the_files(self) -> None:
        with pytest.raises(GoneError):
            OfflineSource([FOLDER]).table(99)

    def test_files_without_a_map(self, tmp_path: Path) -> None:
        with pytest.raises(FormatError, match="There is no dump of a map in"):
            OfflineSource([tmp_path])
