"""A fleet: its totals, and its nodes as a table, as a heat map, and by their maps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol, cast

from rich.text import Text
from textual import on
from textual.widgets import Static

from ctconsole.errors import FilterError
from ctconsole.fleet.nodes import totals, worst_first
from ctconsole.model.filter.nodes import node_fields, parse_nodes
from ctconsole.model.filter.rows import Listed
from ctconsole.model.units import duration, percent
from ctconsole.ui.keys import bindings
from ctconsole.ui.levels import thresholds
from ctconsole.ui.screens.base import SortingScreen
from ctconsole.ui.screens.columns import ColumnsScreen
from ctconsole.ui.screens.faults import TellsFaults
from ctconsole.ui.screens.filtered import FilteringScreen
from ctconsole.ui.text import clean, plural
from ctconsole.ui.widgets.chrome import LookedAt, StatusBar, TitleBar
from ctconsole.ui.widgets.ct_rows import Sorting
from ctconsole.ui.widgets.filter_bar import FilterBar
from ctconsole.ui.widgets.fleet_rows import FillRows, FleetRows, in_order
from ctconsole.ui.widgets.heat_grid import LEGEND, HeatGrid
from ctconsole.ui.widgets.key_footer import KeyFooter
from ctconsole.ui.widgets.line_table import LineTable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.app import ComposeResult

    from ctconsole.fleet.following import Followed
    from ctconsole.fleet.looking import FleetLook
    from ctconsole.fleet.nodes import FleetNode, FleetTotals
    from ctconsole.model.filter.nodes import NodeFilter

LOOKS: Final = ("table", "heat", "maps")
"""How the nodes can be shown, in the order of the key."""


class FleetConsole(Protocol):
    """What the screens of a fleet may ask of their app, beside what every screen may."""

    @property
    def followed(self) -> Followed:
        """What is known of the fleet."""
        ...

    def open_node(self, node: str) -> None:
        """Show one node."""
        ...

    def hurry(self) -> None:
        """Ask at once."""
        ...


class FleetTitle(TitleBar):
    """The program, and whom it asks."""

    def compose(self) -> ComposeResult:
        """No views beside it."""
        yield Static("ctconsole", id="program", markup=False)
        yield LookedAt(self._title)


class FleetScreen(TellsFaults, FilteringScreen, SortingScreen):
    """All nodes.

    Args:
        filter_text: the filter to begin with.
        sorting: the order to begin with.

    Attributes:
        look_shown: a member of `LOOKS`.
    """

    VIEW = "fleet"
    AUTO_FOCUS = "#fleet"
    BINDINGS = bindings("fleet")

    def __init__(self, filter_text: str, sorting: Sorting) -> None:
        super().__init__()
        self.sorting = sorting
        self.look_shown = LOOKS[0]
        self._filter: NodeFilter = parse_nodes("")
        self._begin_with = filter_text
        self._shown: Sequence[FleetNode] = ()

    @property
    def fleet(self) -> FleetConsole:
        """Whom to ask."""
        return cast("FleetConsole", self.app)

    @property
    def filter_text(self) -> str:
        """See `FilteringScreen`."""
        return self._filter.text

    def compose(self) -> ComposeResult:
        """Totals, filter, the nodes in one of their looks, and a line about one of them."""
        yield FleetTitle(self.console.looked_at, self.VIEW)
        yield Static(id="fleet-totals", markup=False)
        yield FilterBar(node_fields(), self._listed, id="filter")
        yield LineTable(id="fleet", empty="Asking Prometheus …")
        yield HeatGrid(id="heat")
        yield Static(_legend(), id="heat-legend")
        yield Static(id="fleet-told", markup=False)
        yield StatusBar()
        yield KeyFooter()

    def on_mount(self) -> None:
        """Begin with what was asked for."""
        self.query_one(FilterBar).display = False
        self._show_look()
        if self._begin_with:
            self.show_filter(self._begin_with)
        self.show_fleet()
        # The app passes over screens that are not there yet.
        self.call_after_refresh(self.console.refresh_status)

    def show_fleet(self) -> None:
        """Show what is known by now."""
        look = self.fleet.followed.look
        if look is None:
            if self.fleet.followed.error:
                self.query_one("#fleet", LineTable).set_empty(self.fleet.followed.error)
            return
        self.query_one("#fleet-totals", Static).update(self._totals(look))
        self.resort()

    def resort(self) -> None:
        """See `SortingScreen`."""
        look = self.fleet.followed.look
        if look is None:
            return
        listed = Listed([node.as_dict() for node in look.nodes])
        passing = self._filter.rows(listed).tolist()
        self._shown = [node for node, passes in zip(look.nodes, passing, strict=True) if passes]
        if self.query_one(FilterBar).display:
            self.query_one(FilterBar).count(len(self._shown), len(look.nodes))
        table = self.query_one("#fleet", LineTable)
        table.set_empty(
            "No node passes the filter"
            if look.nodes
            else "Prometheus knows no node with an exporter of ctconsole's (ctconsole export)"
        )
        if self.look_shown == "heat":
            self.query_one(HeatGrid).show(worst_first(self._shown))
        elif self.look_shown == "maps":
            table.set_rows(FillRows(worst_first(self._shown), Sorting("fill", descending=True)))
        else:
            table.set_rows(FleetRows(in_order(self._shown, self.sorting), self.sorting))
        self._tell()
        self.console.refresh_status()

    def filter_to(self, text: str) -> None:
        """See `FilteringScreen`."""
        bar = self.query_one(FilterBar)
        try:
            found = parse_nodes(text, self.console.filters.saved)
        except FilterError as error:
            bar.complain(error)
            return
        bar.complain(None)
        if found != self._filter:
            self._filter = found
            self.resort()

    def action_clear_filter(self) -> None:
        """Show every node again."""
        super().action_clear_filter()
        self._focus()

    def shown(self) -> str:
        """For the status line."""
        look = self.fleet.followed.look
        return f"{len(self._shown):,} of {plural(len(look.nodes), 'node')}" if look else ""

    def action_next_look(self) -> None:
        """Table, heat map, nodes by maps."""
        self.take_look(LOOKS[(LOOKS.index(self.look_shown) + 1) % len(LOOKS)])

    def take_look(self, look: str) -> None:
        """Show the nodes so from now on."""
        self.look_shown = look
        self._show_look()
        self._focus()
        self.resort()

    def action_again(self) -> None:
        """Ask at once."""
        self.fleet.hurry()

    def action_columns(self) -> None:
        """Choose the columns of the table."""
        table = self.query_one("#fleet", LineTable)
        if self.look_shown != "table":
            told = "only the table ({fleet.look}) has a choice of columns"
            self.console.flash(self.console.keyed(told))
        elif table.rows is not None:
            self.app.push_screen(ColumnsScreen(table), self._columns_chosen)

    def _columns_chosen(self, columns: tuple[str, ...] | None) -> None:
        if columns is not None:
            self.console.choose_columns(self.VIEW, columns)

    def action_sideways(self, by: int) -> None:
        """Scroll the table by a column."""
        self.query_one("#fleet", LineTable).sideways(by)

    def sort_by(self, column: str, *, descending: bool | None = None) -> None:
        """See `SortingScreen`; a heat map is always the worst first."""
        if self.look_shown != "table":
            told = "the worst are first here; the table ({fleet.look}) can be sorted"
            self.console.flash(self.console.keyed(told))
            return
        super().sort_by(column, descending=descending)

    def _show_look(self) -> None:
        heat = self.look_shown == "heat"
        table = self.query_one("#fleet", LineTable)
        table.display = not heat
        # What the maps are has no name in the configuration.
        table.choose(self.console.columns(self.VIEW) if self.look_shown == "table" else ())
        self.query_one(HeatGrid).display = heat
        self.query_one("#heat-legend", Static).display = heat

    def _focus(self) -> None:
        where = HeatGrid if self.look_shown == "heat" else LineTable
        self.query_one(where).focus()

    def _listed(self) -> Listed:
        look = self.fleet.followed.look
        return Listed([node.as_dict() for node in look.nodes] if look else [])

    def _at_cursor(self) -> FleetNode | None:
        if self.look_shown == "heat":
            return self.query_one(HeatGrid).node
        table = self.query_one("#fleet", LineTable)
        rows = table.rows
        if isinstance(rows, FleetRows | FillRows) and len(rows):
            return rows.nodes[table.cursor]
        return None

    def _tell(self) -> None:
        """What is to be said of the node under the cursor."""
        node = self._at_cursor()
        self.query_one("#fleet-told", Static).update(sentence_on(node) if node else "")

    @on(HeatGrid.Looked)
    @on(LineTable.Moved)
    def _moved(self) -> None:
        self._tell()

    @on(HeatGrid.Chosen)
    def _chosen(self, message: HeatGrid.Chosen) -> None:
        self.fleet.open_node(message.node)

    @on(LineTable.Selected, "#fleet")
    def _selected(self, message: LineTable.Selected) -> None:
        self.fleet.open_node(str(message.key))

    @on(FilterBar.Left)
    def _left_filter(self) -> None:
        self._focus()

    def _totals(self, look: FleetLook) -> Text:
        found = totals(look.nodes, thresholds())
        text = Text()
        for words, variable in _said(found, ruled=look.ruled):
            style = self.app.theme_variables.get(variable, "") if variable else ""
            text.append("   " if text else "").append(words, style)
        for told in (*look.missing, *look.warnings):
            text.append(f"\n▲ {clean(told)}", self.app.theme_variables.get("fill-warn", ""))
        return text


def _said(found: FleetTotals, *, ruled: bool) -> list[tuple[str, str]]:
    """The totals in words, each with the theme's variable for its colour."""
    from_fill = thresholds()
    own = bool(from_fill.own)
    high = "above thresholds for high" if own else f"above {percent(from_fill.warn)}"
    full = "above thresholds for full" if own else f"above {percent(from_fill.crit)}"

    def bad(number: int | None, words: str, variable: str = "fill-crit") -> tuple[str, str]:
        if number is None:
            return f"? {words}", ""
        return (f"▲ {number:,} {words}", variable) if number else (f"{number:,} {words}", "")

    return [
        (plural(found.nodes, "node"), ""),
        bad(found.down, "down"),
        bad(found.full, full),
        bad(found.high, high, "fill-warn"),
        (f"{_known(found.entries)} entries, {_known(found.living)} alive", ""),
        bad(found.alerts, "alerts fire")
        if found.alerts is not None
        else ("alerts not known" + ("" if ruled else ": Prometheus has no rules of ours"), ""),
        bad(found.split, "split brain"),
        bad(
            found.lossy if found.lost is not None else None,
            f"re-created with loss ({_known(found.lost)} entries/h)"
            if found.lost is not None
            else "re-created with loss",
            "fill-warn",
        ),
        bad(found.evicted, "evicted/h"),
        bad(found.refused, "refused/h"),
    ]


def _known(number: int | None) -> str:
    return "?" if number is None else f"{number:,}"


def _legend() -> Text:
    text = Text()
    for sign, meant in LEGEND:
        text.append("  " if text else "").append(sign, "bold").append(f" {meant}")
    found = thresholds()
    return text.append(f"  coloured from {percent(found.warn)} and from {percent(found.crit)} on")


def sentence_on(node: FleetNode) -> str:
    """One node in a line."""
    told = [clean(node.node)]
    if node.up is False:
        told.append("its exporter does not answer: nothing is known of it now")
    elif node.fill is None:
        told.append("nothing is known of its maps")
    else:
        told.append(f"{clean(node.fullest or '')} {percent(node.fill)} full")
    if node.full_in is not None:
        told.append(f"full in {duration(round(node.full_in))}")
    if node.split:
        told.append(f"{plural(node.split, 'pin')} not used by any program")
    if node.lost:
        told.append(f"{node.lost:,} entries lost in the last hour")
    if node.firing:
        told.append(f"fires: {', '.join(map(clean, node.firing))}")
    return " · ".join(told)
