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


_LONGEST_COUNT = 99_999
_THOUSANDS = 999_999


def short_count(number: int) -> str:
    """At most six characters: ``84,112``, then ``655k``, then ``1.2M``."""
    if number <= _LONGEST_COUNT:
        return f"{number:,}"
    if number <= _THOUSANDS:
        return f"{number // 1000}k"
    return _scaled(number, 1000, ("", "k", "M", "G", "T", "P", "E"))


def short_size(number: int) -> str:
    """Bytes in at most eight characters, in units of 1024: ``812 B``, ``61.2 MiB``."""
    if number < 1024:  # noqa: PLR2004 - bytes of a KiB
        return f"{number} B"
    return _scaled(number, 1024, ("", " KiB", " MiB", " GiB", " TiB", " PiB", " EiB"))


def _scaled(number: float, step: int, units: tuple[str, ...]) -> str:
    place = 0
    while number >= step and place < len(units) - 1:
        number /= step
        place += 1
    digits = 1 if number < 100 else 0  # noqa: PLR2004 - three digits in all
    return f"{number:.{digits}f}{units[place]}"
