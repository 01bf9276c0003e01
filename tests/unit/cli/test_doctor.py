"""``doctor --lab``: whether a lab is what it should be."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import TYPE_CHECKING

from click.testing import CliRunner

from ctconsole.cli.main import root
from ctconsole.kernel import bpffs, probes
from ctconsole.lab import folders

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_a_lab_whose_agent_does_not_run_is_told_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = SimpleNamespace(name="mine", bpf_root=tmp_path / "bpf", state_dir=tmp_path / "state")
    monkeypatch.setattr(folders, "find", lambda _: lab)
    monkeypatch.setattr(probes, "probe_all", list)
    monkeypatch.setattr(bpffs, "pinned_maps", lambda *_: {"a": 1, "b": 2})
    done = CliRunner().invoke(root, ["doctor", "--lab", "mine"])
    assert done.stdout.splitlines() == [
        "FAIL  agent of the lab  does not run -> ctconsole agent start --lab mine",
        f"ok    maps of the lab   2 pinned below {tmp_path / 'bpf'}",
    ]
    told = json.loads(CliRunner().invoke(root, ["doctor", "--lab", "mine", "--json"]).stdout)
    assert told["ok"] is False
    assert (
        CliRunner().invoke(root, ["doctor", "--json"]).stdout
        == '{\n  "ok": true,\n  "probes": []\n}\n'
    )
