"""Maps whose pins are called by whatever bytes a file may be called: nothing acts on a terminal."""

from __future__ import annotations

import json
import os
import random
import unicodedata
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from ctconsole.cli.main import root
from ctconsole.exporter.page import Exposition, Pages
from ctconsole.exporter.sampling import NodeSampler
from ctconsole.kernel import mapwrite, pins
from ctconsole.model.spec import MapSpec, MapType
from ctconsole.paths import GLOBALS

if TYPE_CHECKING:
    from pathlib import Path

    from ctconsole.kernel.gate import Gate

COUNT = 40
WORST = (
    b"\x1b[2J\x1b]0;x\x07",
    b"\r\n\x9b31m",
    b"a\nb\tc",
    b"\xe2\x80\xae\xe2\x80\x8b",
    b"\xff\xfe",
    b'"} 1\n',
    b"[bold]$(x)`x`",
)


def names() -> list[str]:
    """The worst, and others of any bytes; the same in every run."""
    chance = random.Random(1)  # noqa: S311 - reproducible names, no secret
    alphabet = bytes(set(range(1, 256)) - set(b"/."))
    drawn = [bytes(chance.choices(alphabet, k=chance.randint(1, 60))) for _ in range(COUNT)]
    return [os.fsdecode(b"cilium_" + one) for one in (*WORST, *drawn)]


@pytest.fixture
def node(gate: Gate, bpffs: Path) -> Path:
    with mapwrite.create(gate, MapSpec("hostile", MapType.HASH, 4, 4, 1)) as live:
        for name in names():
            pins.pin(gate, live, bpffs / GLOBALS / name)
    return bpffs


def acts(sign: str) -> bool:
    """Whether a terminal does more with it than show it."""
    turns = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
    kind = unicodedata.category(sign)
    return kind in {"Cc", "Cs", "Zl", "Zp"} or unicodedata.bidirectional(sign) in turns


def printed(node: Path, *argv: str) -> str:
    done = CliRunner().invoke(root, [*argv, "--bpf-root", str(node)], standalone_mode=False)
    assert done.exception is None, done.exception
    said = done.stdout + done.stderr
    assert {one for one in said if acts(one)} <= {"\n"}
    return done.stdout


@pytest.mark.parametrize("verb", ["map list", "map users"])
def test_whatever_a_map_is_called_a_terminal_is_safe(node: Path, verb: str) -> None:
    assert printed(node, *verb.split())


def test_each_map_is_one_line_or_one_object(node: Path) -> None:
    count = len(names())
    assert len(printed(node, "map", "list").splitlines()) == 1 + count
    assert len(json.loads(printed(node, "map", "list", "-o", "json"))) == count
    lines = printed(node, "map", "list", "-o", "ndjson").splitlines()
    assert len(list(map(json.loads, lines))) == count


def test_each_map_has_its_series(node: Path, tmp_path: Path) -> None:
    with NodeSampler(node, tmp_path / "history.db") as sampler:
        sampler.sample()
        for form in Exposition:
            page = Pages().page(sampler.newest, form).decode()
            lines = [one for one in page.split("\n") if one.startswith("ctconsole_map_capacity")]
            assert len(lines) == len(names())
