"""The moment on screen: the newest sample, a held one, or one of the past."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual import on, work
from textual.message import Message

from ctconsole.observe.recording.ring import Ring
from ctconsole.observe.sampler import Sample, Sampler
from ctconsole.ui.past import Outlet, ReplayPast, meanwhile, past_of
from ctconsole.ui.screens.ask import AskScreen
from ctconsole.ui.screens.base import View
from ctconsole.ui.surface import SurfaceApp
from ctconsole.ui.widgets.time_bar import TimeBar

if TYPE_CHECKING:
    from collections.abc import Callable

    from ctconsole.observe.recording.replay import ReplaySource
    from ctconsole.observe.source import Source


class MomentApp(SurfaceApp):
    """Takes samples, and chooses which one is shown.

    Args:
        source: what is looked at.
        interval: seconds between two samples.
        clock: wall clock in seconds since the epoch, for ages on the screen.
        keep: seconds of the past of a live node that one can step back to; 0: none.

        replay: the source, where it is a recording.

    Attributes:
        source: as given.
        clock: as given.
        sample: the sample on screen.
        frozen: whether the picture is held.
        sampler: takes the samples.
        past: what else can be shown.
    """

    class Sampled(Message):
        """The sampler has a new sample."""

    def __init__(
        self,
        source: Source,
        interval: float,
        clock: Callable[[], float],
        keep: float,
        replay: ReplaySource | None,
    ) -> None:
        super().__init__()
        self.source = source
        self.clock = clock
        self.sample = Sample()
        self.frozen = False
        ring = Ring(keep) if keep and source.live else None
        self.sampler = Sampler(source, interval, self._sampled, clock=clock, ring=ring)
        self.past = past_of(
            Outlet(self, self._show_past, self.flash, clock, self.keyed), self.sampler, ring, replay
        )

    def now(self) -> float:
        """When what is shown is: the wall clock; of a moment that is held, that moment.

        How long a process runs, and how long ago something was, is told as of then.
        """
        return self.sample.taken_at if self.held and self.sample.number else self.clock()

    def show_sample(self) -> None:
        """Show `sample` on every screen that shows samples."""
        raise NotImplementedError

    @property
    def held(self) -> bool:
        """Whether newer samples are not shown."""
        return self.frozen or self.past.active

    def _sampled(self, _sample: Sample) -> None:
        # In the sampler's thread: posting is all that is safe here.
        self.post_message(self.Sampled())

    def on_moment_app_sampled(self) -> None:
        """Show the newest sample, unless another one is held."""
        if not self.held and self.sampler.latest.number > self.sample.number:
            self.sample = self.sampler.latest
            self.show_sample()
        self.refresh_status()

    def _show_past(self, sample: Sample) -> None:
        self.sample = sample
        self.show_sample()
        self.refresh_status()

    def action_freeze(self) -> None:
        """Hold the picture, or go on with the newest sample; play or pause a recording."""
        if isinstance(self.past, ReplayPast):
            self.past.toggle()
        elif self.held:
            before, latest = self.sample, self.sampler.latest
            self.frozen = False
            self.past.leave()
            self._show_past(latest)
            self._tell_meanwhile(before, latest)
        else:
            self.frozen = True
        self.refresh_status()

    @work(thread=True, exclusive=True, group="meanwhile", exit_on_error=False)
    def _tell_meanwhile(self, before: Sample, now: Sample) -> None:
        self.call_from_thread(self.flash, meanwhile(before, now))

    def action_step(self, by: int) -> None:
        """Look at the moment before or after."""
        if isinstance(self.screen, View):
            self.past.step(by)
            self.refresh_status()

    def action_step_event(self, by: int) -> None:
        """Look at the moment of the event before or after."""
        if isinstance(self.screen, View):
            self.past.step_event(by)
            self.refresh_status()

    def action_jump(self) -> None:
        """Ask which moment to look at."""
        if isinstance(self.screen, View):
            self.push_screen(
                AskScreen("Which moment?", "3m ago, -90s, 01:36, 2026-11-28 01:36"), self._jump
            )

    def _jump(self, text: str | None) -> None:
        if text is not None:
            self.past.jump(text)
            self.refresh_status()

    def action_pace(self, by: int) -> None:
        """Sample a live node more or less often; play a recording faster or slower."""
        if isinstance(self.past, ReplayPast):
            self.past.faster(by)
        elif self.source.live:
            self.flash(f"a sample every {self.sampler.pace(by):g} s")

    @on(TimeBar.Asked)
    def _moment_asked(self, message: TimeBar.Asked) -> None:
        self.past.seek(message.moment)
        self.refresh_status()
