"""Text that is safe and exactly as wide as its cell.

Map names, event fields and whatever else comes from the kernel or from another process may hold
escape sequences or wide characters; none of it reaches the terminal unchecked, and none of it is
ever parsed as markup.
"""

from __future__ import annotations

from rich.cells import cell_len, set_cell_size

ELLIPSIS = "…"


def clean(text: str) -> str:
    """``text`` with everything a terminal would act on replaced by ``?``."""
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else "?" for character in text)


def fit(text: str, width: int, *, right: bool = False) -> str:
    """``text`` cut (with an ellipsis) or padded to ``width`` terminal cells."""
    if width <= 0:
        return ""
    length = len(text) if text.isascii() else cell_len(text)
    if length > width:
        return set_cell_size(text, width - 1) + ELLIPSIS
    padding = " " * (width - length)
    return padding + text if right else text + padding


def plural(count: int, one: str, many: str = "") -> str:
    """``1 entry``, ``12,031 entries``: a number with its noun."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"
