"""What rows of any list can be asked for: each of their columns, as a number or as a text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from ctconsole.model.filter import rules
from ctconsole.model.filter.asking import Asked
from ctconsole.model.filter.parse import NONE_SAVED
from ctconsole.model.filter.query import Filter
from ctconsole.model.filter.rules import Fields, FilterRule, Test

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from ctconsole.model.filter.syntax import Compare, Value

    Row: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Listed:
    """Rows as JSON has them; a value that is None is not known.

    Attributes:
        rows: a name and its value each.
    """

    rows: Sequence[Row]

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, rows: npt.NDArray[np.intp] | slice) -> Listed:
        """Some of them."""
        return Listed(self.rows[rows] if isinstance(rows, slice) else [self.rows[n] for n in rows])

    def known(self, name: str) -> npt.NDArray[np.bool_]:
        """Which rows tell it."""
        return np.array([row.get(name) is not None for row in self.rows], np.bool_)

    def numbers(self, name: str) -> npt.NDArray[np.float64]:
        """A column of numbers; NaN where one is not known."""
        told = (row.get(name) for row in self.rows)
        return np.array([np.nan if one is None else one for one in told], np.float64)


def parse_rows(
    text: str, rows: Sequence[Row], saved: Mapping[str, str] = NONE_SAVED
) -> Filter[Listed]:
    """A filter for such rows.

    Raises:
        FilterError: points at what cannot be meant, and says what could be.
    """
    names = dict.fromkeys(name for row in rows for name in row)
    fields = Fields("rows", tuple(_field(name, rows) for name in names))
    return Filter.parse(text, fields, saved)


def _field(name: str, rows: Sequence[Row]) -> FilterRule[Listed]:
    told = [row[name] for row in rows if row.get(name) is not None]
    numeric = bool(told) and all(
        isinstance(one, int | float) and not isinstance(one, bool) for one in told
    )
    asked = Asked((name,), str(told[0]) if told else "x", f"the column {name}")
    if numeric:
        return rules.measured(
            asked,
            lambda listed: listed.numbers(name),
            rules.SIZES,
            rules.SIZE_TAKES,
            known=lambda listed: listed.known(name),
        )

    def read(_compare: Compare, value: Value) -> Test[Listed]:
        matches = rules.text_has(value)
        return Test(
            lambda listed: np.array(
                [row.get(name) is not None and matches(_text(row[name])) for row in listed.rows],
                np.bool_,
            ),
            known=lambda listed: listed.known(name),
        )

    return FilterRule(asked, read, rules.TEXT_TAKES)


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
