"""What a field of a conntrack entry is: one value with all that lists, screens and filters need.

`show.FIELDS` is the table of them. Each view of an entry is one attribute of a field; a field
that a view does not show has None there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy.typing as npt

    from ctconsole.model.ct.called import Called
    from ctconsole.model.ct.seen import Rule
    from ctconsole.model.ct.table import CtTable
    from ctconsole.model.text.cells import Style
    from ctconsole.model.text.columns import TextColumn

    Numbers: TypeAlias = npt.NDArray[Any]
    Cells: TypeAlias = list[tuple[str, list[TextColumn]]]
    Facts: TypeAlias = list[tuple[str, str]]


class Section(IntEnum):
    """A block of facts in an entry's details; blocks stand apart."""

    CONNECTION = 0
    LIFE = 1
    COUNTED = 2
    STORED = 3
    RAW = 4


@dataclass(frozen=True, slots=True)
class OnScreen:
    """A column of the console.

    Attributes:
        title: heading.
        width: least width in terminal cells.
        texts: the text of each row; the second argument is None where numbers are wanted.
        tone: how they are drawn: the theme's word, empty for plain.
        tones: the same for particular texts.
        right: aligned right, as numbers are.
        grow: share of the spare width it takes, relative to the other columns.
        most: width it does not grow beyond.
        ipv6: least and greatest width for addresses of IPv6, where they differ.
        rank: columns with the highest rank are left out first; rank 0 always stays.
        after: the field it follows; empty for the one before it in the table of fields.
        speed: the part of `changes.Speeds` that it shows in the place of ``texts``, since one
            table alone does not tell; empty: none.
    """

    title: str
    width: int
    texts: Callable[[CtTable, Called | None], Sequence[str]]
    tone: str = ""
    tones: Mapping[str, str] = field(default_factory=dict)
    right: bool = False
    grow: int = 0
    most: int = 200
    ipv6: tuple[int, int] | None = None
    rank: int = 0
    after: str = ""
    speed: str = ""


@dataclass(frozen=True, slots=True)
class InTable:
    """A column of the aligned listing.

    Attributes:
        heading: as wide as the column, with the blanks to the next one.
        columns: the text of each row, equally wide unless ``ragged``.
        ragged: whether its width varies: it stands behind all others.
    """

    heading: Callable[[CtTable], str]
    columns: Callable[[CtTable], list[TextColumn]]
    ragged: bool = False


@dataclass(frozen=True, slots=True)
class InDetails:
    """Lines of an entry's details.

    Attributes:
        section: the block they stand in.
        facts: name and value, line by line, of a table of one row.
        after: the field they follow; empty for the one before it in the table of fields.
    """

    section: Section
    facts: Callable[[CtTable, Called | None], Facts]
    after: str = ""


@dataclass(frozen=True, slots=True)
class Field:
    """One field of an entry.

    Attributes:
        name: identifies it, e.g. for sorting.
        numbers: what tables are sorted by, the deciding numbers last.
        rules: how filters ask for it.
        cells: what the listings for programs say: a name and the text of each row, once or more.
        in_table: its column of the listing for people.
        on_screen: its column of the console.
        in_details: what the details of one entry say.
    """

    name: str
    numbers: Callable[[CtTable], tuple[Numbers, ...]] | None = None
    rules: tuple[Rule, ...] = ()
    cells: Callable[[CtTable, Style], Cells] | None = None
    in_table: InTable | None = None
    on_screen: OnScreen | None = None
    in_details: InDetails | None = None
