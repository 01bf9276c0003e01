"""View 6: every map of the node by what it is for, held against the catalogue."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual import on

from ctconsole.ui.keys import bindings
from ctconsole.ui.screens.base import View
from ctconsole.ui.screens.details import MapDetails
from ctconsole.ui.text import plural
from ctconsole.ui.widgets.catalogue_rows import CatalogueRows
from ctconsole.ui.widgets.line_table import LineTable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from textual.widget import Widget

    from ctconsole.observe.sampler import Sample


class MapsScreen(View):
    """The catalogue, with what is live beside what is listed."""

    VIEW = "maps"

    BINDINGS = bindings("maps")

    def compose_body(self) -> Iterable[Widget]:
        """The table."""
        yield LineTable(id="catalogue", empty="Reading the node's maps …")

    def show_sample(self, sample: Sample) -> None:
        """Show the maps of this sample."""
        if sample.node is not None:
            self.query_one(LineTable).set_rows(CatalogueRows(sample))

    def shown(self) -> str:
        """How many are here, and how many of the catalogue are not."""
        rows = self.query_one(LineTable).rows
        if not isinstance(rows, CatalogueRows):
            return ""
        return (
            f"{plural(len(rows) - rows.missing, 'map')}, {rows.missing} of the catalogue not here"
        )

    @on(LineTable.Selected, "#catalogue")
    def _open(self, message: LineTable.Selected) -> None:
        rows = message.table.rows
        row = rows.row(message.table.cursor) if isinstance(rows, CatalogueRows) and rows else None
        if row is not None:
            self.app.push_screen(MapDetails(row, self.console.sample))
        else:
            self.console.flash("that map is not on this node")
