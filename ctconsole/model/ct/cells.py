"""Building blocks of our own listings that know a conntrack entry: flags and protocols."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from ctconsole.model.ct.layout import LAYOUTS, Layout, TcpFlag
from ctconsole.model.text.columns import TextColumn, TokenTable, literal, rows_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from ctconsole.model.text.cells import Style


def flag_names(flags: npt.NDArray[np.uint16], layout: Layout, style: Style) -> list[TextColumn]:
    """The names of the set bits as a list; a bit without a name as ``0x0800``."""
    low, high = flags & np.uint16(0xFF), flags >> np.uint16(8)
    continued = high + np.where(low > 0, np.uint16(256), np.uint16(0))
    return [
        *([literal(style.opening)] if style.opening else []),
        _low_names(layout, style).column(low),
        _high_names(layout, style).column(continued),
        *([literal(style.closing)] if style.closing else []),
    ]


def _bit_names(layout: Layout) -> list[str]:
    names = LAYOUTS[layout].flag_names
    named = [names[bit] if bit < len(names) else "" for bit in range(16)]
    return [name or f"{1 << bit:#06x}" for bit, name in enumerate(named)]


@cache
def _low_names(layout: Layout, style: Style) -> TokenTable:
    names = _bit_names(layout)[:8]
    return rows_of(lambda byte: style.separator.join(_set(byte, names, style)))


@cache
def _high_names(layout: Layout, style: Style) -> TokenTable:
    """By the high byte; from 256 on with a separator, because names came before."""
    names = _bit_names(layout)[8:]

    def listed(code: int) -> bytes:
        items = _set(code & 0xFF, names, style)
        before = style.separator if items and code > 0xFF else b""  # noqa: PLR2004 - codes from 256 on
        return before + style.separator.join(items)

    return rows_of(listed, 512)


def _set(byte: int, names: Sequence[str], style: Style) -> list[bytes]:
    return [style.text(name) for bit, name in enumerate(names) if byte >> bit & 1]


@cache
def tcp_flags(style: Style) -> TokenTable:
    """TCP flags as a list of names, by the header byte."""
    names = [TcpFlag(1 << bit).name or f"{1 << bit:#04x}" for bit in range(len(TcpFlag))]
    names += ["URG", "ECE", "CWR"]
    return rows_of(
        lambda byte: style.opening + style.separator.join(_set(byte, names, style)) + style.closing
    )


@cache
def protocols(style: Style) -> TokenTable:
    """Protocol names as 1.19 knows them; others as their number, as they always were."""
    names = LAYOUTS[Layout.V1_19].protocols
    return rows_of(lambda number: style.text(names.get(number, str(number))))
