"""Looking at a fleet again and again, in a thread of its own."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ctconsole.errors import CtconsoleError
from ctconsole.loops import Loop

if TYPE_CHECKING:
    from collections.abc import Callable

    from ctconsole.fleet.looking import FleetLook, FleetLooker
    from ctconsole.loops import LoopState


@dataclass(frozen=True, slots=True)
class Followed:
    """How following goes.

    Attributes:
        look: the newest that succeeded; None before the first.
        error: why there is no newer one; empty while all is well.
        failing_since: when the first look after it failed, seconds since the Unix epoch.
        asked: looks, those that failed among them.
    """

    look: FleetLook | None = None
    error: str = ""
    failing_since: float = 0.0
    asked: int = 0


class FleetFollower:
    """Looks every few seconds; a look that fails leaves the one before.

    Args:
        looker: looks.
        every: seconds between two looks.
        tell: called in the thread after each look.
        clock: seconds since the Unix epoch.

    Attributes:
        every: as given; may be changed.
        latest: how it goes.
    """

    def __init__(
        self,
        looker: FleetLooker,
        every: float,
        tell: Callable[[], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._looker = looker
        self.every = every
        self._tell = tell
        self._clock = clock
        self.latest = Followed()
        self._loop = Loop("fleet", self._step, self._failed)

    def start(self) -> None:
        """Begin."""
        self._loop.start()

    def stop(self) -> None:
        """End; an answer that is waited for is not."""
        self._loop.stop(patience=0.1)

    def hurry(self) -> None:
        """Look at once."""
        self._loop.hurry()

    def _step(self) -> float:
        before = self.latest
        begun = time.monotonic()
        try:
            look = self._looker.look()
        except CtconsoleError as error:
            self.latest = replace(
                before,
                error=str(error),
                failing_since=before.failing_since or self._clock(),
                asked=before.asked + 1,
            )
        else:
            self.latest = Followed(look, asked=before.asked + 1)
        self._tell()
        return max(0.0, self.every - (time.monotonic() - begun))

    def _failed(self, state: LoopState) -> None:
        """A fault of ours; the loop tries again."""
        self.latest = replace(
            self.latest,
            error=str(state),
            failing_since=self.latest.failing_since or self._clock(),
        )
        self._tell()
