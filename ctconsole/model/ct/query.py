"""A filter for conntrack entries: ``proto:tcp dport:443 state:syn idle<30s !src:10.0.0.0/8``.

The language is that of `model.filter`; `show.FIELDS` says what can be asked of an entry. A bare
address, number or word stands for ``ip:``, ``port:``, or the protocol, state or direction of that
name.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, TypeAlias

from ctconsole.model.ct.seen import Seen
from ctconsole.model.ct.show import rules
from ctconsole.model.filter.parse import NONE_SAVED
from ctconsole.model.filter.query import Filter
from ctconsole.model.filter.rules import Fields

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    import numpy.typing as npt

    from ctconsole.model.ct.called import Called
    from ctconsole.model.ct.seen import Rates
    from ctconsole.model.ct.table import CtTable

    Bools: TypeAlias = npt.NDArray[np.bool_]


def entry_fields() -> Fields[Seen]:
    """What can be asked of entries."""
    return Fields("entries", rules())


@dataclass(frozen=True, slots=True)
class Query:
    """A filter; the empty one lets everything pass.

    Attributes:
        filter: what it says.
        names: what things are called, where that was looked for.
    """

    filter: Filter[Seen]
    names: Called | None = field(default=None, compare=False)

    @classmethod
    def parse(cls, text: str, saved: Mapping[str, str] = NONE_SAVED) -> Query:
        """What a filter means.

        Args:
            text: as it was written.
            saved: filters by the name they were saved under.

        Raises:
            FilterError: points at what cannot be meant, and says what could be.
        """
        return cls(Filter.parse(text, entry_fields(), saved))

    @property
    def text(self) -> str:
        """As it was written."""
        return self.filter.text

    @property
    def meaning(self) -> str:
        """The same, with what saved filters say in place of their names."""
        return self.filter.meaning

    @property
    def judges(self) -> bool:
        """Whether it asks what becomes of connections, for which `Knowledge` is needed."""
        return self.filter.needs("risk")

    @property
    def needs_names(self) -> bool:
        """Whether it asks for pods or services by their names."""
        return self.filter.needs("names")

    @property
    def needs_rates(self) -> bool:
        """Whether it asks for what lies between two samples."""
        return self.filter.needs("rates")

    def named(self, names: Called | None) -> Query:
        """The same filter, where this is known of names."""
        return replace(self, names=names)

    def rows(self, table: CtTable, rates: Rates | None = None) -> Bools:
        """Which rows pass, bool of shape (n,).

        Args:
            table: the entries.
            rates: bytes a second of each row, NaN where not known; None without two samples.

        Raises:
            FilterError: the table does not tell what is asked; points at the term.
        """
        called = self.names.of(table.whose) if self.names else None
        return self.filter.rows(Seen(table, called, rates))

    def __bool__(self) -> bool:
        return bool(self.filter)


EVERYTHING: Final = Query.parse("")
"""The filter that lets everything pass."""
