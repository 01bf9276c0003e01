"""One node of a fleet: its maps, how they went, and what became of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol, cast

from textual import on, work
from textual.screen import Screen
from textual.widgets import Static

from ctconsole.errors import CtconsoleError
from ctconsole.model.units import duration
from ctconsole.ui.console import console_of
from ctconsole.ui.keys import bindings
from ctconsole.ui.screens.faults import TellsFaults
from ctconsole.ui.screens.fleet import FleetTitle
from ctconsole.ui.text import clean, plural
from ctconsole.ui.widgets.chrome import StatusBar
from ctconsole.ui.widgets.fleet_node_rows import NodeMapRows, StoryRows, map_told, story_told
from ctconsole.ui.widgets.key_footer import KeyFooter
from ctconsole.ui.widgets.line_table import LineTable

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from ctconsole.fleet.onenode import NodeLook
    from ctconsole.ui.console import Console

SPANS: Final = (3600.0, 6 * 3600.0, 86_400.0, 7 * 86_400.0)
"""Seconds of the past that can be asked for."""


class LooksAtNodes(Protocol):
    """What this screen may ask of its app."""

    def look_at(self, node: str, span: float) -> NodeLook:
        """Ask for everything about a node; takes its time.

        Raises:
            CtconsoleError: Prometheus does not answer.
        """
        ...


class FleetNodeScreen(TellsFaults, Screen[None]):
    """Asks by itself, in a thread, whenever it is told to show something.

    Args:
        node: its ``instance``.
    """

    AUTO_FOCUS = "#fleet-maps"
    BINDINGS = bindings("fleet-node")

    def __init__(self, node: str) -> None:
        super().__init__()
        self.node = node
        self._span = 2
        self._look: NodeLook | None = None
        self._error = ""
        self._only = ""
        self._asking = False

    @property
    def console(self) -> Console:
        """Whom to ask."""
        return console_of(self.app)

    def compose(self) -> ComposeResult:
        """What is known of the node, its maps, and their stories."""
        yield FleetTitle(f"{self.console.looked_at} · {self.node}", "fleet-node")
        yield Static(id="fleet-totals", markup=False)
        yield LineTable(id="fleet-maps", empty="Asking Prometheus …")
        yield LineTable(id="fleet-stories", empty="Asking Prometheus …")
        yield Static(id="fleet-told", markup=False)
        yield StatusBar()
        yield KeyFooter()

    def on_mount(self) -> None:
        """Ask."""
        self.show_fleet()

    def show_fleet(self) -> None:
        """Ask anew, unless an answer is waited for."""
        if not self._asking:
            self._asking = True
            self._ask(SPANS[self._span])

    def shown(self) -> str:
        """For the status line."""
        told = plural(len(self._look.maps), "map") if self._look else ""
        return f"{told}  {self._error}".strip()

    @work(thread=True, exclusive=True, group="node")
    def _ask(self, span: float) -> None:
        try:
            look = cast("LooksAtNodes", self.app).look_at(self.node, span)
        except CtconsoleError as error:
            self.app.call_from_thread(self._failed, str(error))
        else:
            self.app.call_from_thread(self._found, look)

    def _failed(self, error: str) -> None:
        self._asking, self._error = False, error
        for table in self.query(LineTable):
            table.set_empty(error)
        self.console.flash(error)

    def _found(self, look: NodeLook) -> None:
        self._asking, self._error, self._look = False, "", look
        self.query_one("#fleet-totals", Static).update(_told(look))
        maps = self.query_one("#fleet-maps", LineTable)
        maps.set_empty("Prometheus knows no map of this node")
        maps.set_rows(NodeMapRows(look))
        self._show_stories(look)
        self._tell()
        if look.span != SPANS[self._span]:
            # Another was chosen meanwhile.
            self.show_fleet()

    def _show_stories(self, look: NodeLook) -> None:
        table = self.query_one("#fleet-stories", LineTable)
        found = [one for one in look.stories if not self._only or one.map in {self._only, ""}]
        over = duration(look.span)
        about = f" of {clean(self._only)} and the agent" if self._only else ""
        table.border_title = f"In the last {over}{about}"
        table.set_empty(f"Nothing was re-created, resized or restarted in the last {over}")
        table.set_rows(StoryRows(found))

    def _tell(self) -> None:
        """Say in whole what is under the cursor, which a narrow column cuts."""
        focused = self.focused
        table = focused if isinstance(focused, LineTable) else self.query(LineTable).first()
        rows, told = table.rows, ""
        if isinstance(rows, NodeMapRows) and len(rows):
            told = map_told(rows.map(table.cursor))
        elif isinstance(rows, StoryRows) and len(rows):
            story = rows.story(table.cursor)
            told = f"{clean(story.map)} {story_told(story)}".strip()
        self.query_one("#fleet-told", Static).update(told)

    @on(LineTable.Moved)
    def _moved(self) -> None:
        self._tell()

    def on_descendant_focus(self) -> None:
        """The cursor of the other table counts."""
        self._tell()

    def action_widen(self) -> None:
        """Look further back, or less far again."""
        self._span = (self._span + 1) % len(SPANS)
        self.console.flash(f"the last {duration(SPANS[self._span])}")
        self.show_fleet()

    def action_again(self) -> None:
        """Ask at once."""
        self.show_fleet()

    def action_back(self) -> None:
        """Back to all nodes."""
        self.app.pop_screen()

    def action_sideways(self, by: int) -> None:
        """Scroll the table that has the focus by a column."""
        focused = self.focused
        table = focused if isinstance(focused, LineTable) else self.query(LineTable).first()
        table.sideways(by)

    @on(LineTable.Selected, "#fleet-maps")
    def _selected(self, message: LineTable.Selected) -> None:
        """Tell the stories of one map, or of all again."""
        name = str(message.key)
        self._only = "" if self._only == name else name
        if self._look is not None:
            self._show_stories(self._look)


def _told(look: NodeLook) -> str:
    """What is known of the node itself."""
    if look.up is False:
        told = ["▲ DOWN: its exporter does not answer, nothing is known of it now"]
    elif look.up is None:
        told = ["Prometheus does not know this node"]
    else:
        told = ["its exporter answers"]
    if look.sampled_at is not None:
        told.append(f"sampled {duration(round(max(0.0, look.taken_at - look.sampled_at)))} ago")
    if look.agent_started is not None:
        told.append(f"agent up for {duration(round(max(0.0, look.taken_at - look.agent_started)))}")
    elif look.up:
        told.append("when its agent started is not known")
    return " · ".join([*told, *(f"▲ {clean(one)}" for one in look.warnings)])
