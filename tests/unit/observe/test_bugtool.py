"""Bugtool folders and sysdumps as the releases leave them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import pytest

from ctconsole.kernel import clock
from ctconsole.model.ct.clock import jiffies_at
from ctconsole.model.ct.layout import Layout
from ctconsole.observe.forms import is_interesting
from ctconsole.observe.offline import read_offline
from ctconsole.observe.offline_source import OfflineSource
from tests.support.bugtool import (
    Bugtool,
    debuginfo,
    entries_of,
    packed,
    plain,
    runtime_config,
    sysdump,
)
from tests.support.captures import CAPTURES

if TYPE_CHECKING:
    from pathlib import Path

OLD = Bugtool("handmade-1.9", tool="cilium", debuginfo=debuginfo("1.9.5"))
NEW = Bugtool(
    "handmade-1.18",
    debuginfo=debuginfo("1.18.0", pod="shop/cart", address="10.244.1.40"),
    maps={"cilium_runtime_config": runtime_config(83211)},
)


def counts(path: Path) -> dict[str, int]:
    return {one.info.label: len(one.keys) for one in read_offline([path]).maps}


@pytest.mark.parametrize("markdown", [False, True])
@pytest.mark.parametrize("node", [OLD, NEW], ids=["1.9", "1.18"])
def test_a_nodes_folder_holds_its_maps_and_nothing_is_wrong_with_missing_ones(
    tmp_path: Path, node: Bugtool, *, markdown: bool
) -> None:
    node.markdown = markdown
    folder = node.write(tmp_path / "cilium-bugtool-20230912-100345.12+0000-UTC-7")
    offline = read_offline([folder])
    assert offline.problems == ()
    assert {one.problem for one in offline.maps} == {""}
    for one in offline.maps:
        capture = CAPTURES / node.capture / f"{one.info.label}.bpftool.json"
        if capture.exists():
            pairs = zip(one.keys, one.values, strict=True)
            raw = [(key.tobytes(), value.tobytes()) for key, value in pairs]
            assert raw == entries_of(capture.read_bytes())
    assert "cilium_lxc" not in counts(folder)


@pytest.mark.parametrize("form", ["tar", "tar.gz", "folder"])
def test_a_sysdump_holds_each_nodes_archive_or_its_folder(
    tmp_path: Path, form: Literal["tar", "tar.gz", "folder"]
) -> None:
    top = tmp_path / "cilium-sysdump-20230912-100345"
    for pod, node in (("cilium-7x2lq", OLD), ("cilium-p5d9l", NEW)):
        folder = node.write(top / f"cilium-bugtool-{pod}-20230912-100345")
        if form != "folder":
            packed(folder, form)
    (top / "k8s-pods-20230912-100345.yaml").write_text("kind: PodList\n")
    offline = read_offline([sysdump(top)])
    layouts = {one.node: one.layout for one in offline.maps if one.layout}
    assert [(pod in node, layout) for node, layout in layouts.items() for pod in ("7x2lq",)] == [
        (True, Layout.V1_9),
        (False, Layout.V1_18),
    ]
    assert offline.problems == ()


def test_where_bpftool_may_read_nothing_the_text_is_taken_and_the_errors_are_told(
    tmp_path: Path,
) -> None:
    folder = Bugtool("real-1.18-svc", broken=True).write(tmp_path / "node")
    offline = read_offline([folder])
    assert {one.info.label: len(one.keys) for one in offline.maps} == {
        "cilium_ct4_global": 3,
        "cilium_ct_any4_global": 2,
    }
    assert all(one.from_text for one in offline.maps)
    assert any(
        "cilium_ct4_global.md holds an error instead of entries" in text
        and text.endswith("Operation not permitted")
        for text in offline.problems
    )


def test_a_dump_without_bytes_says_how_to_get_them(tmp_path: Path) -> None:
    file = tmp_path / "cilium_ct4_global.md"
    file.write_text(
        """[{
        "key": {
            "daddr": 16777226,
            "dport": 47873
        },
        "value": {
            "packets": 12
        }
    }
]
"""
    )
    offline = read_offline([tmp_path])
    assert offline.maps == ()
    [told] = offline.problems
    assert told.startswith(f"{file} holds fields instead of bytes")
    assert told.endswith("dump it with bpftool -j")


def test_a_map_whose_dump_was_cut_is_taken_from_the_text(tmp_path: Path) -> None:
    folder = Bugtool("real-1.18-svc").write(tmp_path / "node")
    [dump] = (folder / "cmd").glob("*cilium_ct4_global.md")
    dump.write_bytes(dump.read_bytes()[:500])
    taken = {one.info.label: one for one in read_offline([folder]).maps}
    assert (len(taken["cilium_ct4_global"].keys), taken["cilium_ct4_global"].from_text) == (3, True)
    assert not taken["cilium_ct_any4_global"].from_text


def test_a_map_dumped_twice_is_one_map(tmp_path: Path) -> None:
    source = CAPTURES / "real-1.18-svc" / "cilium_ct4_global.bpftool.json"
    json_dump = tmp_path / "bpftool-map-dump-pinned-cilium_ct4_global.json"
    json_dump.write_bytes(source.read_bytes())
    json_dump.with_suffix(".md").write_text(plain(entries_of(source.read_bytes())))
    assert counts(tmp_path) == {"cilium_ct4_global": 3}
    # Named one by one they were asked for, whatever they hold.
    assert len(read_offline(sorted(tmp_path.iterdir())).maps) == 2


def test_the_pods_of_k8s_mode_are_nodes_of_their_own(tmp_path: Path) -> None:
    folder = tmp_path / "cilium-bugtool-1"
    for pod, capture in (("cilium-7x2lq", "handmade-1.9"), ("cilium-p5d9l", "handmade-1.18")):
        Bugtool(capture, tool="cilium", pod=pod).write(folder)
    tables = [one for one in read_offline([folder]).maps if one.info.label == "cilium_ct4_global"]
    assert [(one.node.rsplit("/", 1)[-1], one.layout) for one in tables] == [
        ("cilium-7x2lq", Layout.V1_9),
        ("cilium-p5d9l", Layout.V1_18),
    ]


def test_the_release_tells_the_layout_where_no_text_does(tmp_path: Path) -> None:
    folder = Bugtool("real-1.18-a", debuginfo=debuginfo("1.16.3")).write(tmp_path / "node")
    for listing in (folder / "cmd").glob("*ct-list*"):
        listing.unlink()
    assert {one.layout for one in read_offline([folder]).maps} == {Layout.V1_16}


def test_the_agents_last_sign_of_life_is_the_time_of_the_files(tmp_path: Path) -> None:
    source = OfflineSource([NEW.write(tmp_path / "node")])
    [table, *_] = [source.decode(one) for one in source.offline.maps if one.layout]
    assert (table.now, table.hertz) == (83211, 0)
    assert OfflineSource([tmp_path], now=5).table(1).now == 5


def test_an_agent_that_counts_jiffies_has_its_entries_read_so(tmp_path: Path) -> None:
    node = Bugtool(
        "handmade-1.18",
        debuginfo=debuginfo("1.12.0", mode="jiffies", hertz=250),
        maps={"cilium_runtime_config": runtime_config(83211)},
    )
    table = OfflineSource([node.write(tmp_path / "node")]).table(1)
    assert (table.now, table.hertz) == (jiffies_at(83211, 250), 250)


def test_jiffies_are_reckoned_as_this_kernel_counts_them() -> None:
    hertz = clock.measured_hertz()
    assert hertz
    slack = 1 + hertz // 128
    before = clock.jiffies() >> 8
    told = jiffies_at(clock.ktime(), hertz)
    assert before - slack <= told <= (clock.jiffies() >> 8) + slack


SHOWN = (
    "549: lru_hash  name cilium_ct4_glob  flags 0x0\n"
    "\tkey 14B  value 56B  max_entries 16  memlock 2176B\n"
    "550: lru_hash  name cilium_ct_any4_  flags 0x0\n"
    "\tkey 14B  value 56B  max_entries 64  memlock 8704B\n"
)


def test_the_list_of_maps_tells_how_full_they_are(tmp_path: Path) -> None:
    folder = Bugtool("real-1.18-svc", shown=SHOWN).write(tmp_path / "node")
    rows = {row.info.label: row for row in OfflineSource([folder]).maps().rows}
    assert {name: row.fill for name, row in rows.items()} == {
        "cilium_ct4_global": 3 / 16,
        "cilium_ct_any4_global": 2 / 64,
        "cilium_ct6_global": None,
        "cilium_ct_any6_global": None,
    }


def test_two_generations_of_a_map_leave_open_which_was_dumped(tmp_path: Path) -> None:
    other = SHOWN.replace("549", "560").replace("max_entries 16", "max_entries 32")
    folder = Bugtool("real-1.18-svc", shown=SHOWN + other).write(tmp_path / "node")
    rows = {row.info.label: row for row in OfflineSource([folder]).maps().rows}
    assert rows["cilium_ct4_global"].fill is None
    assert rows["cilium_ct_any4_global"].fill == 2 / 64


def test_damaged_debugging_information_is_a_problem_with_its_place(tmp_path: Path) -> None:
    folder = NEW.write(tmp_path / "node")
    [file] = (folder / "cmd").glob("cilium-debuginfo-*.json")
    file.write_bytes(file.read_bytes()[:300])
    offline = read_offline([folder])
    assert len(offline.maps) > 4
    assert [text.startswith(f"{file} is no JSON at offset ") for text in offline.problems] == [True]


@pytest.mark.parametrize(
    ("name", "interesting"),
    [
        ("x/cmd/cilium-debuginfo-20230912-100345.12+0000-UTC.json", True),
        ("x/cmd/cilium-debuginfo-20230912-100345.12+0000-UTC.md", False),
        ("x/cmd/cilium-dbg-bpf-ct-list-global--H-unix:---run-cilium.sock.md", True),
        ("x/cmd/cilium-dbg-map-events-cilium_lxc--o-json.md", False),
        ("x/cmd/state/globals/bpf_lxc.o", False),
        ("x/cmd/find--sys-fs-bpf--ls.md", False),
    ],
)
def test_what_of_a_bugtool_folder_is_of_interest(name: str, *, interesting: bool) -> None:
    assert is_interesting(name) is interesting


@pytest.mark.parametrize(
    "entries", [[(b"\1\0", b"\0" * 8)], [(b"\1\0\0\0", b"\xff" * 8)], [], runtime_config(0)]
)
def test_an_array_that_holds_no_sign_of_life_tells_no_time(
    tmp_path: Path, entries: list[tuple[bytes, bytes]]
) -> None:
    node = Bugtool("real-1.18-a", maps={"cilium_runtime_config": entries})
    offline = read_offline([node.write(tmp_path / "node")])
    assert {node.alive_at for node in offline.nodes.values()} == {0}
