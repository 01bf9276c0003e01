"""Options that several verbs share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import pytest
from click.testing import CliRunner

from ctconsole.cli import options
from ctconsole.cli.options import Seconds, bpf_root_option, layout_option
from ctconsole.model.ct.layout import Layout
from ctconsole.observe import discovery
from ctconsole.paths import GLOBALS

if TYPE_CHECKING:
    from pathlib import Path


@click.command()
@layout_option
@bpf_root_option
def told(*, layout: Layout | None, bpf_root: Path) -> None:
    click.echo(f"{bpf_root} {layout!r}")


def answer(*arguments: str) -> str:
    return CliRunner().invoke(told, arguments).output.strip()


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A node whose maps are not where they usually are."""
    monkeypatch.setattr(options, "DEFAULT_BPF_ROOT", tmp_path / "usual")
    monkeypatch.setattr(discovery, "find_root", lambda: tmp_path / "other")
    return tmp_path


def test_the_bpffs_is_found_where_the_node_has_it(elsewhere: Path) -> None:
    assert answer().startswith(f"{elsewhere}/other ")
    (elsewhere / "usual" / GLOBALS).mkdir(parents=True)
    assert answer().startswith(f"{elsewhere}/usual ")
    assert answer("--bpf-root", "/x").startswith("/x ")


def test_an_empty_path_is_not_the_folder_one_stands_in() -> None:
    assert "the path is empty" in answer("--bpf-root", "")


def test_a_layout_is_one_of_those_known() -> None:
    assert answer("--bpf-root", "/x", "--layout", "1.18") == f"/x {Layout.V1_18!r}"
    assert answer("--bpf-root", "/x") == "/x None"
    assert "none of 1.9, 1.10, 1.11" in answer("--layout", "1.8")


@click.command()
@click.option("--for", "seconds", type=Seconds(min=0.1))
def waited(*, seconds: float) -> None:
    click.echo(str(seconds))


@pytest.mark.parametrize("text", ["nan", "inf", "-1", "0", "soon"])
def test_seconds_are_a_number(text: str) -> None:
    assert CliRunner().invoke(waited, ["--for", "1.5"]).output == "1.5\n"
    refused = CliRunner().invoke(waited, ["--for", text])
    assert refused.exit_code == 2
    assert "Invalid value for '--for'" in refused.output
