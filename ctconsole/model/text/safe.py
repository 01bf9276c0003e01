"""Text from outside as a person may see it: nothing in it moves, colours or turns around a line.

Names of pins, programs, pods and files, log lines, and what agents answer, may hold anything.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

_TURNS: Final = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
"""What changes the direction of writing (UAX #9, section 2)."""

_BREAKS: Final = "\u2028\u2029"
_LONE: Final = "\ud800-\udfff"
"""Halves of pairs; with them Python writes the bytes of a name that are no UTF-8."""

_ACTING: Final = "\\x00-\\x08\\x0b-\\x1f"
_NOT_IN_A_CELL: Final = "\\x00-\\x1f"
_RAW_BYTES: Final = range(0xDC80, 0xDD00)

WIDEST_CELL: Final = 64
"""Characters; a longer cell makes its own row longer and no other."""


def escaped(text: str) -> str:
    r"""Text with C0 but newline and tab, C1 and bidirectional controls as escapes: ``\x1b``."""
    return _one_of(_ACTING).sub(_escape, text)


def cell(text: str) -> str:
    r"""The same for a part of a line: newlines and tabs are escapes, too."""
    return _one_of(_NOT_IN_A_CELL).sub(_escape, text)


@cache
def _one_of(controls: str) -> re.Pattern[str]:
    """One of these or of what is never shown; compiled when it is needed, which takes a moment."""
    return re.compile(f"[{controls}\\x7f-\\x9f{_TURNS}{_BREAKS}{_LONE}]")


def width(cells: Iterable[str], most: int = WIDEST_CELL) -> int:
    """How wide a column of these cells is; 0 without any."""
    return max((len(one) for one in cells if len(one) <= most), default=0)


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code in _RAW_BYTES:
        code -= _RAW_BYTES.start - 0x80
    return f"\\x{code:02x}" if code <= 0xFF else f"\\u{code:04x}"  # noqa: PLR2004 - one byte
