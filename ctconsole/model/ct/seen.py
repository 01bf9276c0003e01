"""What a filter for conntrack entries is held against."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from ctconsole.model.filter import rules

if TYPE_CHECKING:
    import numpy.typing as npt

    from ctconsole.model.ct.called import Called
    from ctconsole.model.ct.table import CtTable
    from ctconsole.model.filter.rules import FilterRule
    from ctconsole.model.filter.syntax import Value

    Bools: TypeAlias = npt.NDArray[np.bool_]
    Rates: TypeAlias = npt.NDArray[np.floating[Any]]
    Rule: TypeAlias = FilterRule["Seen"]


@dataclass(frozen=True)
class Seen:
    """Entries, and what is known beside them that a filter may ask.

    Attributes:
        table: the entries.
        called: what things are called; None where nobody looked.
        rates: bytes a second of each row, NaN where it is not known; None without two samples.
        found: what names stand for, so that each is looked for once.
    """

    table: CtTable
    called: Called | None = None
    rates: Rates | None = None
    found: dict[tuple[str, Value], Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.table)

    def take(self, rows: npt.NDArray[np.intp] | slice) -> Seen:
        """Some of them."""
        rates = None if self.rates is None else self.rates[rows]
        return Seen(self.table.take(rows), self.called, rates, self.found)

    def addresses_called(self, value: Value) -> npt.NDArray[Any]:
        """Addresses of endpoints of this name, of the table's family; one item each."""
        if ("pod", value) not in self.found:
            matches = rules.name_is(value)
            width = 16 if self.table.is_ipv6 else 4
            endpoints = self.called.endpoints if self.called else {}
            raw = [one for one, name in endpoints.items() if len(one) == width and matches(name)]
            self.found["pod", value] = np.frombuffer(b"".join(raw), whole(width))
        return np.asarray(self.found["pod", value])

    def services_called(self, value: Value) -> npt.NDArray[np.uint16]:
        """RevNAT ids of the services of this name."""
        if ("svc", value) not in self.found:
            matches = rules.name_is(value)
            services = self.called.services if self.called else {}
            ids = [number & 0xFFFF for number, name in services.items() if matches(name)]
            self.found["svc", value] = np.array(ids, np.uint16)
        return np.asarray(self.found["svc", value])


def whole(width: int) -> str:
    """An address as one item that numpy compares; its bytes are told by their number."""
    return "=u4" if width == 4 else "S16"  # noqa: PLR2004 - bytes of an IPv4 address


def all_rows(seen: Seen, found: bool) -> Bools:  # noqa: FBT001 - what every row has
    """The same answer for every row."""
    return np.full(len(seen), found, np.bool_)


def most_frequent(column: npt.NDArray[Any], most: int = 50) -> list[Any]:
    """The values that occur most often, the most frequent first."""
    values, numbers = np.unique(column, return_counts=True)
    order = np.argsort(numbers, kind="stable")[::-1][:most]
    return list(values[order].tolist())
