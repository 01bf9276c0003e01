"""What can be typed behind ``:`` where a fleet is looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from ctconsole.errors import CtconsoleError
from ctconsole.settings.fields import did_you_mean
from ctconsole.ui.screens.fleet import LOOKS
from ctconsole.ui.widgets.fleet_rows import COLUMNS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ctconsole.fleet.following import FleetFollower
    from ctconsole.ui.screens.fleet import FleetScreen
    from ctconsole.ui.theming import Theming

_VERBS: Final = {
    "go": ("NODE", "Show a node"),
    "filter": ("EXPR", "Show only nodes that match; without EXPR all of them"),
    "sort": ("COLUMN", "Sort by a column; -COLUMN turns the order round"),
    "look": ("|".join(LOOKS), "Show the nodes so"),
    "rate": ("SECONDS", "Ask Prometheus so often"),
    "theme": ("NAME", "Show other colours"),
    "quit": ("", "Leave"),
}
"""What each takes, and what it does."""

_LEAST: Final = 1.0
_MOST: Final = 3600.0


class FleetCommanded(Protocol):
    """The app, as commands know it."""

    follower: FleetFollower
    theming: Theming

    @property
    def depth(self) -> str:
        """How many colours there are."""
        ...

    def open_node(self, node: str) -> None:
        """Show one node."""
        ...

    def show_all(self) -> None:
        """Go back to all nodes."""
        ...

    def flash(self, text: str) -> None:
        """Say something."""
        ...

    def exit(self) -> None:
        """Leave."""
        ...


class FleetCommands:
    """Knows the commands, and does them.

    Args:
        app: whose they are.
        fleet: the screen of all nodes.
    """

    def __init__(self, app: FleetCommanded, fleet: FleetScreen) -> None:
        self._app = app
        self._fleet = fleet

    def hint(self, text: str) -> tuple[str, bool]:
        """See `ctconsole.ui.screens.command.Commanded`."""
        verb, _, _ = text.strip().partition(" ")
        if not verb:
            return " ".join(_VERBS), False
        begun = [name for name in _VERBS if name.startswith(verb)]
        if not begun:
            return f"there is no {verb} here. {did_you_mean(verb, _VERBS)}".rstrip(), True
        return " · ".join(
            f"{n} {_VERBS[n][0]}: {_VERBS[n][1]}".replace(" :", ":") for n in begun
        ), False

    def completions(self, text: str) -> list[str]:
        """See `ctconsole.ui.screens.command.Commanded`."""
        verb, blank, rest = text.lstrip().partition(" ")
        if not blank:
            return [f"{name} " for name in _VERBS if name.startswith(verb)]
        return [f"{verb} {one}" for one in self._values(verb) if one.startswith(rest.lstrip())]

    def _values(self, verb: str) -> Sequence[str]:
        match verb:
            case "go":
                return self._nodes()
            case "sort":
                return [column.name for column in COLUMNS]
            case "look":
                return LOOKS
            case "theme":
                return self._app.theming.names
            case _:
                return ()

    def run(self, text: str) -> None:
        """Do what was typed, or say why not."""
        verb, _, rest = text.strip().partition(" ")
        full = next((name for name in _VERBS if name == verb), None) or next(
            (name for name in _VERBS if name.startswith(verb)), None
        )
        try:
            if full is None or not verb:
                raise CtconsoleError(self.hint(text)[0])  # noqa: TRY301 - told below
            getattr(self, f"_do_{full}")(rest.strip())
        except CtconsoleError as error:
            self._app.flash(str(error))

    def _nodes(self) -> list[str]:
        look = self._fleet.fleet.followed.look
        return [node.node for node in look.nodes] if look else []

    def _do_go(self, rest: str) -> None:
        nodes = self._nodes()
        found = [one for one in nodes if one == rest] or [one for one in nodes if rest in one]
        if not rest or not found:
            raise CtconsoleError(f"Prometheus knows no node {rest}. {did_you_mean(rest, nodes)}")
        self._app.open_node(found[0])

    def _do_filter(self, rest: str) -> None:
        self._app.show_all()
        self._fleet.show_filter(rest)

    def _do_sort(self, rest: str) -> None:
        column = rest.removeprefix("-")
        names = [one.name for one in COLUMNS]
        if column not in names:
            raise CtconsoleError(f"there is no column {column}. {did_you_mean(column, names)}")
        self._app.show_all()
        self._fleet.sort_by(column, descending=not rest.startswith("-"))

    def _do_look(self, rest: str) -> None:
        if rest not in LOOKS:
            raise CtconsoleError(f"nodes are shown as {', '.join(LOOKS)}")
        self._app.show_all()
        self._fleet.take_look(rest)

    def _do_rate(self, rest: str) -> None:
        try:
            every = float(rest)
        except ValueError as error:
            raise CtconsoleError("rate takes seconds") from error
        if not _LEAST <= every <= _MOST:
            raise CtconsoleError(f"rate takes {_LEAST:g} to {_MOST:g} seconds")
        self._app.follower.every = every
        self._app.follower.hurry()
        self._app.flash(f"Prometheus is asked every {every:g} s")

    def _do_theme(self, rest: str) -> None:
        self._app.theming.take(rest, self._app.depth)

    def _do_quit(self, rest: str) -> None:
        del rest
        self._app.exit()
