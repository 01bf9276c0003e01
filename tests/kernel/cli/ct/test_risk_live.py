"""``ct risk`` of a node's own tables."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

from click.testing import CliRunner

from ctconsole.cli.main import root as cli
from ctconsole.kernel import mapwrite
from ctconsole.kernel.clock import ktime
from ctconsole.manager.bpfmap import open_or_create_map
from ctconsole.paths import GLOBALS
from tests.support.ct_entries import CT4, ct4_rows
from tests.support.translated import translated_connection

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result

    from ctconsole.kernel.gate import Gate


def risk(bpffs: Path) -> Result:
    return CliRunner().invoke(
        cli, ["ct", "risk", "--json", "--bpf-root", str(bpffs)], standalone_mode=False
    )


def test_a_flush_breaks_what_is_translated_and_a_new_table_does_not(
    gate: Gate, bpffs: Path
) -> None:
    with translated_connection(gate, bpffs / GLOBALS):
        [told] = json.loads(risk(bpffs).stdout)
    snat = {
        one["change"]: [each["entries"] for each in one["reasons"] if each["reason"] == "snat"]
        for one in told["changes"]
    }
    assert snat == {"recreate": [], "flush": [1]}


def test_where_translations_are_not_known_that_is_said(gate: Gate, bpffs: Path) -> None:
    folder = bpffs / GLOBALS
    odd = replace(CT4, name="cilium_snat_v4_external", value_size=24)
    with (
        open_or_create_map(gate, folder / CT4.name, CT4).map as live,
        open_or_create_map(gate, folder / odd.name, odd).map,
    ):
        mapwrite.update_batch(gate, live, *ct4_rows(3, lifetime=ktime() + 100))
        result = risk(bpffs)
    assert "translations are not known: cilium_snat_v4_external has keys of 14" in result.stderr
    assert json.loads(result.stdout)[0]["entries"] == 3
