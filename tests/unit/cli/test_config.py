"""``ctconsole config``: what is settled, what could be, what is wrong."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from ctconsole.cli import place
from ctconsole.cli.config_verb import command
from ctconsole.cli.place import the_place
from ctconsole.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result


def run(path: Path, *options: str) -> Result:
    return CliRunner().invoke(command, ["--file", str(path), *options], standalone_mode=False)


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file in the place where it is looked for."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    found = tmp_path / "ctconsole" / "config.toml"
    found.parent.mkdir()
    return found


def test_each_field_is_told_with_where_it_comes_from(path: Path) -> None:
    path.write_text('theme = "paper"\n')
    lines = run(path).stdout.splitlines()
    assert any(line.split() == ["theme", '"paper"', "from", "the", "file"] for line in lines)
    assert any(line.split() == ["interval", "2", "default"] for line in lines)
    assert json.loads(run(path, "--json").stdout)["given"] == ["theme"]


def test_the_manual_is_a_file_that_can_be_put_in_place(path: Path) -> None:
    path.write_text(run(path, "--defaults").stdout)
    checked = run(path, "--check")
    assert (checked.stdout, checked.return_value) == ("", 0)


def test_what_is_wrong_is_told_with_its_line_and_an_exit_code(path: Path) -> None:
    path.write_text('theme = "paper"\n\ncolour = "16"\n')
    checked = run(path, "--check")
    assert checked.stdout == f"{path}:3: colour is no field. Did you mean color?\n"
    assert checked.return_value == 2
    shown = run(path)
    assert "colour is no field" in shown.stderr
    assert shown.return_value == 0


def test_keys_are_listed_as_they_are_in_force(path: Path) -> None:
    path.write_text('[keys]\n"map.resize" = ["Z", "f5"]\n')
    line = next(x for x in run(path, "--keys").stdout.splitlines() if x.startswith("map.resize"))
    assert line.split()[:3] == ["map.resize", "Z", "f5"]


def test_what_a_key_does_is_told_with_the_other_keys_that_are_in_force(path: Path) -> None:
    path.write_text('[keys]\n"app.freeze" = "f9"\n')
    line = next(x for x in run(path, "--keys").stdout.splitlines() if x.startswith("time.back"))
    assert line.endswith("Look at the moment before; f9 goes back to now")


def test_every_verb_means_the_bpffs_of_the_file(path: Path, tmp_path: Path) -> None:
    path.write_text(f'bpffs = "{tmp_path}"\n')
    assert the_place(None, None, writes=True).bpf_root == tmp_path
    assert the_place(tmp_path / "other", None, writes=True).bpf_root == tmp_path / "other"


def test_where_it_is_not_known_which_node_is_meant_nothing_is_changed(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(place, "_one_of", lambda *_, **__: path)
    path.write_text("bpffs = 1\n")
    with pytest.raises(UsageError, match=r"config.toml:1: bpffs must be a text"):
        the_place(None, None, writes=True)
    the_place(None, None, writes=False)
    assert "bpffs must be a text" in capsys.readouterr().err
