from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from typing import TYPE_CHECKING

import pytest

from ctconsole.kernel import netns, probes
from ctconsole.kernel.maps import all_maps, all_programs
from ctconsole.kernel.mounts import find_bpffs
from ctconsole.kernel.probes import Probe, probe_all

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NOBODY = 65534


@pytest.fixture(scope="module")
def found() -> dict[str, Probe]:
    return {probe.name: probe for probe in probe_all()}


def eventually(condition: Callable[[], bool]) -> bool:
    """The kernel frees maps and programs a moment after their last user has gone."""
    for _ in range(100):
        if condition():
            return True
        time.sleep(0.02)
    return False


def test_this_machine_can_do_everything(found: dict[str, Probe]) -> None:
    assert [probe for probe in found.values() if not probe.ok] == []
    assert found["element count"].detail == "exact, by bpf_map_sum_elem_count"
    assert found["program hooks"].detail.startswith("cgroup, tcx")


def test_probing_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = netns.names()
    # Others probe the machine at any time.
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    probe_all()
    assert eventually(lambda: "probe" not in {info.name for info in all_maps()})
    assert eventually(lambda: "probe" not in {info.name for info in all_programs()})
    assert not [path for path in find_bpffs() if path.is_relative_to(tmp_path)]
    assert not [name for name in set(netns.names()) - set(names) if "probe" in name]
    assert not list(tmp_path.iterdir())


def test_without_privileges_every_line_still_comes_with_its_remedy() -> None:
    script = (
        "import os, json, dataclasses\n"
        "from ctconsole.kernel.probes import probe_all\n"
        f"os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY})\n"
        "print(json.dumps([dataclasses.asdict(p) for p in probe_all()]))\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    seen = {probe["name"]: probe for probe in json.loads(result.stdout)}
    for name in ("capabilities", "bpffs", "network namespaces", "tc clsact"):
        assert not seen[name]["ok"], name
        assert seen[name]["remedy"], name
        assert seen[name]["needed"], name
    assert seen["capabilities"]["detail"] == "CAP_NET_ADMIN and CAP_SYS_ADMIN not effective"
    assert "not permitted" in seen["bpffs"]["detail"]
    assert not seen["program hooks"]["ok"]
    assert seen["BTF"]["ok"]
    assert result.stderr == ""


def test_the_unrelated_bcc_of_pypi_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "bcc"
    package.mkdir()
    (package / "__init__.py").touch()
    monkeypatch.setattr(probes, "DEBIAN_BCC", tmp_path / "nowhere")
    found = {probe.name: probe for probe in probe_all()}
    assert found["bcc"].detail == "the BPF Compiler is not installed"
    monkeypatch.syspath_prepend(str(tmp_path))
    found = {probe.name: probe for probe in probe_all()}
    assert found["bcc"].detail.endswith("an unrelated PyPI package")
    assert not found["bcc"].ok


def test_what_is_missing_on_an_older_node_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old_btf = tmp_path / "vmlinux"
    old_btf.write_bytes(b"\0bpf_iter_bpf_map\0")
    monkeypatch.setattr(probes, "BTF", old_btf)
    monkeypatch.setattr(probes, "HEADERS", tmp_path)
    monkeypatch.setattr(probes, "MODULES", tmp_path)
    monkeypatch.setattr(probes, "iterator_objects", lambda: tmp_path)
    found = {probe.name: probe for probe in probe_all()}
    assert found["map iterators"].ok
    assert "has no bpf_map_sum_elem_count" in found["element count"].detail
    assert found["kernel headers"].detail == "none are installed"
    assert found["compiled iterators"].remedy == "make setup"
    old_btf.unlink()
    found = {probe.name: probe for probe in probe_all()}
    assert [found[name].ok for name in ("BTF", "map iterators")] == [False, False]
