"""Options that several verbs share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import pytest
from click.testing import CliRunner

from ctconsole.cli.options import Seconds, bpf_root_option, layout_option
from ctconsole.model.ct.layout import Layout

if TYPE_CHECKING:
    from pathlib import Path


@click.command()
@layout_option
@bpf_root_option
def told(*, layout: Layout | None, bpf_root: Path) -> None:
    click.echo(f"{bpf_root} {layout!r}")


def answer(*arguments: str) -> str:
    return CliRunner().invoke(told, arguments).output.strip()


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
