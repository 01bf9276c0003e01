"""How the values of a term are read and held against rows; small readers that tables are made of.

A table of fields (`Fields`) says what can be asked for in one place: of entries, events or maps.
Each field is one `FilterRule`, and what its values can be is read by one of the readers here or
by one of the place's own.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from fnmatch import translate
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, Self, TypeAlias, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    import numpy as np
    import numpy.typing as npt

    from ctconsole.model.filter.asking import Asked
    from ctconsole.model.filter.syntax import Compare, Value

    Bools: TypeAlias = npt.NDArray[np.bool_]
    Numbers: TypeAlias = npt.NDArray[Any]


class Filterable(Protocol):
    """What a filter is held against."""

    def __len__(self) -> int:
        """How many there are."""
        ...

    def take(self, rows: npt.NDArray[np.intp] | slice) -> Self:
        """Some of them."""
        ...


_Rows = TypeVar("_Rows", bound=Filterable)
_Rows_contra = TypeVar("_Rows_contra", bound=Filterable, contravariant=True)


class UnmeantError(Exception):
    """A value cannot be meant; says what can be.

    Args:
        allowed: what to give, in words.
        words: what the value may have been meant to be.
    """

    def __init__(self, allowed: str, words: Sequence[str] = ()) -> None:
        super().__init__(allowed)
        self.allowed = allowed
        self.words = words


@dataclass(frozen=True, slots=True)
class Test(Generic[_Rows_contra]):
    """What one value asks of rows.

    Attributes:
        holds: which rows it holds for.
        lacks: why these rows do not tell, in words that go on a sentence; empty where they do.
        known: the rows that tell, where not all of them do.
    """

    holds: Callable[[_Rows_contra], Bools]
    lacks: Callable[[_Rows_contra], str] | None = None
    known: Callable[[_Rows_contra], Bools] | None = None


@dataclass(frozen=True, slots=True)
class FilterRule(Generic[_Rows]):
    """How one field is asked for.

    Attributes:
        asked: what it is called and explained by.
        read: makes a test of how a value is held against the field.
        takes: what its values are, in words.
        words: values that are words, for whoever completes them.
        ordered: whether ``<`` and ``>`` can be meant.
        bare: whether one of its values may stand without the field's name.
        cost: terms that cost less are looked at first, and the others only where it matters.
        occurring: values that rows have, for whoever completes them.
        beside: what must be known beside the rows: ``risk``, ``names``, ``rates``.
    """

    asked: Asked
    read: Callable[[Compare, Value], Test[_Rows]]
    takes: str
    words: tuple[str, ...] = ()
    ordered: bool = False
    bare: bool = False
    cost: int = 2
    occurring: Callable[[_Rows], Iterable[str]] | None = None
    beside: str = ""


@dataclass(frozen=True, slots=True)
class Fields(Generic[_Rows]):
    """What can be asked for in one place.

    Attributes:
        what: what is filtered there: ``entries``, ``events``, ``maps`` or ``nodes``.
        rules: in the order in which they are explained.
    """

    what: str
    rules: tuple[FilterRule[_Rows], ...]

    def find(self, name: str) -> FilterRule[_Rows] | None:
        """The field of this name."""
        return next((rule for rule in self.rules if name in rule.asked.names), None)

    def known(self, name: str) -> str | None:
        """The name that is told of a field, None for no field."""
        rule = self.find(name)
        return rule.asked.name if rule else None

    @property
    def names(self) -> list[str]:
        """Every name that is told, in alphabetical order."""
        return sorted(rule.asked.name for rule in self.rules)


def meant(word: str, words: Iterable[str]) -> str:
    """What a mistyped word may have been meant to be, as a question; empty for nothing like it."""
    known = {one.lower(): one for one in words}
    typed = word.lower()
    begun = [one for one in known if typed and one.startswith(typed)]
    close = begun or difflib.get_close_matches(typed, known, n=1)
    return f"Did you mean {known[close[0]]}?" if close else ""


SECONDS: Final = MappingProxyType({"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400})
COUNTS: Final = MappingProxyType({"": 1, "k": 1000, "m": 10**6, "g": 10**9})
SIZES: Final = MappingProxyType({"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30})
ONES: Final = MappingProxyType({"": 1})


def number(text: str, units: Mapping[str, int], most: int = (1 << 63) - 1) -> int:
    """A whole number with a unit.

    Raises:
        UnmeantError: it is none, or too large.
    """
    matched = re.fullmatch(r"([0-9]{1,19})([a-z]?)", text.lower(), re.ASCII)
    if matched is None or matched[2] not in units:
        named = ", ".join(unit for unit in units if unit)
        raise UnmeantError(f"a whole number{f' with one of {named} behind it' if named else ''}")
    found = int(matched[1]) * units[matched[2]]
    if found > most:
        raise UnmeantError(f"0 to {most}")
    return found


def measured(
    asked: Asked,
    column: Callable[[_Rows], Numbers],
    units: Mapping[str, int],
    takes: str,
    *,
    lacks: Callable[[_Rows], str] | None = None,
    known: Callable[[_Rows], Bools] | None = None,
    ordered: bool = True,
    cost: int = 2,
    beside: str = "",
) -> FilterRule[_Rows]:
    """A field that is a number of each row."""

    def read(compare: Compare, value: Value) -> Test[_Rows]:
        wanted = number(value.text, units)
        return Test(lambda rows: compare.holds(column(rows), wanted), lacks, known)

    return FilterRule(asked, read, takes, ordered=ordered, cost=cost, beside=beside)


TIME_TAKES: Final = "a time: a number with s, m, h or d behind it"
COUNT_TAKES: Final = "a number; k, m and g behind it are thousands"
SIZE_TAKES: Final = "bytes; k, m and g behind them are 1,024"
NUMBER_TAKES: Final = "a whole number"
NAME_TAKES: Final = "a name, or its part behind the last slash; * and ? stand for any letters"
TEXT_TAKES: Final = "a part of the text; * and ? stand for any letters"


def pattern(value: Value, *, part: bool = False) -> re.Pattern[str] | None:
    """What ``*`` and ``?`` in a value stand for; None where it has none.

    Args:
        value: of a term.
        part: whether what is around it does not matter.
    """
    if value.quoted or not set("*?") & set(value.text):
        return None
    # Brackets are of IPv6 addresses, not sets of letters.
    text = value.text.replace("[", "[[]")
    return re.compile(translate(f"*{text}*" if part else text), re.IGNORECASE)


def name_is(value: Value) -> Callable[[str], bool]:
    """Whether a name such as ``shop/web`` is meant: all of it, or what stands behind the slash."""
    wanted, glob = value.text.lower(), pattern(value)

    def matches(name: str) -> bool:
        parts = {name.lower()}
        if "/" not in wanted:
            parts.add(name.lower().rpartition("/")[2])
        return any(glob.match(part) if glob else part == wanted for part in parts)

    return matches


def text_has(value: Value) -> Callable[[str], bool]:
    """Whether a text has a part that is meant, whatever its case."""
    wanted, glob = value.text.lower(), pattern(value, part=True)
    return lambda text: bool(glob.match(text)) if glob else wanted in text.lower()
