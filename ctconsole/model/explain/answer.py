"""One answer, and how it names tables and times."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ctconsole.model.units import count, day_and_time, duration

if TYPE_CHECKING:
    from ctconsole.model.explain.facts import Known, TableKnown


@dataclass
class Answer:
    """One answer.

    Attributes:
        sentences: without a full stop.
        rests_on: the facts, likewise.
        unknown: what it does not know, and why.
    """

    sentences: list[str] = field(default_factory=list)
    rests_on: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)

    def say(self, *sentences: str) -> None:
        """Add to what is answered."""
        self.sentences += sentences

    def lack(self, *sentences: str) -> None:
        """Add to what is not known; nothing twice."""
        self.unknown += [one for one in sentences if one not in self.unknown]


def lack_older(answer: Answer, known: Known) -> None:
    """Say of which tables the pinned map is not what the node works with."""
    answer.lack(
        *(
            f"{name}: what is in the map that the node works with ({used}): what is said is of the "
            "pinned one"
            for name, used in known.older.items()
        )
    )


def many(number: int, one: str, several: str = "") -> str:
    """``1 entry``, ``3,000 entries``; ``several`` where it is not ``one`` with an s."""
    return f"{count(number)} {one if number == 1 else several or one + 's'}"


def sentence(text: str) -> str:
    """With a capital, but where it begins with the name of a map or a node."""
    return text[:1].upper() + text[1:] if text.split(" ", 1)[0].isalpha() else text


def name_of(table: TableKnown) -> str:
    """A table by its name, and by its node where there are several."""
    return f"{table.node}: {table.info.label}" if table.node else table.info.label


def when_told(known: Known, moment: float) -> str:
    """``01:36:12 (12m ago)``; only the time of day where the present is not known."""
    text = time.strftime("%H:%M:%S", time.localtime(moment))
    ago = known.now - moment
    if known.now and ago >= 86_400:  # noqa: PLR2004 - a day
        text = day_and_time(moment)
    return f"{text} ({duration(round(ago))} ago)" if known.now else day_and_time(moment)
