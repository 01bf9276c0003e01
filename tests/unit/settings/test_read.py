"""The configuration file as it is read: what counts, what is refused, and how that is told."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

import pytest

from ctconsole.settings.fields import FIELDS
from ctconsole.settings.read import UserSettings, line_of, places, read_settings, settings_of
from ctconsole.settings.write import manual

FILE = Path("/home/one/config.toml")
COLUMNS = {
    "entries": {"protocol": True, "bytes": True},
    "overview": {"name": True, "trend": False},
}


def read(text: str) -> UserSettings:
    return settings_of(text, FILE, COLUMNS)


def told(text: str) -> list[str]:
    return [str(one).removeprefix(f"{FILE}:") for one in read(text).problems]


def test_without_a_file_every_field_has_its_default(tmp_path: Path) -> None:
    found = read_settings(tmp_path / "none.toml")
    assert found == UserSettings()
    assert found.values == {field.name: field.default for field in FIELDS}
    assert found.sure


def test_what_stands_in_the_file_counts() -> None:
    found = read(
        'theme = "paper"\ninterval = "1m"\nkeep = 0\ncolor = 256\n'
        "thresholds.warn = '60%'\nthresholds.crit = 80\n"
        '[columns]\nentries = ["bytes:12", "protocol"]\n[sort]\nentries = "-bytes"\n'
        '[keys]\n"map.resize" = ["Z", "f5"]\n"map.info" = []\n'
    )
    assert found.problems == ()
    assert found.value("theme") == "paper"
    assert found.value("color") == "256"
    assert (found.number("interval"), found.number("keep")) == (60.0, 0.0)
    assert (found.number("thresholds.warn"), found.number("thresholds.crit")) == (0.6, 0.8)
    assert found.columns == {"entries": ("bytes:12", "protocol")}
    assert found.sort == {"entries": "-bytes"}
    assert found.keys == {"map.resize": ("Z", "f5"), "map.info": ()}
    assert "thresholds.warn" in found.given


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("\ntheem = 1\n", "2: theem is no field. Did you mean theme?"),
        ("theme = 1", "1: theme must be a text in quotes"),
        ('theme = "a\\u001bb"', "1: theme must be a text in quotes"),
        (
            "color = 'treu'",
            '1: color must be one of "auto", "true", "256", "16", "none". Did you mean true?',
        ),
        ("ascii = 1", "1: ascii must be true or false"),
        ("interval = 0", '1: interval must be seconds from 0.1 to 3600, or e.g. "90s" or "15m"'),
        ("keep = nan", '1: keep must be seconds from 0 to 86400, or e.g. "90s" or "15m"'),
        (
            "[thresholds]\nwarn = 0",
            '2: thresholds.warn must be a percentage from 1 to 100, e.g. 70 or "70%"',
        ),
        (
            "[thresholds]\nwarn = true",
            '2: thresholds.warn must be a percentage from 1 to 100, e.g. 70 or "70%"',
        ),
        (
            "[thresholds]\nwarn = 80\ncrit = 70",
            "2: thresholds.warn must not be above thresholds.crit",
        ),
        ("keys = 1", "1: keys is a section: write [keys] and its fields below it"),
        (
            '[keys]\n"map.resise" = "z"',
            "2: keys.map.resise names nothing that has a key. Did you mean map.resize?",
        ),
        ('[keys]\n"map.resize" = "entr"', ("2: keys.map.resize names no key: entr. Did you mean "
         "enter?")),
        ('[keys]\n"map.resize" = "ctrl+i"', ("2: keys.map.resize names a key that terminals send "
         "as tab: ctrl+i")),
        ('[keys]\n"app.quit" = []', "2: keys.app.quit must have a key"),
        (
            '[keys]\n"map.resize" = "r"',
            ("2: keys.map.resize clashes: r would be both map.resize and map.recreate in overview; "
            "neither changes"),
        ),
        (
            '[columns]\nentries = ["byte"]',
            "2: columns.entries names no column of entries: byte. Did you mean bytes?",
        ),
        ("[columns]\nentres = []", ("2: columns.entres names no view with columns. Did you mean "
         "entries?")),
        (
            '[columns]\nentries = ["bytes:x"]',
            '2: columns.entries must say how wide a column is as in "bytes:20"',
        ),
        (
            '[sort]\noverview = "trend"',
            "2: sort.overview names a column that cannot be sorted by: trend",
        ),
        ("[columns]\nentries = []", ("2: columns.entries must name at least one column, and none "
         "twice")),
        ("[sort]\nentries = 1", '2: sort.entries must be the name of a column, e.g. "-bytes"'),
        ("a = 1\nb = = 2", "2: is not TOML: Invalid value"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_file_line_and_field(text: str, line: str) -> None:
    assert told(text) == [line]
    assert read(text).values == UserSettings().values


def test_one_bad_field_takes_no_other_along() -> None:
    found = read('theme = 1\ncolor = "16"\nbpffs = 2\n')
    assert [one.field for one in found.problems] == ["theme", "bpffs"]
    assert found.value("color") == "16"
    assert not found.sure


def test_two_keys_may_change_places_and_the_vim_preset_clashes_with_nothing() -> None:
    found = read('[keys]\n"map.resize" = "r"\n"map.recreate" = "z"\n')
    assert found.problems == ()
    assert read('[keys]\npreset = "vim"').problems == ()
    assert read('[keys]\npreset = "vim"').keys


def test_a_file_that_is_no_file_is_told_and_waited_for_by_nobody(tmp_path: Path) -> None:
    pipe = tmp_path / "config.toml"
    os.mkfifo(pipe)
    assert [one.told for one in read_settings(pipe).problems] == ["is no file"]
    pipe.unlink()
    pipe.write_bytes(b"theme = '\xff'")
    assert not read_settings(pipe).sure
    pipe.write_text("x" * (2 << 20))
    assert "too large" in str(read_settings(pipe).problems[0])
    pipe.write_text('theme = "paper"')
    pipe.chmod(0o666)
    assert "everybody" in str(read_settings(pipe).problems[0])


def test_under_sudo_root_goes_without_a_file_of_its_own_by_the_callers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setenv("SUDO_UID", "0")
    assert [str(path) for path, _ in places()] == [
        f"{tmp_path}/.config/ctconsole/config.toml",
        "/root/.config/ctconsole/config.toml",
    ]
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    assert [str(path) for path, _ in places()] == [f"{tmp_path}/xdg/ctconsole/config.toml"]


def test_the_manual_is_a_file_that_changes_nothing_and_names_every_field() -> None:
    text = manual()
    assert settings_of(text, FILE).values == UserSettings().values
    assert settings_of(text, FILE).given == frozenset()
    for field in FIELDS:
        assert f"# {field.name.rpartition('.')[2]} = {field.written}\n" in text


def test_what_the_manual_calls_the_default_is_the_default() -> None:
    for field in FIELDS:
        assert field.read(tomllib.loads(f"x = {field.written}")["x"]) == field.default, field.name


def test_the_examples_of_the_manual_can_be_taken() -> None:
    text = manual().replace('"source:40", "destination", "state"', '"bytes"')
    lines = text.replace("-fill", "-name").splitlines()
    taken = "\n".join(
        line.removeprefix("# ") if " = " in line and line.count('"') else line for line in lines
    )
    assert settings_of(taken, FILE, COLUMNS).problems == ()


def test_a_field_is_found_on_its_line() -> None:
    text = '# x\na = 1\n[b]\n"c.d" = """\ne = 2\n"""\n[b.f]\ng=1\n'
    assert [line_of(text, name) for name in ("a", "b", "b.c.d", "b.f.g", "z")] == [2, 3, 4, 8, 0]


def test_a_map_may_have_thresholds_of_its_own() -> None:
    found = read(
        "[thresholds]\nwarn = 60\n"
        '[thresholds."cilium_ct4_global"]\ncrit = 75\n'
        '[thresholds.any4]\nwarn = "95%"\n'
        "[thresholds.lxc]\ncrit = 50\n"
    )
    assert found.problems == ()
    thresholds = found.thresholds
    assert thresholds.of("cilium_ct4_global") == (0.6, 0.75)
    assert thresholds.of("cilium_ct_any4_global") == (0.95, 0.95), (
        "warn is asked for, crit gives way"
    )
    assert thresholds.of("cilium_lxc") == (0.5, 0.5)
    assert thresholds.of("cilium_ct6_global") == (0.6, 0.9)
    assert "thresholds.cilium_ct4_global.crit" in found.given


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            '[thresholds."cilium_ct4_global"]\nfull = 70',
            "2: thresholds.cilium_ct4_global.full is no field. A map has warn and crit.",
        ),
        ("[thresholds.ct4]\nwran = 70", "2: thresholds.ct4.wran is no field. Did you mean warn?"),
        (
            "[thresholds]\nct4 = { crit = 0 }",
            '2: thresholds.ct4.crit must be a percentage from 1 to 100, e.g. 70 or "70%"',
        ),
        (
            "[thresholds.ct4]\nwarn = 80\ncrit = 70",
            "2: thresholds.ct4.warn must not be above its crit",
        ),
    ],
)
def test_bad_thresholds_of_a_map_are_refused_with_their_place(text: str, line: str) -> None:
    assert told(text) == [line]
    assert read(text).thresholds.of("cilium_ct4_global") == (0.7, 0.9)


def test_the_manual_tells_of_thresholds_of_one_map_and_its_example_is_one() -> None:
    lines = manual().splitlines()
    begin = lines.index('# [thresholds."cilium_ct4_global"]')
    example = "\n".join(line.removeprefix("# ") for line in lines[begin : begin + 2])
    assert read(example).thresholds.of("cilium_ct4_global") == (0.7, 0.7)
