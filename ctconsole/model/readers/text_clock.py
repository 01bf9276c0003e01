"""What a listing tells of the clock its entries are stamped with: ``expires`` and ``remaining``."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from ctconsole.model.ct.clock import UNKNOWN, Moment

if TYPE_CHECKING:
    from collections.abc import Iterable

_MOST_KEPT: Final = 4096
"""Pairs and moments that are kept; a listing has one moment."""

_HERTZ: Final = (250, 1000, 100, 300)
"""What kernels are built with, the usual one first."""

_SPREAD: Final = 2
"""Seconds by which the moments of one listing may differ, where each is rounded."""


@dataclass
class TextClock:
    """Moments that lines tell of, by how many.

    Attributes:
        moments: ``expires`` minus ``remaining``.
        pairs: both numbers of the first lines.
    """

    moments: Counter[int] = field(default_factory=Counter)
    pairs: list[tuple[int, int]] = field(default_factory=list)

    def add(self, texts: Iterable[tuple[str | int, str | int]]) -> None:
        """Take what lines say: when an entry expires, and in how many seconds."""
        for expires, remaining in texts:
            pair = int(expires), int(remaining)
            moment = pair[0] - pair[1]
            if moment in self.moments or len(self.moments) < _MOST_KEPT:
                self.moments[moment] += 1
            if len(self.pairs) < _MOST_KEPT:
                self.pairs.append(pair)

    def joined(self, other: TextClock) -> TextClock:
        """What both tell."""
        return TextClock(self.moments + other.moments, [*self.pairs, *other.pairs][:_MOST_KEPT])

    def moment(self, hertz: int = 0) -> Moment:
        """When the listing was printed; unknown where no line tells.

        Where stamps are seconds, every line of a listing tells the same moment. Of several
        listings the last one counts, whose entries are kept.

        Args:
            hertz: HZ where it is known that stamps are jiffies / 256; else 0.
        """
        if not self.pairs:
            return UNKNOWN
        hertz = hertz or self._hertz()
        if hertz:
            seconds = _latest(Counter((one << 8) // hertz - left for one, left in self.pairs))
            return Moment(0, seconds * hertz >> 8, hertz)
        return Moment(max(_latest(self.moments), 0))

    def _hertz(self) -> int:
        """HZ where only jiffies make one moment of many; 0 where seconds do, or nothing does."""
        few = 3
        if len(self.pairs) < few or self.moments.most_common(1)[0][1] * 2 > len(self.pairs):
            return 0
        for hertz in _HERTZ:
            moments = [(one << 8) // hertz - left for one, left in self.pairs]
            if max(moments) - min(moments) <= _SPREAD:
                return hertz
        return 0


def _latest(moments: Counter[int]) -> int:
    """The last moment that more than one line tells of, or the last where all stand alone."""
    most = max(moments.values())
    return max(moment for moment, count in moments.items() if count >= min(most, 2))
