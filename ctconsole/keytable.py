"""Every key of the console: what it does, where, and in which words.

Bindings, footer, help, palette and the configuration file read this table, and nothing else knows
a key. A new key is one more row here and a test that is marked with its id (see
``tests/ui/test_keys.py``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence


@dataclass(frozen=True, slots=True)
class Key:
    """One row.

    Attributes:
        id: names it in the configuration; the part before the dot is its heading in the help.
        keys: what does it unless somebody settled otherwise, in Textual's names, split by commas;
            empty for what only presets have a key for.
        action: what is done, in Textual's form; each of `places` has a method for it.
        word: a word or two, for the footer and the palette.
        about: a sentence, for the help and the palette; another key is named by its id in braces.
        places: whose key it is; which of them are in force at once is `SCENES`.
        rank: in the footer, the smaller the more needed: what does not fit is left out from the
            largest on. 0: never there.
        priority: goes before what has the focus, e.g. a field that is typed into.
        needs: what there must be, a member of `NEEDS`; empty: nothing.
    """

    id: str
    keys: str
    action: str
    word: str
    about: str
    places: tuple[str, ...]
    rank: int = 0
    priority: bool = False
    needs: str = ""

    @property
    def each(self) -> tuple[str, ...]:
        """The keys one by one."""
        return tuple(filter(None, self.keys.split(",")))


UNBOUND: Final = "none"
"""What stands for no key at all; no terminal sends it."""

NEEDS: Final = frozenset({"gate"})
"""What an action may need: ``gate``: that the node may be changed."""

VIEW_NAMES: Final = ("overview", "entries", "top", "events", "datapath", "maps", "node")
"""The views in the order of their keys, from 1 on."""

APP: Final = (
    *(
        Key(f"view.{name}", str(number), f"show_view('{name}')", name.capitalize(),
            f"Switch to {name.capitalize()}", ("app",))
        for number, name in enumerate(VIEW_NAMES, 1)
    ),
    Key("app.help", "question_mark,f1", "help", "Help", "Show these keys, and what the marks mean",
        ("app", "fleet-app"), rank=1),
    Key("app.quit", "q", "quit", "Quit", "Leave the console", ("app", "fleet-app"), rank=2),
    Key("app.command", "colon", "command", "Command",
        "Type what is to be done: resize ct4 512k, go ct6, filter @saved", ("app",), rank=35),
    Key("app.freeze", "space", "freeze", "Freeze",
        "Freeze the screen, and go on; sampling goes on behind it", ("app",), rank=30),
    Key("app.palette", "ctrl+p", "command_palette", "Palette",
        "Find whatever can be done, a map or a view by a few letters of its name",
        ("app", "fleet-app"),
        rank=40, priority=True),
    Key("app.explain", "w", "explain", "Why",
        "Answer what operators ask: how full, why, who, how big", ("app",), rank=45),
    Key("app.record", "o", "record", "Record",
        "Record the node into a file from now on, or end that", ("app",)),
    Key("app.export", "e", "export", "Export",
        "Write what is listed, or the screen, into a file", ("app",)),
    Key("time.back", "left_square_bracket", "step(-1)", "Step back",
        "Look at the moment before; {app.freeze} goes back to now", ("app",)),
    Key("time.on", "right_square_bracket", "step(1)", "Step on", "Look at the moment after",
        ("app",)),
    Key("time.event-back", "left_curly_bracket", "step_event(-1)", "Event before",
        "Look at the moment of the event before", ("app",)),
    Key("time.event-on", "right_curly_bracket", "step_event(1)", "Event after",
        "Look at the moment of the event after", ("app",)),
    Key("time.jump", "t", "jump", "Time", "Look at a moment: 3m ago, 01:36", ("app",)),
    Key("time.faster", "plus", "pace(1)", "Faster",
        "Sample more often; play a recording faster", ("app",)),
    Key("time.slower", "minus", "pace(-1)", "Slower",
        "Sample less often; play a recording slower", ("app",)),
)  # fmt: skip
"""Everywhere but in dialogues."""

TABLE: Final = (
    Key("table.up", "up,k", "move(-1)", "Up", "Up", ("table", "heat")),
    Key("table.down", "down,j", "move(1)", "Down", "Down", ("table", "heat")),
    Key("table.page-up", "pageup,ctrl+b", "page(-1)", "Page up", "Page up", ("table", "heat")),
    Key("table.page-down", "pagedown,ctrl+f", "page(1)", "Page down", "Page down",
        ("table", "heat")),
    Key("table.half-up", "", "page_half(-1)", "Half up", "Half a page up", ("table",)),
    Key("table.half-down", "", "page_half(1)", "Half down", "Half a page down", ("table",)),
    Key("table.first", "home,g", "jump(0)", "First row", "First row, and stay there",
        ("table", "heat")),
    Key("table.last", "end,G", "jump(-1)", "Last row", "Last row", ("table", "heat")),
    Key("table.left", "left", "sideways(-1)", "Left", "Scroll to the columns on the left",
        ("view", "fleet", "fleet-node", "heat")),
    Key("table.right", "right", "sideways(1)", "Right", "Scroll to the columns on the right",
        ("view", "fleet", "fleet-node", "heat")),
    Key("map.sequel", "L", "sequel", "What came back",
        "List what came back, broke or is away since the last change", ("view",)),
    Key("table.columns", "c", "columns", "Columns",
        "Choose the columns, their order and how wide they are", ("view", "fleet"), rank=47),
    Key("table.select", "enter", "select", "Open", "Open what is under the cursor",
        ("table", "heat"), rank=10),
)  # fmt: skip
"""Where a table has the focus."""

MAPS: Final = (
    Key("map.sort", "s", "sort", "Sort", "Choose the column to sort by", ("sorted",), rank=25),
    Key("map.sort-left", "less_than_sign", "sort_by(-1)", "Sort left",
        "Sort by the column to the left", ("sorted",)),
    Key("map.sort-right", "greater_than_sign", "sort_by(1)", "Sort right",
        "Sort by the column to the right", ("sorted",)),
    Key("map.info", "i", "info", "Info", "Everything about the map", ("overview",), rank=50),
    Key("map.span", "v", "widen", "Span",
        "Show more or less time in the graph: 10 minutes, 1, 6 or 24 hours",
        ("overview", "events", "fleet-node")),
    Key("map.resize", "z", "resize", "Resize", "Give the map another size without a loss",
        ("overview",), rank=15, needs="gate"),
    Key("map.undo", "u", "undo", "Undo resize",
        "Take the last resize back without a loss", ("overview",), needs="gate"),
    Key("maps.guard", "ctrl+g", "guard", "Guard",
        "Guard on or off: tables that an agent re-creates keep their entries", ("overview",),
        needs="gate"),
    Key("map.recreate", "r", "recreate", "Recreate",
        "Recreate the map; its entries are lost", ("overview", "entries"),
        rank=24, needs="gate"),
    Key("agent.restart", "R", "restart", "Restart",
        "Restart the agent, also with other sizes", ("overview",), rank=26,
        needs="gate"),
    Key("map.pick", "m", "pick_map", "Map", "Choose the map to show", ("entries",), rank=20),
    Key("top.group", "b", "group(1)", "By",
        "Put entries together by source, address, port, service, pod, namespace, identity, "
        "protocol", ("top",), rank=20),
    Key("top.group-back", "B", "group(-1)", "By before", "Put entries together by the thing before",
        ("top",)),
    Key("top.rank", "s", "rank", "Rank",
        "Rank by entries, new, packets, bytes or evicted each second", ("top",), rank=21),
    Key("map.previous", "comma", "next_map(-1)", "Previous map", "Show the map before",
        ("entries", "top")),
    Key("map.next", "full_stop", "next_map(1)", "Next map", "Show the next map",
        ("entries", "top"), rank=46),
    Key("events.level", "l", "level", "Level",
        "Leave out what is quieter: info, then warning, then error; then show all", ("events",),
        rank=21),
    Key("events.kind", "K", "kind", "Kind", "Show one kind of events", ("events",), rank=22),
    Key("events.map", "m", "pick_map", "Map", "Show what happened to one map", ("events",),
        rank=23),
    Key("map.unfold", "x", "unfold_all", "Unfold all",
        "Unfold every event, or fold all of them again", ("events",), rank=20),
)  # fmt: skip
"""Of a map, or of the list of them."""

ENTRIES: Final = (
    Key("entries.filter", "slash", "filter", "Filter",
        "Show only rows that match, e.g. proto:tcp dport:443 !src:10.0.0.0/8", ("filtered",),
        rank=12),
    Key("entries.all", "escape", "clear_filter", "Show all", "Show all rows again", ("filtered",)),
    Key("entries.names", "n", "names", "Names",
        "Show names for addresses and services, or numbers again", ("entries",), rank=22),
    Key("entries.forecast", "f", "forecast", "Forecast",
        "Say which connections would break if the table were lost", ("entries",), rank=18),
    Key("entries.follow", "F", "follow", "Follow",
        "Follow the entry under the cursor, also after its end; show the one that is followed",
        ("view", "entry")),
    Key("entries.copy", "y", "copy", "Copy",
        "Copy the entry under the cursor as text, as JSON or as a filter for tcpdump",
        ("entries", "entry")),
    Key("entries.delete", "d", "delete", "Delete", "Delete the entry under the cursor",
        ("entries",), needs="gate"),
    Key("entries.flush", "D", "flush", "Flush",
        "Delete all entries that match the filter, or the whole map", ("entries",), rank=28,
        needs="gate"),
)  # fmt: skip
"""Of the rows of a view that can be filtered."""

FILTER: Final = (
    Key("filter.leave", "escape", "leave", "Show all", "Forget the filter", ("filter",), rank=12),
    Key("filter.complete", "tab", "complete(1)", "Complete",
        "Complete the word that is typed; again for the next one", ("filter",), rank=13),
    Key("filter.complete-back", "shift+tab", "complete(-1)", "Complete backwards",
        "The way to complete it before", ("filter",)),
    Key("filter.earlier", "up", "recall(-1)", "Before", "The filter typed before", ("filter",),
        rank=14),
    Key("filter.later", "down", "recall(1)", "After", "The filter typed after", ("filter",)),
    Key("filter.save", "ctrl+s", "save", "Save",
        "Save the filter under a name; @name stands for it", ("filter",), rank=15),
)  # fmt: skip
"""While a filter is typed."""

FLEET: Final = (
    Key("fleet.look", "h", "next_look", "Heat map",
        "Show the nodes as a heat map, as nodes and maps, as a table", ("fleet",), rank=14),
    Key("fleet.again", "ctrl+r", "again", "Again", "Ask Prometheus at once",
        ("fleet", "fleet-node"), rank=30),
    Key("fleet.command", "colon", "command", "Command",
        "Type what is to be done: go NODE, filter EXPR, sort COLUMN", ("fleet-app",), rank=35),
    Key("fleet.back", "escape", "back", "Back", "Back to all nodes", ("fleet-node",), rank=11),
)  # fmt: skip
"""Of a fleet, and of one node of it."""

DIALOGUES: Final = (
    Key("dialogue.close", "escape", "close", "Close",
        "Leave; cancel what is done if it can be cancelled", ("dialogue",), rank=3),
    Key("dialogue.page-up", "pageup", "page(-1)", "Page up", "Scroll what is told up",
        ("dialogue",)),
    Key("dialogue.page-down", "pagedown", "page(1)", "Page down", "Scroll what is told down",
        ("dialogue",)),
    Key("dialogue.plan", "ctrl+r", "plan_again", "Plan again", "Look anew what it costs",
        ("dialogue",), rank=12),
    Key("resize.list", "l", "list", "List entries", "List the entries by what becomes of them",
        ("resize",), rank=11, priority=True),
    Key("sequel.close", "escape,q,L", "dismiss", "Close", "Close", ("sequel",)),
    Key("sequel.class", "tab,c", "kind(1)", "Next class", "Those of which another thing became",
        ("sequel",), rank=13, priority=True),
    Key("sequel.class-before", "shift+tab,C", "kind(-1)", "Class before",
        "The class before it", ("sequel",)),
    Key("sequel.next", "right_square_bracket", "map(1)", "Next map", "The next map of the change",
        ("sequel",), rank=14),
    Key("sequel.before", "left_square_bracket", "map(-1)", "Map before",
        "The map of the change before it", ("sequel",)),
    Key("columns.done", "escape,q,c", "done", "Done", "Done", ("columns",)),
    Key("columns.toggle", "space", "show_or_hide", "Show or hide",
        "Show the column, or hide it", ("columns",), rank=10),
    Key("columns.right", "J,shift+down", "move(1)", "Move right",
        "Move the column to the right", ("columns",), rank=11),
    Key("columns.left", "K,shift+up", "move(-1)", "Move left", "Move the column to the left",
        ("columns",), rank=12),
    Key("columns.wider", "plus", "widen(1)", "Wider", "Make the column wider", ("columns",)),
    Key("columns.narrower", "minus", "widen(-1)", "Narrower", "Make the column narrower",
        ("columns",)),
    Key("columns.default", "d", "default", "As they fit", "All columns, as they fit",
        ("columns",)),
    Key("columns.down", "j", "cursor(1)", "Down", "Down", ("columns",)),
    Key("columns.up", "k", "cursor(-1)", "Up", "Up", ("columns",)),
    Key("affected.close", "escape,q,l", "dismiss", "Close", "Close", ("affected",)),
    Key("affected.way", "right,w", "way(1)", "Next way", "The next way to change the map",
        ("affected",), rank=12),
    Key("affected.way-before", "left,W", "way(-1)", "Way before", "The way before it",
        ("affected",)),
    Key("affected.class", "tab,c", "kind(1)", "Next class", "Those that meet the next fate",
        ("affected",), rank=13, priority=True),
    Key("affected.class-before", "shift+tab,C", "kind(-1)", "Class before",
        "Those that meet the fate before it", ("affected",)),
    Key("affected.next", "right_square_bracket", "map(1)", "Next map", "The next map of the plan",
        ("affected",), rank=14),
    Key("affected.before", "left_square_bracket", "map(-1)", "Map before",
        "The map of the plan before it", ("affected",)),
    Key("forecast.close", "escape,enter,q,f", "dismiss", "Close", "Close", ("forecast",)),
    Key("forecast.list", "l", "list", "List", "Show those that break", ("forecast",), rank=11),
    Key("details.close", "escape,enter,q,i", "dismiss", "Close", "Close", ("details", "entry")),
    Key("explain.close", "escape,enter,q,w", "dismiss", "Close", "Close", ("explain",)),
    Key("explain.again", "ctrl+r", "again", "Again", "Look and answer anew", ("explain",),
        rank=11),
    Key("pick.close", "escape,q", "dismiss", "Close", "Close", ("pick",)),
    Key("pick.down", "j", "cursor(1)", "Down", "Down", ("pick",)),
    Key("pick.up", "k", "cursor(-1)", "Up", "Up", ("pick",)),
    Key("command.close", "escape", "dismiss", "Close", "Close", ("command",)),
    Key("command.complete", "tab", "complete(1)", "Complete",
        "Complete what is typed; again for the next one", ("command",), priority=True),
    Key("command.complete-back", "shift+tab", "complete(-1)", "Complete backwards",
        "The way to complete it before", ("command",), priority=True),
    Key("command.earlier", "up", "recall(-1)", "Before", "The command typed before",
        ("command",)),
    Key("command.later", "down", "recall(1)", "After", "The command typed after", ("command",)),
    Key("ask.close", "escape", "dismiss", "Close", "Close", ("ask",)),
    Key("help.close", "escape,question_mark,q,f1", "dismiss", "Close", "Close", ("help",)),
)  # fmt: skip
"""In the boxes above a view."""

KEYS: Final = (*APP, *TABLE, *MAPS, *ENTRIES, *FILTER, *FLEET, *DIALOGUES)
"""The table."""

_EVERY: Final = ("table", "view", "app")

SCENES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType({
    "overview": ("overview", "sorted", *_EVERY),
    "entries": ("entries", "filtered", "sorted", *_EVERY),
    "top": ("top", "filtered", *_EVERY),
    "events": ("events", "filtered", *_EVERY),
    "datapath": ("datapath", *_EVERY),
    "maps": ("maps", *_EVERY),
    "node": ("node", *_EVERY),
    "fleet": ("fleet", "filtered", "sorted", "table", "heat", "fleet-app"),
    "fleet-node": ("fleet-node", "table", "fleet-app"),
    "filter": ("filter",),
    "dialogue": ("dialogue",),
    "resize": ("resize", "dialogue"),
    "affected": ("affected", "table"),
    "columns": ("columns",),
    "sequel": ("sequel", "table"),
    "forecast": ("forecast",),
    "details": ("details",),
    "entry": ("entry",),
    "explain": ("explain",),
    "pick": ("pick",),
    "ask": ("ask",),
    "command": ("command",),
    "help": ("help",),
})  # fmt: skip
"""Each view and dialogue with the places whose keys are in force there; within one scene a key
means one thing."""

BY_ID: Final[Mapping[str, Key]] = MappingProxyType({key.id: key for key in KEYS})
"""The rows by their id."""


def keys_of(place: str) -> Iterator[Key]:
    """The keys of a place, in the table's order."""
    return (key for key in KEYS if place in key.places)


def scene_keys(scene: str) -> list[Key]:
    """The keys in force in a view or a dialogue, in the table's order.

    Raises:
        KeyError: there is no such scene.
    """
    places = frozenset(SCENES[scene])
    return [key for key in KEYS if not places.isdisjoint(key.places)]


_BETWEEN: Final = re.compile(r"( · |; )")
_PLACE: Final = re.compile(r"\{([\w.-]+)\}")


def keyed(text: str, chosen: Mapping[str, Sequence[str]], shown: Callable[[str], str]) -> str:
    """A text with the key that does a thing in the place of its id: ``{help.close} closes``.

    A part of it, between `` · `` or ``; ``, is left out where a thing it names has no key.

    Args:
        text: ours; no other braces may stand in it.
        chosen: keys by id, where they are not those of the table.
        shown: how a key is shown to a person.

    Raises:
        KeyError: there is no such id.
    """
    keys = {
        key_id: next(map(shown, chosen.get(key_id, BY_ID[key_id].each)), "")
        for key_id in _PLACE.findall(text)
    }
    parts = _BETWEEN.split(text)
    kept = [
        (sign, _PLACE.sub(lambda found: keys[found[1]], part))
        for sign, part in zip(["", *parts[1::2]], parts[::2], strict=True)
        if all(map(keys.get, _PLACE.findall(part)))
    ]
    return "".join(f"{sign if place else ''}{part}" for place, (sign, part) in enumerate(kept))
