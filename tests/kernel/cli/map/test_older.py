"""``map list`` while programs use an older map than the pinned one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from click.testing import CliRunner

from ctconsole.cli.main import root as cli
from ctconsole.kernel import mapwrite, pins
from ctconsole.lab.foreign_agent import ANY_MAP, TCP_MAP
from ctconsole.model.spec import MapSpec, MapType
from ctconsole.paths import GLOBALS
from tests.support.foreign import foreign_node

if TYPE_CHECKING:
    from pathlib import Path

    from ctconsole.kernel.gate import Gate


def test_the_older_map_that_is_in_use_is_named_in_the_place_of_not_used(
    gate: Gate, bpffs: Path, tmp_path: Path
) -> None:
    with foreign_node(gate, bpffs, tmp_path) as node:
        node.agent.start()
        old, pin = node.map_info(), bpffs / GLOBALS / TCP_MAP
        run = CliRunner()
        before = run.invoke(cli, ["map", "list", "--bpf-root", str(bpffs)])
        assert "older map" not in before.stdout
        pins.unpin(gate, pin)
        with mapwrite.create(gate, MapSpec(TCP_MAP, MapType.LRU_HASH, 14, 56, 1024)) as live:
            pins.pin(gate, live, pin)
        shown = run.invoke(cli, ["map", "list", "--bpf-root", str(bpffs)])
        [line] = [line for line in shown.stdout.splitlines() if line.startswith(TCP_MAP)]
        assert "not used" not in line
        assert f"older map {old.id}, replaced " in line
        assert "in use by 2 programs (" in line
        told = run.invoke(cli, ["map", "list", "--bpf-root", str(bpffs), "--json"])
        rows = {row["name"]: row for row in json.loads(told.stdout)}
        older = rows[TCP_MAP]["older"]
        assert (older["id"], older["max_entries"]) == (old.id, old.max_entries)
        assert older["since"] == pin.lstat().st_mtime
        assert len(older["programs"]) == 2
        assert "older" not in rows[ANY_MAP]
