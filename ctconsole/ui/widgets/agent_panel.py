"""The node's agent: its release, how long it is up, what it uses, when it was restarted."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rich.text import Text
from textual.widgets import Static

from ctconsole.model.event import EventKind
from ctconsole.model.units import duration, size
from ctconsole.ui.text import clean

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ctconsole.model.nodecard import AgentCard
    from ctconsole.observe.sampler import Sample

_RESTARTS = frozenset({EventKind.AGENT_START, EventKind.STORY})


class AgentPanel(Static):
    """A few lines; one line of the same in `brief`."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id, markup=False)
        self.border_title = "Agent"

    def show(self, sample: Sample, now: float) -> None:
        """Tell of this sample's agent."""
        text = Text(no_wrap=True, overflow="ellipsis")
        for label, value in _lines(sample, now):
            text.append(f"{label:<8}", "dim").append(f"{clean(value)}\n")
        self.update(text)


def brief(sample: Sample, now: float) -> str:
    """``Cilium 1.18.4, up 3d 4h, 3% CPU, 231.0 MiB``; why there is none where none runs."""
    card = sample.agent
    if card is None:
        return "agent not known yet"
    if card.why:
        return card.why
    parts = [f"{card.what} {card.release}".strip(), f"up {_up(card, now)}", *_use(card)]
    return ", ".join(parts)


def _lines(sample: Sample, now: float) -> Iterator[tuple[str, str]]:
    card = sample.agent
    if card is None:
        yield "agent", "not known yet"
        return
    if card.what:
        yield "release", f"{card.what} {card.release}".strip()
    if card.why:
        yield "agent", card.why
    else:
        yield "process", f"{card.pid}, up {_up(card, now)}"
        cpu = "after the next sample" if card.cpu is None else f"{card.cpu:.1%} of a CPU"
        yield "CPU", cpu
        yield "memory", "not known" if card.memory is None else size(card.memory)
    last = last_restart(sample)
    if last is None:
        yield "restart", "none is known"
    else:
        when = time.strftime("%b %d %H:%M:%S", time.localtime(last[0]))
        yield "restart", f"{when}, {duration(max(0.0, round(now - last[0])))} ago"
        if last[1]:
            yield "", last[1]


def last_restart(sample: Sample) -> tuple[float, str] | None:
    """When the agent was last started, and the story of it where one was told."""
    for _, event in sorted(sample.events, key=lambda one: -one[1].time):
        if event.kind in _RESTARTS:
            return event.time, event.message if event.kind is EventKind.STORY else ""
    card = sample.agent
    return (card.started, "") if card is not None and card.started else None


def _up(card: AgentCard, now: float) -> str:
    return duration(max(0, round(now - card.started))) if card.started else "not known"


def _use(card: AgentCard) -> Iterator[str]:
    if card.cpu is not None:
        yield f"{card.cpu:.0%} CPU"
    if card.memory is not None:
        yield size(card.memory)
