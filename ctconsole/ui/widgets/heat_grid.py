"""A cell for each node of a fleet, the worst first: a thousand of them are seen at once.

A cell is a sign and a colour, and the sign says all: the tenths of the room that the node's fullest
map has taken, or why that is not known.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from rich.segment import Segment
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from ctconsole.fleet.nodes import PREFIX
from ctconsole.ui.keys import bindings
from ctconsole.ui.levels import level_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.style import Style
    from textual import events

    from ctconsole.fleet.nodes import FleetNode

DOWN: Final = "x"
UNKNOWN: Final = "?"
FULL: Final = "F"

LEGEND: Final = (
    ("0-9", "tenths of the room that a node's fullest map has taken"),
    (FULL, "it is full"),
    (DOWN, "its exporter does not answer"),
    (UNKNOWN, "nothing is known of its maps"),
    ("!", "behind a sign: an alert fires there, a pin is not used, or entries were lost"),
)
"""What the signs mean."""

_FULL: Final = 0.995

_WIDE: Final = 3
"""Cells of a node: its sign, what is behind it, and a gap."""


def sign_of(node: FleetNode) -> tuple[str, str]:
    """Two letters for a node, and the style they are drawn in."""
    behind = "!" if node.alerts or node.split or node.lost else " "
    if node.up is False:
        return DOWN + behind, "down"
    if node.fill is None:
        return UNKNOWN + behind, "unknown"
    sign = FULL if node.fill >= _FULL else str(max(0, min(9, int(node.fill * 10))))
    return sign + behind, level_of(node.fill, f"{PREFIX}{node.fullest}").value


class HeatGrid(ScrollView, can_focus=True, inherit_bindings=False):
    """Shows nodes in the order in which they are given."""

    BINDINGS = bindings("heat")

    DEFAULT_CSS = "HeatGrid { height: 1fr; scrollbar-size-horizontal: 0; }"

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        f"heat-grid--{name}"
        for name in ("ok", "warn", "crit", "down", "unknown", "cursor", "ground")
    }

    class Chosen(Message):
        """Enter was pressed on a node, or it was clicked twice."""

        def __init__(self, node: str) -> None:
            super().__init__()
            self.node = node

    class Looked(Message):
        """The cursor is on another node."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self._shown: Sequence[FleetNode] = ()
        self._cursor = 0

    @property
    def node(self) -> FleetNode | None:
        """The node the cursor is on."""
        return self._shown[self._cursor] if self._shown else None

    def show(self, nodes: Sequence[FleetNode]) -> None:
        """Show these; the cursor stays on its node unless it was never moved from the first."""
        held = self.node.node if self.node and self._cursor else None
        self._shown = nodes
        places = (place for place, one in enumerate(nodes) if one.node == held)
        self._cursor = next(places, min(self._cursor, max(0, len(nodes) - 1)))
        self._fit()

    def move_to(self, place: int) -> None:
        """Put the cursor on a node and scroll it into view."""
        if self._shown:
            self._cursor = max(0, min(place, len(self._shown) - 1))
            line = self._cursor // self._across
            top, height = self.scroll_offset.y, max(1, self.size.height)
            if not top <= line < top + height:
                top = line if line < top else line - height + 1
                self.scroll_to(y=top, animate=False, immediate=True)
            self.refresh()
            self.post_message(self.Looked())

    @property
    def _across(self) -> int:
        """Nodes in a line."""
        return max(1, self.scrollable_content_region.width // _WIDE)

    def action_move(self, by: int) -> None:
        """Move by lines."""
        place = self._cursor + by * self._across
        if 0 <= place < len(self._shown):
            self.move_to(place)

    def action_sideways(self, by: int) -> None:
        """Move by nodes."""
        self.move_to(self._cursor + by)

    def action_page(self, by: int) -> None:
        """Move by a screenful."""
        self.move_to(self._cursor + by * self._across * max(1, self.size.height - 1))

    def action_jump(self, place: int) -> None:
        """Go to the first (0) or the last (-1)."""
        self.move_to(place if place >= 0 else len(self._shown) - 1)

    def action_select(self) -> None:
        """Tell that the node under the cursor was chosen."""
        if self.node is not None:
            self.post_message(self.Chosen(self.node.node))

    def on_click(self, event: events.Click) -> None:
        """A click moves the cursor, a second one chooses."""
        offset = event.get_content_offset(self)
        if offset is None:
            return
        place = (offset.y + self.scroll_offset.y) * self._across + offset.x // _WIDE
        if place < len(self._shown) and offset.x // _WIDE < self._across:
            self.move_to(place)
            if event.chain == 2:  # noqa: PLR2004 - a double click
                self.action_select()

    def on_resize(self) -> None:
        """As many in a line as there is room for."""
        self._fit()

    def on_focus(self) -> None:
        """The cursor is only there with the focus."""
        self.refresh()

    def on_blur(self) -> None:
        """Likewise."""
        self.refresh()

    def notify_style_update(self) -> None:
        """Colours changed."""
        super().notify_style_update()
        self.refresh()

    def _fit(self) -> None:
        self.virtual_size = Size(self.size.width, -(-len(self._shown) // self._across))
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """One line of nodes."""
        first = (self.scroll_offset.y + y) * self._across
        ground = self._look("ground")
        segments = []
        for place, node in enumerate(self._shown[first : first + self._across], first):
            text, style = sign_of(node)
            look = self._look(style)
            if place == self._cursor and self.has_focus:
                look = self._look("cursor")
            segments += [Segment(text, look), Segment(" " * (_WIDE - len(text)), ground)]
        return Strip(segments).adjust_cell_length(self.size.width, ground)

    def _look(self, name: str) -> Style:
        return self.get_component_rich_style(f"heat-grid--{name}")
