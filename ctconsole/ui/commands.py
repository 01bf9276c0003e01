"""What can be typed behind ``:``, and what the palette offers: verbs, maps, views, themes, filters.

Whatever has a key can be typed by the last part of its id, too, so that keys, palette and commands
do the same things.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from ctconsole.errors import CtconsoleError, UsageError
from ctconsole.keytable import BY_ID, VIEW_NAMES
from ctconsole.model.catalogue import is_called, short_name
from ctconsole.model.ct.query import EVERYTHING, Query
from ctconsole.settings.fields import BY_NAME, did_you_mean
from ctconsole.ui.console import console_of
from ctconsole.ui.screens.base import SortableView, View
from ctconsole.ui.screens.filtered import FilteredView
from ctconsole.ui.screens.overview import OverviewScreen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from textual.app import App
    from textual.binding import Binding
    from textual.dom import DOMNode

    from ctconsole.observe.source import MapRow


@dataclass(frozen=True, slots=True)
class Command:
    """One verb with arguments.

    Attributes:
        name: what is typed.
        arguments: as they are shown; the first word of each tells what completes it.
        about: half a sentence on what it does.
        key: the id of the key that does the same, whose needs it shares; empty for none.
    """

    name: str
    arguments: str
    about: str
    key: str = ""


COMMANDS: Final = (
    Command("resize", "MAP [SIZE]", "give a map another size without a loss", "map.resize"),
    Command("recreate", "MAP [SIZE]", "re-create a map; its entries are lost", "map.recreate"),
    Command("undo", "MAP", "take the last resize back", "map.undo"),
    Command("flush", "[MAP]", "delete every entry of a conntrack table", "entries.flush"),
    Command("delete", "FILTER", "delete the entries that match", "entries.flush"),
    Command("restart", "", "restart the agent, also with other sizes", "agent.restart"),
    Command("guard", "on|off", "hold the tables that an agent re-creates", "maps.guard"),
    Command("go", "MAP", "look at a map, or at the entries of a conntrack table"),
    Command("view", "VIEW", "switch to a view"),
    Command("filter", "[FILTER]", "show only the rows that match; all without one"),
    Command("sort", "[-]COLUMN", "sort by a column; -: the largest first"),
    Command("jump", "MOMENT", "look at a moment: 3m ago, 01:36", "time.jump"),
    Command("rate", "SECONDS", "how often a live node is sampled: 5s"),
    Command("record", "[FILE]", "record into a file, or end that", "app.record"),
    Command("export", "[FILE]", "write what is listed, or the screen, into a file", "app.export"),
    Command("theme", "THEME", "take other colours"),
    Command("remember", "[FIELD]", "write what was chosen into the configuration file"),
    Command("q", "", "leave the console", "app.quit"),
)  # fmt: skip
"""The table."""

BY_COMMAND: Final = {command.name: command for command in COMMANDS}
"""The rows by what is typed."""


class Offer(NamedTuple):
    """What the palette offers.

    Attributes:
        title: what is found by its letters.
        about: what it does.
        text: the command that does it.
        why_not: why it cannot be done here; empty where it can.
    """

    title: str
    about: str
    text: str
    why_not: str = ""


class Commands:
    """Carries commands out on the screens of an app.

    Args:
        app: a `ctconsole.ui.console.Console`.
        bad_themes: themes that cannot be used, and why; may change.
        remember: writes a field, or all, into the configuration file; says what it did.
        pace: sets the seconds between two samples; says so, or why not.
        record: begins a recording into a file.
        jump: goes to a moment.
        export: writes the view's rows, or the screen, into a file.
    """

    def __init__(
        self,
        app: App[None],
        *,
        bad_themes: Mapping[str, str],
        remember: Callable[[str], str],
        pace: Callable[[float], str],
        record: Callable[[str], None],
        jump: Callable[[str], None],
        export: Callable[[str], None],
    ) -> None:
        self._app = app
        self._console = console_of(app)
        self._bad_themes = bad_themes
        self._remember = remember
        self._pace = pace
        self._record = record
        self._jump = jump
        self._export = export

    def offers(self) -> Iterator[Offer]:
        """All that can be done from here, also what may not be, with the reason."""
        for node_key in self._keys():
            word, about = BY_ID[node_key].word, self._console.keyed(BY_ID[node_key].about)
            if node_key == "maps.guard":
                to = "off" if self._console.intents.guarding else "on"
                why = self.why_not(node_key)
                yield Offer(f"Guard {to}", about, f"guard {to}", why)
                continue
            yield Offer(word, about, node_key.rpartition(".")[2], self.why_not(node_key))
        for row in self._rows():
            yield Offer(f"Go to {row.info.label}", "Look at this map", f"go {row.info.label}")
        for name in VIEW_NAMES:
            yield Offer(f"View: {name}", f"Switch to {name}", f"view {name}")
        for name in sorted({*self._app.available_themes, *self._bad_themes}):
            why = self._bad_themes.get(name, "")
            yield Offer(f"Theme: {name}", "Take these colours", f"theme {name}", why)
        for name, text in sorted(self._console.filters.saved.items()):
            yield Offer(f"Filter @{name}", text, f"filter @{name}")
        yield Offer("Remember", BY_COMMAND["remember"].about.capitalize(), "remember")

    def why_not(self, key_id: str) -> str:
        """Why what a key does cannot be done here; empty where it can."""
        key = BY_ID.get(key_id)
        return self._console.why_not(key) if key else ""

    def hint(self, text: str) -> tuple[str, bool]:
        """What to say of a command that is being typed, and whether it cannot be done."""
        name, _, _ = text.lstrip().partition(" ")
        command = BY_COMMAND.get(name)
        if command is not None:
            why = self.why_not(command.key)
            told = f"{command.name} {command.arguments}".rstrip()
            return f"{told}: {why or command.about}", bool(why)
        if key_id := self._shortened(name):
            why = self.why_not(key_id)
            return f"{name}: {why or self._console.keyed(BY_ID[key_id].about)}", bool(why)
        found = [one for one in self._names() if one.startswith(name)]
        return ("  ".join(found) or f"there is no command {name}", not found)

    def completions(self, text: str) -> list[str]:
        """How what is typed can go on: whole commands, each as the line would then be."""
        name, blank, rest = text.lstrip().partition(" ")
        if not blank:
            return [f"{one} " for one in self._names() if one.startswith(name)]
        command = BY_COMMAND.get(name)
        *before, last = rest.split(" ")
        wanted = command.arguments.split() if command else []
        place = len(before)
        kind = wanted[place].strip("[]-") if place < len(wanted) else ""
        head = " ".join((name, *before))
        return [f"{head} {one}" for one in self._values(kind) if one.startswith(last)]

    def run(self, text: str) -> None:
        """Do it, or say why not in the status line."""
        name, _, rest = text.strip().partition(" ")
        command = BY_COMMAND.get(name)
        try:
            if command is None:
                self._press(name)
            elif why := self.why_not(command.key):
                self._console.flash(f"{name}: {why}")
            else:
                getattr(self, f"_do_{name}")(rest.strip())
        except (CtconsoleError, ValueError) as error:
            self._console.flash(f"{name}: {error}")

    def _press(self, name: str) -> None:
        """Do what a key does."""
        key_id = self._shortened(name)
        if key_id is None:
            close = did_you_mean(name, self._names())
            raise UsageError(f"there is no such command here. {close}".rstrip())
        node, binding = self._keys()[key_id]
        self._app.call_later(self._app.run_action, binding.action, node)

    def _shortened(self, name: str) -> str | None:
        """The id that a name stands for: the whole of one, or its last part."""
        keys = self._keys()
        found = name if name in keys else None
        return found or next((one for one in keys if one.rpartition(".")[2] == name), None)

    def _keys(self) -> dict[str, tuple[DOMNode, Binding]]:
        """What has a key on the view on screen, by id."""
        view = next(
            (one for one in reversed(self._app.screen_stack) if isinstance(one, View)), None
        )
        found = view.active_bindings.values() if view else ()
        keys = {one.binding.id or "": (one.node, one.binding) for one in found}
        return {key_id: keys[key_id] for key_id in keys if _is_command(key_id)}

    def _names(self) -> list[str]:
        short = (one.rpartition(".")[2] for one in self._keys())
        return sorted({*BY_COMMAND, *short})

    def _values(self, kind: str) -> Sequence[str]:
        """What completes an argument of a kind."""
        screen = self._app.screen_stack[0]
        known: dict[str, Callable[[], Sequence[str]]] = {
            "MAP": lambda: [row.info.label for row in self._rows()],
            "VIEW": lambda: VIEW_NAMES,
            "THEME": lambda: sorted(self._app.available_themes),
            "FILTER": lambda: [f"@{name}" for name in sorted(self._console.filters.saved)],
            "FIELD": lambda: list(BY_NAME),
            "COLUMN": lambda: screen.sortable() if isinstance(screen, SortableView) else (),
        }
        return known[kind]() if kind in known else kind.split("|") if "|" in kind else ()

    def _rows(self) -> Sequence[MapRow]:
        node = self._console.sample.node
        return node.rows if node else ()

    def _map(self, text: str) -> MapRow:
        """The map that a name means.

        Raises:
            UsageError: none, or several.
        """
        labels = {row.info.label: row for row in self._rows()}
        called = [label for label in labels if is_called(label, text)]
        begun = [label for label in sorted(labels) if text and short_name(label).startswith(text)]
        found = called or begun
        if text in labels or len(found) == 1:
            return labels[text if text in labels else found[0]]
        told = f"that may be {', '.join(found)}" if found else f"there is no map {text}."
        raise UsageError(
            f"{told} {did_you_mean(text, [*labels, *map(short_name, labels)])}".rstrip()
        )

    def _do_resize(self, rest: str) -> None:
        name, _, size = rest.partition(" ")
        self._console.intents.resize(self._map(name), size.strip())

    def _do_recreate(self, rest: str) -> None:
        name, _, size = rest.partition(" ")
        self._console.intents.recreate(self._map(name), size.strip())

    def _do_undo(self, rest: str) -> None:
        self._console.intents.undo_resize(self._map(rest))

    def _do_flush(self, rest: str) -> None:
        self._console.intents.delete_entries(self._ct_map(rest), EVERYTHING)

    def _do_delete(self, rest: str) -> None:
        if not rest:
            raise UsageError("give a filter; flush deletes all")
        query = Query.parse(rest, self._console.filters.saved).named(self._console.known_names)
        self._console.intents.delete_entries(self._ct_map(""), query)

    def _ct_map(self, name: str) -> MapRow:
        row = self._map(name) if name else self._console.ct_map
        if row is None or not row.is_conntrack:
            raise UsageError(f"{name or 'this'} is no conntrack table")
        return row

    def _do_restart(self, rest: str) -> None:
        del rest
        self._console.intents.restart_agent()

    def _do_guard(self, rest: str) -> None:
        if rest not in {"on", "off"}:
            raise UsageError("say on or off")
        if bool(self._console.intents.guarding) == (rest == "on"):
            self._console.flash(f"the guard is {rest} already")
        else:
            self._console.intents.toggle_guard()

    def _do_go(self, rest: str) -> None:
        row = self._map(rest)
        if row.is_conntrack:
            self._console.open_entries(row)
        else:
            self._console.show_view(OverviewScreen.VIEW)
            self._app.call_after_refresh(self._put_cursor, row)

    def _put_cursor(self, row: MapRow) -> None:
        if isinstance(self._app.screen, OverviewScreen):
            self._app.screen.go_to(row)

    def _do_view(self, rest: str) -> None:
        if rest not in VIEW_NAMES:
            raise UsageError(f"there is no view {rest}. {did_you_mean(rest, VIEW_NAMES)}".rstrip())
        self._console.show_view(rest)

    def _do_filter(self, rest: str) -> None:
        view = self._app.screen
        if isinstance(view, FilteredView):
            view.show_filter(rest)
        else:
            Query.parse(rest, self._console.filters.saved)
            self._console.open_filtered(rest)

    def _do_sort(self, rest: str) -> None:
        view = self._app.screen
        if not isinstance(view, SortableView):
            raise UsageError("this view has an order of its own")
        name = rest.removeprefix("-")
        if name not in view.sortable():
            told = did_you_mean(name, view.sortable()) or f"give {', '.join(view.sortable())}"
            raise UsageError(f"there is no column {name} to sort by; {told}")
        view.sort_by(name, descending=rest.startswith("-"))

    def _do_jump(self, rest: str) -> None:
        self._jump(rest)

    def _do_rate(self, rest: str) -> None:
        seconds = BY_NAME["interval"].read(rest)
        assert isinstance(seconds, float)  # noqa: S101 - the table says so
        self._console.flash(self._pace(seconds))

    def _do_record(self, rest: str) -> None:
        if rest:
            self._record(rest)
        else:
            self._press("app.record")

    def _do_export(self, rest: str) -> None:
        if rest:
            self._export(rest)
        else:
            self._press("app.export")

    def _do_theme(self, rest: str) -> None:
        if rest not in self._app.available_themes:
            told = did_you_mean(rest, self._app.available_themes)
            raise UsageError(f"there is no theme {rest}. {told}".rstrip())
        self._app.theme = rest

    def _do_remember(self, rest: str) -> None:
        self._console.flash(self._remember(rest))

    def _do_q(self, rest: str) -> None:
        del rest
        self._app.exit()


def _is_command(key_id: str) -> bool:
    """Whether a key stands for something that can be typed; moving a cursor cannot."""
    return key_id in BY_ID and not key_id.startswith(("table.", "view."))
