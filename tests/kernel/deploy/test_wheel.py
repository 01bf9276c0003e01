"""The wheel, installed where there is no checkout: it has what the program needs beside it."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ctconsole import paths
from ctconsole.kernel import mapwrite, pins
from ctconsole.paths import GLOBALS
from tests.support.ct_entries import CT4

if TYPE_CHECKING:
    from ctconsole.kernel.gate import Gate

ROOT = Path(__file__).parents[3]

PLACES = {
    "bash": "share/bash-completion/completions/ctconsole",
    "zsh": "share/zsh/site-functions/_ctconsole",
    "fish": "share/fish/vendor_completions.d/ctconsole.fish",
}


def run(*argv: str | Path, cwd: Path) -> str:
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("PYTHON")
    }
    done = subprocess.run(
        [*map(str, argv)],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ``bin`` of a fresh environment with the wheel in it.

    The libraries are those of this environment, so that nothing is fetched.
    """
    folder = tmp_path_factory.mktemp("wheel")
    # From a copy: building in the checkout would share its build folder with other tests.
    run(
        *("git", "-c", f"safe.directory={ROOT}", "clone", "-q", "--no-hardlinks", ROOT, "source"),
        cwd=folder,
    )
    run(
        *(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation"),
        *("-w", folder / "dist", folder / "source"),
        cwd=folder,
    )
    [wheel] = (folder / "dist").glob("*.whl")
    fresh = folder / "venv"
    venv.create(fresh, with_pip=False, symlinks=True)
    run(
        *(sys.executable, "-m", "pip", "--python", fresh / "bin" / "python", "install", "-q"),
        *("--no-deps", "--no-index", wheel),
        cwd=folder,
    )
    packages = sysconfig.get_path("purelib", "venv", {"base": str(fresh)})
    libraries = sysconfig.get_path("purelib")
    (Path(packages) / "libraries.pth").write_text(f"{libraries}\n")
    return fresh / "bin"


def test_its_data_lies_in_it(installed: Path) -> None:
    code = (
        "import ctconsole.paths as p, sys;"
        "print(p.bpf_sources(), p.iterator_objects(), p.themes(), sep='\\n')"
    )
    found = run(installed / "python", "-c", code, cwd=installed).splitlines()
    ours = (paths.bpf_sources(), paths.iterator_objects(), paths.themes())
    for packed, checkout in zip(map(Path, found), ours, strict=True):
        assert packed.is_relative_to(installed.parent)
        names = {one.name for one in checkout.iterdir() if one.suffix != ".pending"}
        assert {one.name for one in packed.iterdir()} == names


def test_it_brings_the_manual_page_and_what_completes_verbs(installed: Path) -> None:
    prefix = installed.parent
    program = str(installed / "ctconsole")
    page = (prefix / "share/man/man1/ctconsole.1").read_text(encoding="utf-8")
    assert page == run(program, "man", cwd=installed)
    for shell, place in PLACES.items():
        text = (prefix / place).read_text(encoding="utf-8")
        assert text == run(program, "completion", shell, cwd=installed)


def test_it_counts_with_the_iterators_in_it(gate: Gate, bpffs: Path, installed: Path) -> None:
    with mapwrite.create(gate, CT4) as live:
        pins.pin(gate, live, bpffs / GLOBALS / CT4.name)
        mapwrite.update(gate, live, bytes(14), bytes(56))
        argv = ("export", "--for", "0", "--bpf-root", bpffs, "--textfile")
        run(installed / "ctconsole", *argv, installed / "x.prom", cwd=installed)
    written = (installed / "x.prom").read_text()
    assert 'ctconsole_map_entries{map_name="ct4_global"} 1.0' in written
    assert 'ctconsole_ct_entries{map_name="ct4_global",state="expired"} 1.0' in written
