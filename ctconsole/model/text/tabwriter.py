"""Columns aligned as Go's ``text/tabwriter`` aligns them for Cilium's tools.

Cilium makes all its writers with a minimal width of 5, a padding of 3 blanks and no flags. A cell
is text ended by a tab; what follows a line's last tab belongs to no column and is not padded. A
column is as wide as its widest cell among consecutive lines that have it.

Source: the documentation of Go's ``text/tabwriter`` package.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MINIMAL_WIDTH: Final = 5
PADDING: Final = 3


def aligned(lines: Iterable[Sequence[str]]) -> str:
    """Lines of cells as text; the last item of each line is the text behind its last tab.

    Args:
        lines: cells; a line ``a TAB b TAB`` is ``("a", "b", "")``.
    """
    rows = [list(line) for line in lines]
    out: list[list[str]] = [[] for _ in rows]
    _column(rows, out, 0, range(len(rows)))
    return "".join("".join(parts) + "\n" for parts in out)


def _column(rows: list[list[str]], out: list[list[str]], column: int, among: range) -> None:
    """Write a column's cells, block by block, and the columns behind each block."""
    position = among.start
    while position < among.stop:
        if column >= len(rows[position]) - 1:
            out[position].append(rows[position][-1])
            position += 1
            continue
        end = position
        while end < among.stop and column < len(rows[end]) - 1:
            end += 1
        block = range(position, end)
        width = max(MINIMAL_WIDTH, *(len(rows[row][column]) + PADDING for row in block))
        for row in block:
            out[row].append(rows[row][column].ljust(width))
        _column(rows, out, column + 1, block)
        position = end


def two_columns(first: str, second: str, entries: Iterable[tuple[str, Sequence[str]]]) -> str:
    """A table as ``TablePrinter`` of ``cilium/cmd/helpers.go`` prints it: two padded columns.

    The heading ends without a tab, so that its second title neither is padded nor widens a column.
    """
    lines: list[tuple[str, ...]] = [(first, second)]
    for key, values in entries:
        lines += [("" if index else key, value, "") for index, value in enumerate(values)]
    return aligned(lines)
