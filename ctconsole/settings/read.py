"""Reads the configuration file; what is wrong in it is told with its place, never in the way."""

from __future__ import annotations

import os
import pwd
import re
import stat
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

from ctconsole.model.fullness import Thresholds
from ctconsole.paths import config_home
from ctconsole.settings.fields import BY_NAME, FIELDS, OPEN_SECTIONS, did_you_mean, names
from ctconsole.settings.keymap import keymap, keys_from, must_have_a_key, unknown_id

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ctconsole.settings.fields import Setting

    Columns = Mapping[str, Mapping[str, bool]]

LARGEST: Final = 1 << 20
"""Bytes of a configuration file; what is larger is none."""

_WIDEST: Final = 500
"""Cells of a column."""

_BOUNDS: Final = ("warn", "crit")
"""What a map's own section below thresholds may have."""

_SECTIONS: Final = {name.partition(".")[0] for name in BY_NAME if "." in name} | set(OPEN_SECTIONS)


class SettingProblem(NamedTuple):
    """One thing that is wrong.

    Attributes:
        path: the file.
        line: from 1 on; 0 for the file as a whole.
        field: which field; empty for the file as a whole.
        told: what is wrong with it, in half a sentence.
    """

    path: Path
    line: int
    field: str
    told: str

    def __str__(self) -> str:
        """File, line, field and what is wrong, as one sentence."""
        place = f"{self.path}:{self.line}" if self.line else str(self.path)
        return f"{place}: {self.field + ' ' if self.field else ''}{self.told}"


@dataclass(frozen=True, slots=True)
class UserSettings:
    """What a person has settled.

    Attributes:
        values: the fields of `fields.FIELDS` by name; the default where the file has none.
        columns: the columns of a view, from left to right.
        sort: what a view is sorted by; a ``-`` before it: largest first.
        keys: keys that differ from the table's, by id.
        own_thresholds: warn and crit of single maps, by their name.
        problems: what is wrong in the file; such fields have their default.
        path: the file that was read; None where there is none.
        text: what stands in it.
        given: the fields that it has.
    """

    values: Mapping[str, Setting] = field(
        default_factory=lambda: {one.name: one.default for one in FIELDS}
    )
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    sort: Mapping[str, str] = field(default_factory=dict)
    keys: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    own_thresholds: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    problems: tuple[SettingProblem, ...] = ()
    path: Path | None = None
    text: str = ""
    given: frozenset[str] = frozenset()

    def value(self, name: str) -> str:
        """A field that is a text."""
        return str(self.values[name])

    def number(self, name: str) -> float:
        """A field that is a number."""
        found = self.values[name]
        assert isinstance(found, float)  # noqa: S101 - the table says so
        return found

    @property
    def thresholds(self) -> Thresholds:
        """From which fill on maps are worth a look, and in trouble."""
        warn, crit = self.number("thresholds.warn"), self.number("thresholds.crit")
        return Thresholds(warn, crit, self.own_thresholds)

    def switch(self, name: str) -> bool:
        """A field that is on or off."""
        return self.values[name] is True

    @property
    def sure(self) -> bool:
        """Whether it is known which node is meant: the file, and its ``bpffs``, could be read."""
        return not any(one.field in {"", "bpffs"} for one in self.problems)


def settings_path() -> Path:
    """Where a person's own configuration file is, or would be."""
    return config_home() / "config.toml"


def places() -> Iterator[tuple[Path, int]]:
    """Where a file may be, the first that is there counts; each with whose it must be, or root's.

    Under sudo, which takes root's home, that of whoever called it stands in where root has none.
    """
    yield settings_path(), os.geteuid()
    caller = os.environ.get("SUDO_UID", "")
    if os.geteuid() == 0 and caller.isdigit() and not os.environ.get("XDG_CONFIG_HOME"):
        try:
            home = pwd.getpwuid(int(caller)).pw_dir
        except (KeyError, OverflowError):
            return
        yield Path(home, ".config", "ctconsole", "config.toml"), int(caller)


def read_settings(
    given: Path | None = None, columns: Columns = MappingProxyType({})
) -> UserSettings:
    """Read what a person has settled; never raises, whatever the file holds.

    Args:
        given: the file; without it the first of `places`.
        columns: the columns of each view by name, each with whether it can be sorted by; what
            is not named here is held against nothing.
    """
    wanted = ((given, os.geteuid()),) if given is not None else tuple(places())
    for path, owner in wanted:
        try:
            text = _text(path, owner)
        except FileNotFoundError:
            continue
        except OSError as error:
            return UserSettings(problems=(SettingProblem(path, 0, "", _why(error)),), path=path)
        except (UnicodeDecodeError, ValueError) as error:
            return UserSettings(problems=(SettingProblem(path, 0, "", str(error)),), path=path)
        return settings_of(text, path, columns)
    return UserSettings()


def _why(error: OSError) -> str:
    return f"cannot be read: {error.strerror or error}"


def _text(path: Path, owner: int) -> str:
    """What stands in a file that is nobody else's.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no file of that user or of root, or far too large.
    """
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(handle, "rb") as file:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            raise ValueError("is no file")
        if found.st_uid not in {owner, 0}:
            raise ValueError(f"belongs to user {found.st_uid}, so it is not read")
        if found.st_mode & stat.S_IWOTH:
            raise ValueError("can be written by everybody, so it is not read")
        content = file.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise ValueError("is too large for a configuration file")
    return content.decode("utf-8")


def settings_of(text: str, path: Path, columns: Columns = MappingProxyType({})) -> UserSettings:
    """What a file of this text settles (see `read_settings`)."""
    try:
        tree = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        line = re.search(r"at line (\d+)", str(error))
        told = f"is not TOML: {re.sub(r' *[(]at .*', '', str(error))}"
        problem = SettingProblem(path, int(line[1]) if line else 0, "", told)
        return UserSettings(problems=(problem,), path=path, text=text)
    reading = _Reading(path, text, columns)
    reading.read(tree)
    return reading.result()


class _Reading:
    """One pass through a file."""

    def __init__(self, path: Path, text: str, columns: Columns) -> None:
        self._path, self._text, self._known = path, text, columns
        self._values: dict[str, Setting] = {one.name: one.default for one in FIELDS}
        self._columns: dict[str, tuple[str, ...]] = {}
        self._sort: dict[str, str] = {}
        self._keys: dict[str, tuple[str, ...]] = {}
        self._bounds: dict[str, dict[str, float]] = {}
        self._given: set[str] = set()
        self._problems: list[SettingProblem] = []

    def read(self, tree: Mapping[str, object]) -> None:
        for name, value in tree.items():
            if name in _SECTIONS and isinstance(value, dict):
                for inner, one in value.items():
                    self._field(name, inner, one)
            elif name in _SECTIONS:
                self._complain(name, f"is a section: write [{name}] and its fields below it")
            else:
                self._field("", name, value)
        if self._value("thresholds.warn") > self._value("thresholds.crit"):
            self._complain("thresholds.warn", "must not be above thresholds.crit")
            for name in ("thresholds.warn", "thresholds.crit"):
                self._values[name] = BY_NAME[name].default
        for name, found in [*self._bounds.items()]:
            if len(found) > 1 and found["warn"] > found["crit"]:
                self._complain(f"thresholds.{name}.warn", "must not be above its crit")
                del self._bounds[name]

    def _value(self, name: str) -> float:
        value = self._values[name]
        return value if isinstance(value, float) else 0.0

    def _field(self, section: str, inner: str, value: object) -> None:
        name = f"{section}.{inner}" if section else inner
        try:
            if name in BY_NAME:
                self._values[name] = BY_NAME[name].read(value)
            elif section == "keys":
                self._key(inner, value)
            elif section == "columns":
                self._columns[inner] = self._chosen(inner, names(value))
            elif section == "sort":
                self._sort[inner] = self._sorting(inner, value)
            elif section == "thresholds" and isinstance(value, dict):
                self._own(inner, value)
                return
            else:
                _refuse(name)
        except ValueError as error:
            self._complain(name, str(error))
        else:
            self._given.add(name)

    def _key(self, key_id: str, value: object) -> None:
        keys = () if unknown_id(key_id) else keys_from(value)
        told = unknown_id(key_id) or must_have_a_key(key_id, keys)
        if told:
            raise ValueError(told)
        self._keys[key_id] = keys

    def _own(self, name: str, fields: Mapping[str, object]) -> None:
        """What is settled of one map's fill."""
        for inner, value in fields.items():
            path = f"thresholds.{name}.{inner}"
            try:
                if f"thresholds.{inner}" not in BY_NAME:
                    told = did_you_mean(inner, _BOUNDS) or "A map has warn and crit."
                    raise ValueError(f"is no field. {told}")  # noqa: TRY301 - told as the reader's
                found = BY_NAME[f"thresholds.{inner}"].read(value)
            except ValueError as error:
                self._complain(path, str(error))
            else:
                assert isinstance(found, float)  # noqa: S101 - the table says so
                self._bounds.setdefault(name, {})[inner] = found
                self._given.add(path)

    def _both(self, found: Mapping[str, float]) -> tuple[float, float]:
        """Warn and crit of a map; the one that is not given is that of all maps, if it fits."""
        warn, crit = self._value("thresholds.warn"), self._value("thresholds.crit")
        warn, crit = found.get("warn", warn), found.get("crit", crit)
        return (warn, max(warn, crit)) if "warn" in found else (min(warn, crit), crit)

    def _view(self, view: str) -> Mapping[str, bool]:
        if self._known and view not in self._known:
            told = did_you_mean(view, self._known)
            raise ValueError(f"names no view with columns. {told}".rstrip())
        return self._known.get(view, {})

    def _chosen(self, view: str, chosen: tuple[str, ...]) -> tuple[str, ...]:
        known = self._view(view)
        plain = [one.partition(":")[0] for one in chosen]
        for one, _, width in (each.partition(":") for each in chosen):
            if known and one not in known:
                told = did_you_mean(one, known)
                raise ValueError(f"names no column of {view}: {one}. {told}".rstrip())
            if f"{one}:" in chosen or (width and not _is_width(width)):
                raise ValueError(f'must say how wide a column is as in "{one}:20"')
        if not chosen or len(set(plain)) != len(plain):
            raise ValueError("must name at least one column, and none twice")
        return chosen

    def _sorting(self, view: str, value: object) -> str:
        if not isinstance(value, str):
            raise ValueError('must be the name of a column, e.g. "-bytes"')  # noqa: TRY004 - a value
        name = value.removeprefix("-")
        self._chosen(view, (name,))
        if not self._view(view).get(name, True) or ":" in name:
            raise ValueError(f"names a column that cannot be sorted by: {name}")
        return value

    def _complain(self, name: str, told: str) -> None:
        # What stands in a table that is written in one line has the line of that.
        line = line_of(self._text, name) or line_of(self._text, name.rpartition(".")[0])
        self._problems.append(SettingProblem(self._path, line, name, told))

    def result(self) -> UserSettings:
        keys, clashing = keymap(str(self._values["keys.preset"]), self._keys)
        for clash in clashing:
            mine = next((one for one in clash.ids if one in self._keys), "preset")
            self._complain(f"keys.{mine}", f"clashes: {clash}; neither changes")
        return UserSettings(
            values=MappingProxyType(self._values),
            columns=MappingProxyType(self._columns),
            sort=MappingProxyType(self._sort),
            keys=MappingProxyType(dict(keys)),
            own_thresholds=MappingProxyType(
                {name: self._both(found) for name, found in self._bounds.items()}
            ),
            problems=tuple(sorted(self._problems, key=lambda one: one.line)),
            path=self._path,
            text=self._text,
            given=frozenset(self._given),
        )


def _is_width(text: str) -> bool:
    return text.isdecimal() and 1 <= int(text) <= _WIDEST


def _refuse(name: str) -> None:
    """Say that there is no such field.

    Raises:
        ValueError: always.
    """
    told = did_you_mean(name, [*BY_NAME, *OPEN_SECTIONS])
    raise ValueError(f"is no field. {told}".rstrip())


_HEADING: Final = re.compile(r"\s*\[+\s*([^\]]+?)\s*\]+")
_WORD: Final = r"""(?:"[^"]*"|'[^']*'|[\w-]+)"""
_ENTRY: Final = re.compile(rf"\s*({_WORD}(?:\s*\.\s*{_WORD})*)\s*=")
_PART: Final = re.compile(r""""([^"]*)"|'([^']*)'|([\w-]+)""")


def _name(text: str) -> str:
    return ".".join(next(filter(None, groups), "") for groups in _PART.findall(text))


def line_of(text: str, name: str) -> int:
    """The line on which a field, or a section, begins, from 1 on; 0 where it is not found."""
    section = ""
    for number, line in enumerate(text.splitlines(), 1):
        if heading := _HEADING.match(line):
            section = _name(heading[1])
            if section == name:
                return number
        elif entry := _ENTRY.match(line):
            inner = _name(entry[1])
            if (f"{section}.{inner}" if section else inner) == name:
                return number
    return 0
