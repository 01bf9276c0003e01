"""Large maps are listed in parts, while the rest is read: what is printed must not show it."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest
from click.testing import CliRunner

from ctconsole.cli.main import root as cli
from ctconsole.errors import BpfError, bpf_error
from ctconsole.kernel import mapwrite
from ctconsole.kernel.clock import ktime
from ctconsole.kernel.maps import BpfMap
from ctconsole.kernel.pins import pin
from ctconsole.model.ct.clock import Moment
from ctconsole.model.ct.reading import PLAIN
from ctconsole.node import pinned
from ctconsole.node.pinned import PinnedTables
from ctconsole.paths import GLOBALS
from tests.support.ct_entries import CT4, ct4_rows

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    from ctconsole.kernel.gate import Gate

    Part: TypeAlias = tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]

ROWS = 2000
PART = 256


@pytest.fixture
def root(gate: Gate, bpffs: Path) -> Path:
    with mapwrite.create(gate, CT4) as live:
        pin(gate, live, bpffs / GLOBALS / CT4.name)
        mapwrite.update_batch(gate, live, *ct4_rows(ROWS, lifetime=ktime() + 1000))
    other = replace(CT4, name="cilium_ct_any4_global")
    with mapwrite.create(gate, other) as live:
        pin(gate, live, bpffs / GLOBALS / other.name)
    return bpffs


def printed(root: Path, *arguments: str) -> bytes:
    command = ["ct", "list", "--bpf-root", str(root), *arguments]
    done = CliRunner().invoke(cli, command, standalone_mode=False)
    assert done.return_value == 0, done.stderr
    return done.stdout_bytes


@pytest.mark.parametrize("output", ["cilium", "cilium-json", "json", "ndjson", "csv", "table"])
@pytest.mark.parametrize("layout", ["1.9", "1.18", "auto"])
def test_parts_print_what_the_whole_prints(
    root: Path, monkeypatch: pytest.MonkeyPatch, output: str, layout: str
) -> None:
    # Filtered, so that a second going by between two lists changes nothing.
    arguments = ("-o", output, "--layout", layout, "--filter", "left>1m")
    if output in {"json", "ndjson", "csv", "table"}:
        monkeypatch.setattr(pinned, "moment", lambda _: Moment(5, taken_at=1_700_000_000.0))
    whole = printed(root, *arguments)
    monkeypatch.setattr(pinned, "_PART", PART)
    assert printed(root, *arguments) == whole


def test_a_map_comes_in_parts_of_which_one_is_the_last(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pinned, "_PART", PART)
    pins = PinnedTables(root, whole=False)
    found = list(pins.maps(PLAIN, print, also_local=True))
    pins.close()
    *parts, last, empty = found
    assert len(parts) >= ROWS // (2 * PART)
    assert not any(one.last for one in parts)
    assert last.last
    assert empty.last
    keys = {key.tobytes() for one in found for key in one.keys}
    assert len(keys) == sum(len(one.keys) for one in found) == ROWS


def test_whoever_stops_early_leaves_no_thread_behind(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pinned, "_PART", PART)
    before = threading.active_count()
    pins = PinnedTables(root, whole=False)
    next(pins.maps(PLAIN, print, also_local=True))
    pins.close()
    unread = PinnedTables(root, whole=False)
    unread.close()
    unread.close()
    assert threading.active_count() == before


def test_a_map_that_breaks_off_is_listed_as_far_as_it_came(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks_off(live: BpfMap, _chunk: int) -> Iterator[Part]:
        dump = live.read()
        yield dump.keys[:PART], dump.values[:PART]
        raise bpf_error(12, "BPF_MAP_LOOKUP_BATCH", live.subject)

    monkeypatch.setattr(BpfMap, "read_parts", breaks_off)
    command = ["ct", "list", "--bpf-root", str(root), "-o", "ndjson"]
    done = CliRunner().invoke(cli, command, standalone_mode=False)
    assert done.return_value == 1
    assert done.stdout.count("\n") == PART
    assert "was read in part" in done.stderr
    assert "Cannot allocate memory" in done.stderr


def test_a_map_that_cannot_be_read_at_all_is_an_error(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(live: BpfMap, _chunk: int) -> Iterator[Part]:
        raise bpf_error(1, "BPF_MAP_LOOKUP_BATCH", live.subject)

    monkeypatch.setattr(BpfMap, "read_parts", refuses)
    pins = PinnedTables(root, whole=False)
    with pytest.raises(BpfError, match="Operation not permitted"):
        list(pins.maps(PLAIN, print, also_local=True))
    pins.close()


@pytest.mark.parametrize("verb", [["ct", "stats", "--json"], ["ct", "risk", "--json", "--entries"]])
@pytest.mark.parametrize("layout", [[], ["--layout", "1.9"]])
def test_parts_count_what_the_whole_counts(
    root: Path, monkeypatch: pytest.MonkeyPatch, verb: list[str], layout: list[str]
) -> None:
    command = [*verb, *layout, "--bpf-root", str(root)]
    whole = json.loads(CliRunner().invoke(cli, command, standalone_mode=False).stdout)
    monkeypatch.setattr(pinned, "_PART", PART)
    parts = json.loads(CliRunner().invoke(cli, command, standalone_mode=False).stdout)
    assert [one["entries"] for one in parts] == [ROWS, 0]
    assert normalised(parts) == normalised(whole)


def normalised(told: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without what depends on the moment, and on the order the kernel hands entries out in."""
    for one in told:
        one.pop("left", None), one.pop("idle", None), one.pop("sources", None)
        for change in one.get("changes", []):
            change["at_risk"] = len(change["at_risk"])
    return told


def test_a_filter_that_few_match_gives_them_as_one_table(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pinned, "_PART", PART)
    told = printed(root, "--filter", "src:0.0.0.0/24")
    assert told.count(b"cilium_ct4_global: 256 of ") == 1
    assert told.count(b"10.0.0.1") == 256


def test_a_reader_that_is_far_ahead_waits_and_can_be_stopped(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pinned, "_PART", 64)
    monkeypatch.setattr(pinned, "_AHEAD", 2)
    with PinnedTables(root, whole=False) as tables:
        first = next(tables.maps(PLAIN, lambda _: None, also_local=False))
        assert 0 < len(first.keys) < ROWS
    assert not [one for one in threading.enumerate() if one.name == "read-ahead"]
