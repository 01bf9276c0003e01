"""Between two nodes: is the one that was resized as well as before, as Prometheus sees it?"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from ctconsole.errors import CtconsoleError
from ctconsole.fleet.rolling.health import NodeHealth, troubles
from ctconsole.model.units import count, duration

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

_PAUSE: Final = 2.0
"""Seconds between two looks."""

_NEWER: Final = 2
"""Samples that have to come after a resize: the first may have been begun before its end."""


@dataclass(frozen=True, slots=True)
class Limits:
    """When a fleet is well, and how long is waited.

    Attributes:
        seconds: for which the nodes are watched before the next is begun.
        silence: seconds without a new sample of a node after which that is trouble.
        fullest: the fill from which on a table is too full.
        at_a_time: nodes that are resized together.
        undo: whether trouble leads back all nodes of the run.
    """

    seconds: float = 60.0
    silence: float = 300.0
    fullest: float = 0.9
    at_a_time: int = 1
    undo: bool = False


class TroubleError(CtconsoleError):
    """A node is not as it should be; the run stops."""


@dataclass
class HealthWatch:
    """Looks at nodes again and again.

    Attributes:
        read: how nodes are now, by name.
        limits: when they are well.
        wait: rests so many seconds, and raises to end the watch.
        say: told what is waited for.
        clock: seconds that go on.
    """

    read: Callable[[Collection[str]], Mapping[str, NodeHealth]]
    limits: Limits
    wait: Callable[[float], None]
    say: Callable[[str], None]
    clock: Callable[[], float] = time.monotonic
    _before: dict[str, NodeHealth] = field(default_factory=dict)

    def fit(self, names: Collection[str]) -> None:
        """See that nodes may be begun, and keep how they are before.

        Raises:
            TroubleError: one is not known, does not answer, or is not well already.
        """
        end = self.clock() + self.limits.silence
        self.say(f"Looking how {', '.join(names)} is before")
        while True:
            found, why = self._asked(names)
            missing = [one for one in names if not self._answers(found.get(one))]
            if not missing:
                break
            if self.clock() > end:
                raise TroubleError(
                    why or f"{missing[0]}: Prometheus has no figures of it, so it is not begun"
                )
            self.wait(_PAUSE)
        for name in names:
            if found[name].split:
                raise TroubleError(
                    f"{name}: {found[name].split:.0f} pins are used by no program while programs "
                    "use an older map; it is not begun"
                )
        self._before |= {name: found[name] for name in names}

    def after(self, names: Collection[str], sizes: Mapping[str, int]) -> None:
        """Watch nodes that were just resized, and those before them, until all is known to be well.

        Args:
            names: of all nodes of the run that have the new size.
            sizes: of those that were just resized, what their maps hold now.

        Raises:
            TroubleError: one is not well, or nothing is heard of it.
        """
        if not names:
            return
        begun = self.clock()
        said_how_long = False
        seen: dict[str, list[float]] = {name: [] for name in names}
        while True:
            found, why = self._asked(names)
            for name in names:
                _note(seen[name], found.get(name))
            judged = [name for name in names if len(seen[name]) > _NEWER]
            self._judge(judged, found, sizes)
            waited = self.clock() - begun
            if len(judged) == len(names) and waited >= self.limits.seconds:
                return
            silent = [name for name in names if name not in judged]
            if silent and waited > self.limits.seconds + self.limits.silence:
                raise TroubleError(
                    why or f"{silent[0]}: no new figures of it for {duration(waited)}"
                )
            if not said_how_long:
                said_how_long = True
                least = duration(self.limits.seconds)
                self.say(f"Watching {len(names)} nodes for {least} and two new samples of each")
            self.wait(_PAUSE)

    def _judge(
        self, names: Iterable[str], found: Mapping[str, NodeHealth], sizes: Mapping[str, int]
    ) -> None:
        for name in names:
            now = found.get(name)
            if now is None or not now.up:
                # Silence; it is counted elsewhere.
                continue
            before = self._before.setdefault(name, now)
            for sentence in troubles(before, now, self.limits.fullest):
                raise TroubleError(f"{name}: {sentence}")
            size = sizes.get(name)
            if size and now.capacity is not None and round(now.capacity) != size:
                raise TroubleError(
                    f"{name}: Prometheus sees a table for {count(round(now.capacity))} entries, "
                    f"not {count(size)}"
                )

    @staticmethod
    def _answers(found: NodeHealth | None) -> bool:
        return found is not None and found.up and bool(found.sampled)

    def _asked(self, names: Collection[str]) -> tuple[Mapping[str, NodeHealth], str]:
        """How nodes are, and why that is not known; a Prometheus may be away for a while."""
        try:
            return self.read(names), ""
        except CtconsoleError as error:
            return {}, error.message


def _note(seen: list[float], now: NodeHealth | None) -> None:
    """Note a sample that was not seen yet; the one that is known at first is among them."""
    if now is not None and now.up and now.sampled and now.sampled not in seen[-1:]:
        seen.append(now.sampled)
