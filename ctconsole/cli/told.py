"""Printing what comes one by one, as it was asked for (`ctconsole.cli.shown.lines_option`)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from ctconsole.cli.shown import how

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_BETWEEN: Final = "  "


class LineTeller:
    """Prints a line of each row: for people, as an object, or as CSV with a line of names first.

    Args:
        names: the columns that a row may have.

    Raises:
        UsageError: a column was asked for that none has.
    """

    def __init__(self, names: Sequence[str]) -> None:
        asked = how()
        for name in (*asked.columns, *filter(None, [asked.sort.removeprefix("-")])):
            if name not in names:
                from ctconsole.model.listing.rows import no_such

                raise no_such("column", name, names)
        self._output = asked.output
        self._chosen = asked.columns
        self._names = asked.columns or tuple(names)
        self._headed = False

    @property
    def for_people(self) -> bool:
        """Whether the lines are the verb's own; else they are made of what `row` gives."""
        return self._output in {"table", "wide"} and not self._chosen

    def tell(
        self,
        line: Callable[[], str],
        whole: Callable[[], Mapping[str, Any]],
        row: Callable[[], Mapping[str, Any]] | None = None,
        *,
        at_once: bool = True,
    ) -> None:
        """Print one.

        Args:
            line: it for people.
            whole: it as JSON has it.
            row: it by the names of columns, where that is something else.
            at_once: whether who reads through a pipe gets it now.
        """
        if self.for_people:
            text = line()
        elif self._output in {"json", "ndjson"} and not self._chosen:
            text = json.dumps(whole())
        else:
            text = self._of_columns((row or whole)())
        print(text, flush=at_once)

    def _of_columns(self, row: Mapping[str, Any]) -> str:
        from ctconsole.model.listing.rows import csv_text

        if self._output in {"json", "ndjson"}:
            return json.dumps({name: row.get(name) for name in self._names})
        names, values = csv_text([row], self._names).removesuffix("\n").split("\n", 1)
        if self._output == "csv":
            headed, self._headed = self._headed, True
            return values if headed else f"{names}\n{values}"
        from ctconsole.model.text.safe import cell

        return _BETWEEN.join("-" if row.get(n) is None else cell(str(row[n])) for n in self._names)
