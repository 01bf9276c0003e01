"""Whether a filter can be saved: it must be one, and not stand in itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ctconsole.errors import FilterError
from ctconsole.model.filter.names import SIGN
from ctconsole.model.filter.query import Filter

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ctconsole.model.filter.rules import Fields


def checked(name: str, text: str, places: Sequence[Fields[Any]], saved: Mapping[str, str]) -> str:
    """What the filter is for, in words: ``entries``, or several.

    Args:
        name: what it is to be called.
        text: what it says.
        places: what it may be for.
        saved: the other filters it may name.

    Raises:
        FilterError: it is none of these; points at the place in that for the first.
    """
    found, first = [], None
    for fields in places:
        try:
            # As it will be read: with itself among the saved ones.
            Filter.parse(f"{SIGN}{name}", fields, {**saved, name: text})
            found.append(fields.what)
        except FilterError as error:
            first = first or error
    if first is not None and not found:
        raise first
    return " and ".join(found)
