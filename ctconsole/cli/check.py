"""``ctconsole check``: whether tables are full, in one line and an exit code for monitoring."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Final

import click

from ctconsole.cli.common import message
from ctconsole.cli.map.naming import is_meant, maps_argument
from ctconsole.cli.options import bpf_root_option, from_dump_option, state_dir_option
from ctconsole.cli.printing import print_json
from ctconsole.cli.shown import json_option
from ctconsole.errors import CtconsoleError, UsageError
from ctconsole.model.text.safe import cell

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from ctconsole.model.fullness import Thresholds


class CheckState(IntEnum):
    """Exit codes that monitoring knows (Monitoring Plugins Development Guidelines)."""

    OK = 0
    WARNING = 1
    CRITICAL = 2
    UNKNOWN = 3


_WORST: Final = (CheckState.OK, CheckState.UNKNOWN, CheckState.WARNING, CheckState.CRITICAL)
"""From the best to the worst: what is known to be bad counts more than what is not known."""

_GROUPS: Final = frozenset({"connection tracking", "nat"})


class Percent(click.ParamType[float]):
    """A share of a table's room, with or without its sign."""

    name = "percent"

    def convert(
        self, value: str | float, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """See click."""
        try:
            found = float(str(value).removesuffix("%"))
        except ValueError:
            self.fail(f"{value!r} is no number of percent.", param, ctx)
        if not 0 < found <= 100:  # noqa: PLR2004 - percent
            self.fail(f"{value} is not between 0% and 100%.", param, ctx)
        return found


@dataclass(frozen=True, slots=True)
class CheckedMap:
    """One map against the bounds.

    Attributes:
        row: as ``map list`` has it.
        state: what that means.
        bounds: percent from which it is a warning, and critical.
    """

    row: Mapping[str, Any]
    state: CheckState
    bounds: tuple[float, float]

    @property
    def text(self) -> str:
        """For the line: name and fill."""
        from ctconsole.model.units import count, share

        name, entries, most = self.row["name"], self.row["entries"], self.row["max_entries"]
        if self.row["fill"] is None:
            return f"{cell(name)} not known"
        if entries is None or not most:
            return f"{cell(name)} {100 * self.row['fill']:.1f}%"
        full = "FULL, " if self.row.get("full") else ""
        return f"{cell(name)} {full}{share(entries, most)} ({count(entries)} of {count(most)})"

    @property
    def figures(self) -> str:
        """What monitoring draws: ``name=value;warning;critical;least;most``."""
        entries, most = self.row["entries"], self.row["max_entries"]
        if entries is None or not most:
            return ""
        warns, critical = (round(most * bound / 100) for bound in self.bounds)
        return f"{cell(self.row['name'])}={entries};{warns};{critical};0;{most}"


@dataclass(frozen=True, slots=True)
class _Bounds:
    """Percent from which maps are a warning, and critical.

    Attributes:
        warns: of most maps.
        critical: of most maps.
        asked: those of the command line, which go before what is settled of single maps.
        thresholds: what is settled.
    """

    warns: float
    critical: float
    asked: tuple[float | None, float | None]
    thresholds: Thresholds

    @classmethod
    def settled(cls, warns: float | None, critical: float | None) -> _Bounds:
        """What the command line asks for, else the configuration file, else ours."""
        from ctconsole.settings.read import read_settings

        settings = read_settings()
        for problem in settings.problems:
            message(f"ctconsole: {problem}")
        given = settings.given
        found = settings.thresholds
        settled = (
            100 * found.warn if "thresholds.warn" in given else 80.0,
            100 * found.crit if "thresholds.crit" in given else 95.0,
        )
        return cls(
            settled[0] if warns is None else warns,
            settled[1] if critical is None else critical,
            (warns, critical),
            found,
        )

    def of(self, name: str) -> tuple[float, float]:
        """Those of the map of this name."""
        own = self.thresholds.own_of(name)
        if own is None:
            return self.warns, self.critical
        warns, critical = (
            100 * bound if asked is None else asked
            for bound, asked in zip(own, self.asked, strict=True)
        )
        # What is asked for stays; the other one gives way.
        return (
            (warns, max(warns, critical))
            if self.asked[1] is None
            else (min(warns, critical), critical)
        )


@click.command(name="check")
@maps_argument
@click.option(
    "--full",
    "warns",
    type=Percent(),
    metavar="PERCENT",
    help="Warn from this fill on.  [default: as settled, else 80%]",
)
@click.option(
    "--critical",
    type=Percent(),
    metavar="PERCENT",
    help="Critical from this fill on, and where a full table throws entries out.  "
    "[default: as settled, else 95%]",
)
@from_dump_option
@state_dir_option
@bpf_root_option
@json_option
def command(
    *,
    maps: tuple[str, ...],
    warns: float | None,
    critical: float | None,
    dumps: tuple[Path, ...],
    state_dir: Path | None,
    bpf_root: Path,
    as_json: bool,
) -> int:
    """Say in one line whether tables are full; the exit code is for Nagios and its like.

    0 ok, 1 warning, 2 critical, 3 not known: there is no such map, or it cannot be read. Behind
    the bar stand the figures of each map. Without MAP: connection tracking and NAT. Where no
    option says from which fill on, [thresholds] of the configuration file does, also for single
    maps.

    \b
    Examples:
      ctconsole check --full 80%
      ctconsole check ct4 any4 --full 70% --critical 90%
      ctconsole check --from-dump cilium-sysdump.zip
    """
    bounds = _Bounds.settled(warns, critical)
    if bounds.critical < bounds.warns and (warns is not None or critical is not None):
        raise click.UsageError("--critical is below --full, where it would never be a warning.")
    try:
        rows = _rows(maps, dumps, bpf_root, state_dir)
    except CtconsoleError as error:
        if as_json:
            print_json({"state": CheckState.UNKNOWN.name, "why": str(error), "maps": []})
        else:
            click.echo(f"{CheckState.UNKNOWN.name}: {error}")
        return CheckState.UNKNOWN
    found = [_checked(row, *bounds.of(row["name"])) for row in rows]
    state = max((one.state for one in found), key=_WORST.index)
    worst = sorted(found, key=lambda one: _WORST.index(one.state), reverse=True)
    if as_json:
        told = [{**_known(one.row), "state": one.state.name, "text": one.text} for one in worst]
        print_json(
            {"state": state.name, "full": bounds.warns, "critical": bounds.critical, "maps": told}
        )
    else:
        figures = " ".join(one.figures for one in worst if one.figures)
        bar = f" | {figures}" if figures else ""
        click.echo(f"{state.name}: {', '.join(one.text for one in worst)}{bar}")
    return state


def _known(row: Mapping[str, Any]) -> dict[str, Any]:
    names = ("name", "node", "entries", "max_entries", "fill", "full")
    return {name: row.get(name) for name in names}


def _checked(row: Mapping[str, Any], warns: float, critical: float) -> CheckedMap:
    percent = None if row["fill"] is None else 100 * row["fill"]
    if percent is None:
        state = CheckState.UNKNOWN
    elif row.get("full") or percent >= critical:
        state = CheckState.CRITICAL
    else:
        state = CheckState.WARNING if percent >= warns else CheckState.OK
    return CheckedMap(row, state, (warns, critical))


def _rows(
    words: Sequence[str], dumps: Sequence[Path], bpf_root: Path, state_dir: Path | None
) -> list[dict[str, Any]]:
    """The maps that are meant.

    Raises:
        CtconsoleError: there are none, or they cannot be read.
    """
    rows = _of_files(dumps) if dumps else _of_node(bpf_root, state_dir)
    chosen = [
        row
        for row in rows
        if any(is_meant(word, row) for word in words) or (not words and row["group"] in _GROUPS)
    ]
    missing = [word for word in words if not any(is_meant(word, row) for row in chosen)]
    place = "in the files" if dumps else f"below {bpf_root}"
    if missing:
        raise UsageError(f"There is no map {', '.join(missing)} {place}")
    if not chosen:
        raise UsageError(f"There is no table of connections or translations {place}")
    return chosen


def _of_files(dumps: Sequence[Path]) -> list[dict[str, Any]]:
    from ctconsole.cli.map.files import describe

    return describe(dumps)[0]


def _of_node(bpf_root: Path, state_dir: Path | None) -> list[dict[str, Any]]:
    from ctconsole.cli.map.facts import describe, with_full
    from ctconsole.kernel.bpffs import pinned_maps

    infos = list(pinned_maps(bpf_root, message).values())
    return with_full(describe(infos), infos, bpf_root, state_dir)
