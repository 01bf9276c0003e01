"""The configuration file as it is written: one field at a time, whole, and through no link."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from ctconsole.errors import CtconsoleError
from ctconsole.settings import write
from ctconsole.settings.read import UserSettings, read_settings, settings_of
from ctconsole.settings.write import may_write, remember, with_field

FILE = Path("/home/one/config.toml")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ctconsole" / "config.toml"


def test_a_new_file_is_its_owners_alone(path: Path) -> None:
    assert remember(UserSettings(), {"theme": "paper", "ascii": True}, path) == path
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    found = read_settings(path)
    assert (found.value("theme"), found.switch("ascii"), found.problems) == ("paper", True, ())
    assert list(path.parent.iterdir()) == [path]


def test_everything_else_in_the_file_stays(path: Path) -> None:
    path.parent.mkdir()
    path.write_text('# mine\ntheme = "clear" # good\n\n[sort] # how\nevents = "time"\n')
    remember(UserSettings(), {"theme": "paper", "sort.entries": "-bytes"}, path)
    assert path.read_text() == (
        '# mine\ntheme = "paper"\n\n[sort] # how\nentries = "-bytes"\nevents = "time"\n'
    )


def test_a_value_over_several_lines_is_replaced_whole() -> None:
    text = 'a = 1\n[columns]\nentries = [\n  "one",\n  "two",\n]\ntop = ["x"]\n'
    changed = with_field(text, "columns.entries", ("three",))
    assert changed == 'a = 1\n[columns]\nentries = ["three"]\ntop = ["x"]\n'


@pytest.mark.parametrize("text", ["", "# x\n", "[keys]\npreset = 'vim'\n", "keep = 1\n[sort]\n"])
@pytest.mark.parametrize(
    ("name", "value"),
    [("theme", 'a "b" é'), ("thresholds.warn", 61.5), ("keys.map.resize", ("z", "f5"))],
)
def test_what_is_written_is_read_again(
    text: str, name: str, value: str | float | tuple[str, ...]
) -> None:
    found = settings_of(with_field(text, name, value), FILE)
    assert found.problems == ()
    assert name in found.given
    assert found.given >= settings_of(text, FILE).given


def test_nothing_is_written_through_a_link(path: Path, tmp_path: Path) -> None:
    path.parent.mkdir()
    other = tmp_path / "other"
    other.write_text("")
    path.symlink_to(other)
    with pytest.raises(CtconsoleError, match="is a link, so nothing is written through it"):
        remember(UserSettings(), {"theme": "paper"}, path)
    assert other.read_text() == ""
    assert path.is_symlink()


def test_a_file_that_is_no_toml_stays_as_it_is(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("a = = 1\n")
    with pytest.raises(CtconsoleError, match="cannot be changed: it is not TOML"):
        remember(read_settings(path), {"theme": "paper"}, path)
    assert path.read_text() == "a = = 1\n"


def test_a_new_file_of_root_begins_with_what_the_callers_says(path: Path) -> None:
    read = settings_of('keep = "1h"\n', FILE)
    remember(read, {"theme": "paper"}, path)
    assert path.read_text() == 'keep = "1h"\ntheme = "paper"\n'


@pytest.mark.parametrize(
    ("owner", "user", "may"),
    [(0, 0, True), (1000, 1000, True), (0, 1000, True), (1000, 0, False), (1001, 1000, False)],
)
def test_nothing_is_written_into_the_home_of_somebody_else(
    path: Path, monkeypatch: pytest.MonkeyPatch, owner: int, user: int, *, may: bool
) -> None:
    assert may_write(owner, user) == may
    if not may:
        monkeypatch.setattr(write, "may_write", lambda *_: False)
        with pytest.raises(CtconsoleError, match="belongs to user"):
            remember(UserSettings(), {"theme": "paper"}, path)
        assert not path.exists()
