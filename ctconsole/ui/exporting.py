"""What is looked at, written into a file: the rows of a view, or the picture of the screen."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ctconsole.errors import CtconsoleError, MissingFeatureError, UsageError
from ctconsole.private import write_private
from ctconsole.ui.keeping import IN_BROWSER
from ctconsole.ui.screens.ask import AskScreen
from ctconsole.ui.widgets.ct_rows import CtRows, StillRows
from ctconsole.ui.widgets.line_table import LineTable
from ctconsole.ui.widgets.map_rows import MapRows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from textual.app import App

    from ctconsole.ui.widgets.rows import Rows

    Row = Mapping[str, Any]

_OF_ROWS: Final = (".csv", ".ndjson", ".parquet")
_OF_SCREEN: Final = (".svg", ".txt")
_SUFFIXES: Final = f"{', '.join(_OF_ROWS)}: what is listed; {', '.join(_OF_SCREEN)}: the screen"
_YES: Final = "yes"


class Exporting:
    """Asks for a file, and writes it.

    Args:
        app: where it is asked for.
        say: says something in the status line.
    """

    def __init__(self, app: App[None], say: Callable[[str], None]) -> None:
        self._app = app
        self._say = say

    def ask(self, view: str) -> None:
        """Ask for a file; its suffix says what is written.

        Args:
            view: the name of what is looked at.
        """
        if self._app.is_web:
            self._say(f"nothing was exported: {IN_BROWSER}")
            return
        name = time.strftime(f"ctconsole-{view}-%Y%m%d-%H%M%S.csv")
        self._app.push_screen(
            AskScreen("Export into", _SUFFIXES, str(Path.cwd() / name)), self.into
        )

    def into(self, text: str | None) -> None:
        """Write into this file, whose suffix says what; None: nothing is wanted."""
        if text is None:
            return
        if self._app.is_web:
            self._say(f"nothing was exported: {IN_BROWSER}")
            return
        path = Path(text).expanduser().absolute()
        if path.suffix not in {*_OF_ROWS, *_OF_SCREEN}:
            self._say(f"nothing was exported: {path.name} ends in none of {_SUFFIXES}")
        elif path.exists():
            self._app.push_screen(
                AskScreen(f"{path} is there already", f"{_YES}: write over it"),
                lambda answer: self._take(path, over=True) if answer == _YES else None,
            )
        else:
            self._take(path)

    def _take(self, path: Path, *, over: bool = False) -> None:
        """Take what is shown once the question is off the screen, and write it beside."""

        def take() -> None:
            chunks = self._taken(path.suffix)
            self._app.run_worker(
                lambda: self._write(path, chunks, over=over),
                name="export",
                thread=True,
                exit_on_error=False,
            )

        self._app.call_after_refresh(take)

    def _taken(self, suffix: str) -> Callable[[], Iterable[bytes]]:
        """What makes the file; called in a worker, of what is shown now."""
        if suffix == ".svg":
            picture = self._app.export_screenshot()
            return lambda: [picture.encode()]
        if suffix == ".txt":
            text = _screen_text(self._app)
            return lambda: [text.encode()]
        tables = self._app.screen.query(LineTable)
        rows = tables.first().rows if tables else None
        return lambda: rendered(rows, suffix)

    def _write(self, path: Path, chunks: Callable[[], Iterable[bytes]], *, over: bool) -> None:
        try:
            write_private(path, chunks(), over=over)
        except CtconsoleError as error:
            told = f"nothing was exported: {error}"
        except OSError as error:
            why = f"{path} cannot be written: {error.strerror}"
            if not path.parent.is_dir():
                why = f"there is no folder {path.parent}"
            told = f"nothing was exported: {why}"
        else:
            told = f"exported into {path}"
        self._app.call_from_thread(self._say, told)


def rendered(rows: Rows | None, suffix: str) -> Iterable[bytes]:
    """The rows of a view as a file: entries and maps by their values, others as they are shown.

    Args:
        rows: of the view's first table.
        suffix: one of those of rows.

    Raises:
        UsageError: there are none.
        MissingFeatureError: nothing here writes Parquet.
    """
    if isinstance(rows, StillRows):
        raise UsageError("The entries are still being sorted", hint="Export them in a moment")
    if rows is None:
        raise UsageError("Nothing is listed here", hint=f"Export the screen: {_OF_SCREEN[0]}")
    from ctconsole.model.listing import ct as listing

    if isinstance(rows, CtRows) and suffix != ".parquet":
        table = rows.arrangement.table.take(rows.arrangement.order)
        render = listing.render_listing_csv
        if suffix == ".ndjson":
            render = listing.render_listing_ndjson
        return (bytes(chunk) for chunk in render([table]))
    found = _values(rows)
    if suffix == ".csv":
        from ctconsole.model.listing.rows import csv_text

        return [
            csv_text(found, list(dict.fromkeys(name for row in found for name in row))).encode()
        ]
    import json

    if suffix == ".ndjson":
        return [f"{json.dumps(row)}\n".encode() for row in found]
    return [_parquet(found)]


def _values(rows: Rows) -> list[Row]:
    """What JSON shows of each row."""
    if isinstance(rows, CtRows):
        import json

        from ctconsole.model.listing.ct import render_listing_ndjson

        table = rows.arrangement.table.take(rows.arrangement.order)
        lines = b"".join(bytes(chunk) for chunk in render_listing_ndjson([table])).splitlines()
        return [json.loads(line) for line in lines]
    if isinstance(rows, MapRows):
        return [_map_values(rows, number) for number in range(len(rows))]
    widths = {column.name: column.most for column in rows.columns}
    return [
        {
            name: "".join(text for text, _ in cell).strip()
            for name, cell in rows.cells(number, widths).items()
        }
        for number in range(len(rows))
    ]


def _map_values(rows: MapRows, number: int) -> Row:
    found = rows.row(number)
    return {
        "name": found.info.label,
        "path": str(found.info.pin) if found.info.pin else None,
        "id": found.info.id,
        "type": found.info.type.name,
        "entries": found.entries,
        "max_entries": found.info.max_entries,
        "fill": None if found.fill is None else round(found.fill, 6),
        "memory": found.info.memlock,
        "group": str(found.group),
        "programs": found.programs,
    }


def _parquet(rows: list[Row]) -> bytes:
    """The rows as Apache Parquet.

    Raises:
        MissingFeatureError: pyarrow is not installed.
    """
    import io

    try:
        from pyarrow import Table
        from pyarrow.parquet import write_table
    except ImportError as error:
        raise MissingFeatureError(
            "Parquet is written by pyarrow, which is not installed here",
            hint="pip install 'ctconsole[parquet]', or export .csv or .ndjson",
        ) from error
    stream = io.BytesIO()
    write_table(Table.from_pylist(rows), stream)
    return stream.getvalue()


def _screen_text(app: App[None]) -> str:
    """What is on the screen, line by line."""
    # Textual hands out the lines of single widgets only.
    strips = app.screen._compositor.render_strips()  # noqa: SLF001 - there is no other way to them
    return "".join(f"{strip.text.rstrip()}\n" for strip in strips)
