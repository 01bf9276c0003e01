"""Writes what shells and man read: the manual page, and what completes verbs, into a folder.

The build hook packs them into a wheel, so that installing it below a prefix that they look at, as
``/usr/local`` is, brings them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

PLACES: Final = {
    "bash": "share/bash-completion/completions/ctconsole",
    "zsh": "share/zsh/site-functions/_ctconsole",
    "fish": "share/fish/vendor_completions.d/ctconsole.fish",
}
"""Where each shell looks, below a prefix."""

PAGE: Final = "share/man/man1/ctconsole.1"


def write(folder: Path) -> dict[str, str]:
    """Write the files; the checkout's package must be found on the path.

    Returns:
        Each file with its place below a prefix.
    """
    from ctconsole.cli.completion import script
    from ctconsole.cli.main import root
    from ctconsole.cli.manpage import page

    texts = {place: script(root, shell) for shell, place in PLACES.items()}
    texts[PAGE] = "".join(f"{line}\n" for line in page(root))
    for place, text in texts.items():
        path = folder / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return {str(folder / place): place for place in texts}
