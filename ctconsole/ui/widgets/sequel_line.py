"""One line that tells what became of the last change; hidden while there was none."""

from __future__ import annotations

from textual.widgets import Static


class SequelLine(Static):
    """Shows what it is told."""

    def tell(self, text: str) -> None:
        """Show this from now on; nothing hides the line."""
        self.display = bool(text)
        self.update(text)
