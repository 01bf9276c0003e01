"""Everything about one map, and everything about one entry."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from rich.table import Table
from rich.text import Text
from textual import work
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from ctconsole.errors import CtconsoleError
from ctconsole.model.catalogue import use_of
from ctconsole.model.ct.order import find_entry
from ctconsole.model.ct.related import related, with_state
from ctconsole.model.ct.show import details
from ctconsole.model.units import percent, short_size
from ctconsole.observe.sampler import standing
from ctconsole.observe.usage import in_use
from ctconsole.ui.console import console_of
from ctconsole.ui.keys import bindings
from ctconsole.ui.screens.faults import TellsFaults
from ctconsole.ui.screens.pick import Choice, PickScreen
from ctconsole.ui.text import clean

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from textual.app import App, ComposeResult

    from ctconsole.model.ct.knowledge import Translations
    from ctconsole.model.ct.table import CtTable
    from ctconsole.model.names import Names
    from ctconsole.observe.sampler import Sample
    from ctconsole.observe.source import MapRow
    from ctconsole.observe.usage import MapUsage

COPIES: Final = MappingProxyType(
    {"text": "As text", "json": "As JSON", "tcpdump": "A filter for tcpdump"}
)
"""How an entry is copied."""

Facts = list[tuple[str, str]]
"""Name and value, line by line; an empty name is a gap."""


class Details(TellsFaults, ModalScreen[None]):
    """A box of facts."""

    BINDINGS = bindings("details")

    def __init__(self, title: str) -> None:
        super().__init__()
        self._title = title

    def compose(self) -> ComposeResult:
        """Facts that scroll where they do not fit."""
        with Vertical(id="details", classes="dialogue") as box:
            box.border_title = Text(clean(self._title))
            box.border_subtitle = console_of(self.app).keyed("{details.close} closes")
            with VerticalScroll():
                yield Static(id="facts")

    def show(self, facts: Sequence[tuple[str, str]]) -> None:
        """Put these facts into the box."""
        table = Table.grid(padding=(0, 2))
        table.add_column(no_wrap=True, style="dim")
        table.add_column(overflow="fold")
        for name, value in facts:
            table.add_row(Text(name), Text(clean(value)))
        self.query_one("#facts", Static).update(table)

    def show_sample(self, sample: Sample) -> None:
        """Follow what is shown while the box is open."""
        raise NotImplementedError


class MapDetails(Details):
    """What the kernel says of a map."""

    def __init__(self, row: MapRow, sample: Sample) -> None:
        super().__init__(row.info.label)
        self._row = row
        self._sample = sample

    def on_mount(self) -> None:
        """Show the facts of the sample it was opened on."""
        self.show_sample(self._sample)

    def show_sample(self, sample: Sample) -> None:
        """Follow the map while the box is open."""
        row = sample.node.row(self._row.key) if sample.node else None
        if row is None:
            self.show([("gone", "not pinned any more")])
        else:
            self.show(map_facts(row, standing(sample).get(row.key)))


def map_facts(row: MapRow, usage: MapUsage | None = None) -> Facts:
    """Everything about a map.

    Args:
        row: the map.
        usage: which programs use which generation of it, where that is known.
    """
    info = row.info
    entries = "not counted for this type" if row.entries is None else f"{row.entries:,}"
    if row.fill is not None:
        entries += f", {percent(row.fill)} of the maximum"
    return [
        ("pinned at", str(info.pin or "not pinned")),
        ("kernel name", info.name),
        ("kernel id", str(info.id)),
        ("group", row.group),
        ("", ""),
        ("type", info.type.name.lower()),
        ("key size", f"{info.key_size} bytes"),
        ("value size", f"{info.value_size} bytes"),
        ("maximum", f"{info.max_entries:,} entries" if info.max_entries else "not known"),
        ("flags", f"0x{info.flags:x}"),
        ("", ""),
        ("used by", _used_by(row, usage)),
        ("entries", entries if row.exact else f"about {entries}"),
        ("memory", short_size(info.memlock) if info.memlock else "not told by the kernel"),
    ]


def _used_by(row: MapRow, usage: MapUsage | None) -> str:
    """Who uses a map, or an older generation of it."""
    if usage is not None and usage.older is not None:
        return in_use(usage)
    if row.programs == 0 and usage is None:
        return "no program; whether one uses an older generation is not known yet"
    return use_of(row.programs) or "not known"


class EntryDetails(Details):
    """What is known of one connection; follows it through the samples.

    Args:
        table: the table of the sample it was opened on.
        key: the entry's raw key.
        names: what addresses, services and identities are called, where that is known.
    """

    BINDINGS = bindings("entry")

    def __init__(self, table: CtTable, key: bytes, names: Names | None = None) -> None:
        super().__init__(table.info.label)
        self._table = table
        self._key = key
        self._names = names
        self._translated: Mapping[int, Translations] | None = None

    def on_mount(self) -> None:
        """Show the entry of the sample it was opened on, and look how it is translated."""
        self._show()
        self._look_at_translations()

    @work(thread=True, group="translations", exit_on_error=False)
    def _look_at_translations(self) -> None:
        # What cannot be read is not known; the facts say so.
        with suppress(CtconsoleError):
            translated = console_of(self.app).read_translated()
            self.app.call_from_thread(self._know, translated)

    def _know(self, translated: Mapping[int, Translations]) -> None:
        self._translated = translated
        if self.is_mounted:
            self._show()

    def show_sample(self, sample: Sample) -> None:
        """Follow the entry while the box is open."""
        table = self._newest(sample)
        if table is None:
            return
        if find_entry(table, self._key) is not None:
            self._table = table
            self._show()
        else:
            self._show(
                [("gone", "not in the table any more; this is what was last seen"), ("", "")]
            )

    def _newest(self, sample: Sample) -> CtTable | None:
        """What tells of the entry by now; None where nothing does."""
        following = console_of(self.app).following
        entry = following.entry
        if entry is not None and entry.key == self._key:
            around = following.around
            return around if entry.there or around is None else around.take(slice(0, 0))
        table = sample.table
        same = table is not None and table.info.label == self._table.info.label
        return table if same else None

    def _show(self, before: Facts | None = None) -> None:
        known = replace(self._table.knowledge, translated=self._translated)
        table = self._table if self._translated is None else replace(self._table, knowledge=known)
        facts = entry_facts(table, self._key, self._names)
        console = console_of(self.app)
        happened = console.following.facts(self._key)
        if happened:
            ending = console.keyed("{entries.follow} ends that")
            happened = [("followed", ending or "yes"), *happened, ("", "")]
        self.show(happened + (before or []) + (facts or [("gone", "not in the table any more")]))

    def action_follow(self) -> None:
        """Follow this entry from now on, or not any more."""
        following = console_of(self.app).following
        if following.facts(self._key):
            following.end()
        elif find_entry(self._table, self._key) is not None:
            following.begin(self._table, self._key)
        self._show()

    def action_copy(self) -> None:
        """Choose how to copy the entry."""
        copy_entry(self.app, self._table, self._key, self._names)


def entry_facts(table: CtTable, key: bytes, names: Names | None = None) -> Facts | None:
    """Everything about an entry, None when the table does not have it."""
    row = find_entry(table, key)
    if row is None:
        return None
    one = table.take(slice(row, row + 1))
    others = [
        ("also of it", with_state(table.take(slice(other, other + 1))))
        for other in related(table, row)
    ]
    alone = [("also of it", "no other entry in this table")]
    return [*details(one, names), ("", ""), *(others or alone), _translation(one)]


def _translation(one: CtTable) -> tuple[str, str]:
    """Under which address the connection leaves the node."""
    if one.knowledge.translated is None:
        told = "not known: the NAT tables were not looked at"
    elif not one.translated[0]:
        told = "none of this entry"
    elif one.moved[0]:
        told = "leaves under another address, and from another port than its own"
    else:
        told = "leaves under another address, from its own port"
    return "translation", told


def copy_entry(app: App[Any], table: CtTable, key: bytes, names: Names | None) -> None:
    """Ask how an entry is to be copied, and have the terminal do it."""
    row = find_entry(table, key)
    if row is None:
        console_of(app).flash("the entry is gone: there is nothing to copy")
        return
    one = table.take(slice(row, row + 1))

    def chosen(form: str | None) -> None:
        if form is not None:
            # Loaded when somebody wants it: the first screen is not to wait.
            from ctconsole.model.listing import copied

            ways = {
                "text": partial(copied.copied_text, one, names),
                "json": partial(copied.copied_json, one, names),
                "tcpdump": partial(copied.tcpdump_filter, one),
            }
            app.copy_to_clipboard(ways[form]())
            console_of(app).flash(f"{COPIES[form]} was given to the terminal's clipboard (OSC 52)")

    choices = [Choice(form, word) for form, word in COPIES.items()]
    app.push_screen(PickScreen("Copy the entry", choices), chosen)
