"""What a resize is told beside its plan, and what it tells whoever follows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ctconsole.errors import CtconsoleError
from ctconsole.manager.resize.journal import Stage

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ctconsole.manager.switch import SwitchProgress

_DOING: Final = {
    Stage.STAGE: "the new map is made and gets every entry",
    Stage.SWITCH: "the programs are moved to the new map",
    Stage.SETTLE: "the counts are moved",
    Stage.RELEASE: "the old map is let go of",
    Stage.ROLL_BACK: "everything goes back to the old map",
}


class CancelledError(CtconsoleError):
    """The person who asked for it has changed their mind."""


@dataclass(frozen=True, slots=True)
class Options:
    """The agent's options that size the maps.

    Attributes:
        before: as they are; None where one is not set.
        after: as they are to be.
        store: writes options where the agent's next start finds them; None unsets one.
    """

    before: Mapping[str, str | None]
    after: Mapping[str, str]
    store: Callable[[Mapping[str, str | None]], None]


@dataclass(frozen=True, slots=True)
class Watching:
    """Who follows a resize and may end it.

    Attributes:
        tell: hears how far it is.
        is_cancelled: asked again and again; True leads back.
    """

    tell: Callable[[ResizeProgress], None] = lambda _: None
    is_cancelled: Callable[[], bool] = lambda: False


UNWATCHED: Final = Watching()


@dataclass(frozen=True, slots=True)
class ResizeProgress:
    """How far it is, for whoever watches.

    Attributes:
        stage: under way.
        moved: how far the programs' owner is, where that is the matter and is known.
        ended: what became of a resize there was before, where that is the matter.
    """

    stage: Stage
    moved: SwitchProgress | None = None
    ended: str = ""

    @property
    def text(self) -> str:
        """``switch: 3 of 10 endpoints, loading``, for a person."""
        if self.ended:
            return self.ended
        if not self.moved:
            return f"{self.stage}: {_DOING[self.stage]}"
        return f"{self.stage}: {self.moved.done} of {self.moved.of} endpoints, {self.moved.now}"
