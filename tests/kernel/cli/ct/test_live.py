"""``ct list`` on live maps with Cilium's names on a private bpffs."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest

from ctconsole.kernel import mapwrite, pins
from ctconsole.model.spec import MapSpec, MapType
from ctconsole.paths import GLOBALS
from tests.support.captures import FOLDERS, dump, dump_files, layout_of, printed
from tests.support.ct_entries import ct4_rows

if TYPE_CHECKING:
    from pathlib import Path

    from ctconsole.kernel.gate import Gate


def pin_captures(gate: Gate, root: Path, folder: str, *, value_size: int = 56) -> dict[str, int]:
    """Create the maps of a capture, with values of a size; returns their ids by name."""
    found = {}
    for path in dump_files(folder):
        read = dump(path)
        size = 38 if "6" in read.map_name else 14
        spec = MapSpec(read.map_name, MapType.LRU_HASH, size, value_size, 4096)
        with mapwrite.create(gate, spec) as live:
            pins.pin(gate, live, root / GLOBALS / read.map_name)
            if len(read.keys):
                values = np.zeros((len(read.keys), value_size), np.uint8)
                kept = min(value_size, read.values.shape[1])
                values[:, :kept] = read.values[:, :kept]
                mapwrite.update_batch(gate, live, read.keys, values)
            found[read.map_name] = live.info.id
    return found


def ct_list(*arguments: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "ctconsole", "ct", "list", *arguments]
    return subprocess.run(command, capture_output=True, check=False)


@pytest.mark.parametrize("folder", FOLDERS)
def test_text_of_live_maps(gate: Gate, bpffs: Path, folder: str) -> None:
    pin_captures(gate, bpffs, folder)
    layout = str(layout_of(folder))
    done = ct_list("--bpf-root", str(bpffs), "-o", "cilium", "--layout", layout)
    wanted = printed(folder, "ct-list.txt")
    assert done.returncode == 0
    assert sorted(done.stdout.split(b"\n")) == sorted(
        # The 1.9 tool skips a missing map without a line; these captures have all or just IPv4.
        wanted.split(b"\n")
    )


def test_times_of_live_entries_are_told(gate: Gate, bpffs: Path) -> None:
    pin_captures(gate, bpffs, "real-1.18-svc")
    done = ct_list("--bpf-root", str(bpffs), "-o", "json")
    found = json.loads(done.stdout)
    assert len(found) == 5
    assert all(entry["expires"].endswith("Z") for entry in found)
    assert all(isinstance(entry["alive"], bool) for entry in found)


def test_a_map_by_its_id(gate: Gate, bpffs: Path) -> None:
    ids = pin_captures(gate, bpffs, "handmade-1.18")
    done = ct_list("--map-id", str(ids["cilium_ct6_global"]), "-o", "cilium", "--layout", "1.18")
    assert done.stdout.startswith(b"TCP OUT fd00::10:8080 -> fd00::20:43211 expires=")


def test_an_id_that_nobody_has_keeps_none_from_the_list(gate: Gate, bpffs: Path) -> None:
    ids = pin_captures(gate, bpffs, "handmade-1.18")
    gone = max(ids.values()) + 100_000
    both = ("--map-id", str(gone), "--map-id", str(ids["cilium_ct6_global"]))
    done = ct_list(*both, "-o", "cilium")
    assert done.returncode == 1
    assert done.stdout.startswith(b"TCP OUT fd00::10:8080 -> fd00::20:43211 expires=")
    assert f"map {gone}".encode() in done.stderr


@pytest.mark.parametrize("entries", [1, 100_000])
def test_what_was_read_before_a_missing_map_is_printed_whole(
    gate: Gate, bpffs: Path, entries: int
) -> None:
    spec = MapSpec("cilium_ct4_global", MapType.HASH, 14, 56, entries)
    with mapwrite.create(gate, spec) as live:
        pins.pin(gate, live, bpffs / GLOBALS / spec.name)
        mapwrite.update_batch(gate, live, *ct4_rows(entries, lifetime=1))
    done = ct_list("--bpf-root", str(bpffs), "-o", "cilium", "--layout", "1.18")
    assert done.returncode == 1
    assert done.stdout.count(b"\n") == entries + 1
    assert b"cilium_ct_any4_global: No such file" in done.stderr


def test_a_missing_map_ends_1_18_and_not_1_9(gate: Gate, bpffs: Path) -> None:
    pin_captures(gate, bpffs, "handmade-1.9")
    gone = bpffs / GLOBALS / "cilium_ct_any4_global"
    pins.unpin(gate, gone)
    arguments = ("--bpf-root", str(bpffs), "-o", "cilium", "--layout")
    old, new = ct_list(*arguments, "1.9"), ct_list(*arguments, "1.18")
    reason = f"Unable to get object {gone}: no such file or directory. Skipping.\n"
    assert old.returncode == 0
    assert old.stderr.decode() == f"Unable to open {gone}: {reason}"
    assert old.stdout.count(b"->") == 6
    assert new.returncode == 1
    assert new.stdout.count(b"->") == 4


def test_values_of_48_bytes_are_what_each_versions_tool_makes_of_them(
    gate: Gate, bpffs: Path
) -> None:
    pin_captures(gate, bpffs, "handmade-1.9", value_size=48)
    arguments = ("--bpf-root", str(bpffs), "-o", "cilium", "--layout")
    old, new = ct_list(*arguments, "1.9"), ct_list(*arguments, "1.18")
    # The reports are in the bytes that are missing.
    wanted = re.sub(rb"(Last.xReport)=\d+", rb"\1=0", printed("handmade-1.9", "ct-list.txt"))
    assert old.returncode == 0
    assert sorted(old.stdout.split(b"\n")) == sorted(wanted.split(b"\n"))
    assert b"values of 48 bytes" in old.stderr
    assert (new.returncode, new.stdout) == (1, b"")
    assert b"values of 48 bytes" in new.stderr
    people = ct_list("--bpf-root", str(bpffs), "--layout", "1.9")
    assert b"cilium_ct4_global: 4 entries, layout unknown" in people.stdout


def test_json_as_cilium_is_all_or_nothing(gate: Gate, bpffs: Path) -> None:
    pin_captures(gate, bpffs, "handmade-1.18")
    pins.unpin(gate, bpffs / GLOBALS / "cilium_ct_any6_global")
    done = ct_list("--bpf-root", str(bpffs), "-o", "cilium-json", "--layout", "1.18")
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"cilium_ct_any6_global" in done.stderr


@pytest.mark.parametrize(
    ("layout", "ipv6", "code"),
    [
        ("1.10", False, 0),
        ("1.13", True, 0),
        ("1.14", True, 1),
        ("1.14", False, 0),
        ("1.20", True, 1),
    ],
)
def test_the_tables_of_ipv6_may_be_missing_where_it_is_off(
    gate: Gate, bpffs: Path, layout: str, *, ipv6: bool, code: int
) -> None:
    others = ["cilium_snat_v6_external"] if ipv6 else []
    for name in ("cilium_ct4_global", "cilium_ct_any4_global", *others):
        with mapwrite.create(gate, MapSpec(name[:15], MapType.HASH, 14, 56, 4)) as live:
            pins.pin(gate, live, bpffs / GLOBALS / name)
    done = ct_list("--bpf-root", str(bpffs), "-o", "cilium", "--layout", layout)
    assert (done.returncode, done.stdout) == (code, b"\n\n")
    told = ipv6 or layout == "1.10"
    assert (b"cilium_ct6_global" in done.stderr) == told


def test_a_node_without_ipv6_is_no_error(gate: Gate, bpffs: Path) -> None:
    pin_captures(gate, bpffs, "real-1.18-a")
    done = ct_list("--bpf-root", str(bpffs), "-o", "cilium", "--layout", "1.18")
    assert (done.returncode, done.stderr) == (0, b"")


def test_values_of_64_bytes_are_cut_up_to_1_13(gate: Gate, bpffs: Path) -> None:
    pin_captures(gate, bpffs, "handmade-1.9", value_size=64)
    arguments = ("--bpf-root", str(bpffs), "-o", "cilium", "--layout")
    old, new = ct_list(*arguments, "1.9"), ct_list(*arguments, "1.14")
    wanted = printed("handmade-1.9", "ct-list.txt")
    assert old.returncode == 0
    assert sorted(old.stdout.split(b"\n")) == sorted(wanted.split(b"\n"))
    assert b"the rest is left out" in old.stderr
    assert (new.returncode, new.stdout) == (1, b"")


def test_no_maps_at_all(bpffs: Path) -> None:
    done = ct_list("--bpf-root", str(bpffs))
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"--from-dump" in done.stderr
    assert b"Traceback" not in done.stderr
