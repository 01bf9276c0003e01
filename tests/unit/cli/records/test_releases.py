"""Every list of a release, from raw dumps of its maps, beside what its own tool printed."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from ctconsole.cli.main import root as cli
from tests.support.captures import CAPTURES

if TYPE_CHECKING:
    from pathlib import Path

RELEASES = {"1.12": "1.12", "1.16-rc": "1.16", "1.18.3": "1.18"}
LISTS = {
    "ct": ["ct", "list"],
    "ct-d": ["ct", "list", "--time-diff"],
    "nat": ["nat", "list"],
    "lb": ["lb", "list"],
    "lb-frontends": ["lb", "list", "--frontends"],
    "lb-backends": ["lb", "list", "--backends"],
    "lb-revnat": ["lb", "list", "--revnat"],
    "lb-source-ranges": ["lb", "list", "--source-ranges"],
    "policy": ["policy", "list", "-n"],
    "ipcache": ["ipcache", "list"],
    "endpoint": ["endpoint", "list"],
    "metrics": ["metrics", "list"],
}
PRINTED = [
    pytest.param(path, id=f"{folder}-{path.name}")
    for folder in RELEASES
    for path in sorted((CAPTURES / folder / "tool").iterdir())
    if path.stem in LISTS and path.suffix in {".txt", ".json"}
]


def listed(path: Path) -> str:
    """What we print for the list that is in a file of the tool's."""
    folder = path.parents[1]
    output = "cilium-json" if path.suffix == ".json" else "cilium"
    command = [*LISTS[path.stem], "-o", output, "--layout", RELEASES[folder.name]]
    clock = path.with_suffix(".now")
    if clock.exists():
        command += ["--now", clock.read_text("ascii").strip()]
    dumps = sorted((folder / "dump").glob("cilium_*.json"))
    if path.stem.startswith("ct"):
        # The tool's `global` leaves out the tables of single endpoints.
        dumps = [one for one in dumps if one.stem.endswith("_global")]
    for dump in dumps:
        command += ["--from-dump", str(dump)]
    # Files have no pins: the tool names the place where Cilium has them.
    pinned = CliRunner().invoke(cli, command).stdout
    return pinned.replace(f"{folder / 'dump'}/", "/sys/fs/bpf/tc/globals/")


SINCE_THE_CANDIDATE = {
    "unknown(7)": "bpf_wireguard.c",
    "204, 0": "No Egress IP configured",
}
"""What 1.16 names that its first release candidate, whose output this is, did not."""


@pytest.mark.parametrize("path", PRINTED)
def test_a_list_is_what_the_tool_of_that_release_prints(path: Path) -> None:
    told, ours = path.read_text("utf-8"), listed(path)
    if "1.16-rc" in path.parts and path.stem == "metrics":
        for before, after in SINCE_THE_CANDIDATE.items():
            told = told.replace(before, after)
        # Other words have another width.
        told, ours = squeezed(told), squeezed(ours)
    if path.suffix == ".json":
        assert in_order(json.loads(ours)) == in_order(json.loads(told))
    else:
        # The tool walks Go maps: its lines come in a random order.
        assert sorted(ours.splitlines()) == sorted(told.splitlines())


def squeezed(text: str) -> str:
    return re.sub(" +", " ", text)


def in_order(value: object) -> object:
    """JSON whose lists are sorted, because the tool's come in a random order."""
    if isinstance(value, dict):
        return {name: in_order(of) for name, of in value.items()}
    if isinstance(value, list):
        return sorted((in_order(one) for one in value), key=repr)
    return value
