"""What maps can be asked for, of rows as ``map list`` has them: a name and its value each."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from ctconsole.model.filter import rules
from ctconsole.model.filter.asking import MAPS
from ctconsole.model.filter.parse import NONE_SAVED
from ctconsole.model.filter.query import Filter
from ctconsole.model.filter.rules import Fields, FilterRule, Test, UnmeantError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    import numpy.typing as npt

    from ctconsole.model.filter.asking import Asked
    from ctconsole.model.filter.syntax import Compare, Value

    Bools: TypeAlias = npt.NDArray[np.bool_]
    Rule: TypeAlias = FilterRule["Maps"]
    Row: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Maps:
    """Maps as rows; a value that is None is not known.

    Attributes:
        rows: with ``name``, ``group``, ``type`` and ``id``, ``entries``, ``max_entries``,
            ``fill`` (of 1), ``memory``; of files also ``node`` and ``pod``.
    """

    rows: Sequence[Row]

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, rows: npt.NDArray[np.intp] | slice) -> Maps:
        """Some of them."""
        return Maps(self.rows[rows] if isinstance(rows, slice) else [self.rows[n] for n in rows])

    def numbers(self, name: str) -> npt.NDArray[np.float64]:
        """A column of numbers; NaN where one is not known."""
        told = (row.get(name) for row in self.rows)
        return np.array([np.nan if one is None else one for one in told], np.float64)


MapFilter: TypeAlias = Filter[Maps]


def map_fields() -> Fields[Maps]:
    """What can be asked of maps."""
    return Fields(
        "maps",
        (
            _named(MAPS["map"], rules.name_is, rules.NAME_TAKES, "name", "path"),
            _named(MAPS["node"], rules.text_has, rules.TEXT_TAKES, "node", "pod"),
            _named(MAPS["group"], rules.text_has, rules.TEXT_TAKES, "group"),
            _named(MAPS["type"], _type_is, "a type; * and ? stand for any letters", "type"),
            _number(MAPS["entries"], "entries", rules.COUNTS, rules.COUNT_TAKES),
            _number(MAPS["max"], "max_entries", rules.SIZES, "entries; k, m and g are 1,024"),
            _fill(),
            _number(MAPS["memory"], "memory", rules.SIZES, rules.SIZE_TAKES),
            _number(MAPS["id"], "id", rules.ONES, rules.NUMBER_TAKES),
        ),
    )


def parse_maps(text: str, saved: Mapping[str, str] = NONE_SAVED) -> MapFilter:
    """A filter for maps.

    Raises:
        FilterError: points at what cannot be meant, and says what could be.
    """
    return Filter.parse(text, map_fields(), saved)


def _named(
    asked: Asked,
    matcher: Callable[[Value], Callable[[str], bool]],
    takes: str,
    *names: str,
) -> Rule:
    """A field that is a text of each row; any of several."""

    def texts(row: Row) -> list[str]:
        return [str(row[name]) for name in names if row.get(name) is not None]

    def read(_compare: Compare, value: Value) -> Test[Maps]:
        matches = matcher(value)
        return Test(
            lambda maps: np.array([any(map(matches, texts(row))) for row in maps.rows], np.bool_),
            known=lambda maps: np.array([bool(texts(row)) for row in maps.rows], np.bool_),
        )

    def occurring(maps: Maps) -> Iterable[str]:
        return dict.fromkeys(text for row in maps.rows for text in texts(row)[:1])

    return FilterRule(asked, read, takes, cost=1, occurring=occurring)


def _type_is(value: Value) -> Callable[[str], bool]:
    """Whether a type is meant, however its words are joined."""
    return rules.name_is(replace(value, text=value.text.replace("-", "_")))


def _number(asked: Asked, name: str, units: Mapping[str, int], takes: str) -> Rule:
    return rules.measured(
        asked,
        lambda maps: maps.numbers(name),
        units,
        takes,
        known=lambda maps: ~np.isnan(maps.numbers(name)),
    )


def _fill() -> Rule:
    """Percent of its room; a ``%`` may stand behind."""
    takes = "a number of percent"

    def read(compare: Compare, value: Value) -> Test[Maps]:
        try:
            wanted = rules.number(value.text.removesuffix("%"), rules.ONES, 100)
        except UnmeantError as error:
            raise UnmeantError(takes) from error
        return Test(
            lambda maps: compare.holds(maps.numbers("fill") * 100, wanted),
            known=lambda maps: ~np.isnan(maps.numbers("fill")),
        )

    return FilterRule(MAPS["fill"], read, takes, ordered=True)
