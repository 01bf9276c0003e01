"""The stories in a log alone, which may span days, several restarts and several nodes.

Here it is the lines that tell the time, and not the clock on the wall; where they do not, what
comes a second time begins another story.
"""

from __future__ import annotations

import lzma
import math
import re
import sys
import time
import zlib
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Final

from zstandard import ZstdError

from ctconsole import loops
from ctconsole.errors import UsageError
from ctconsole.model.event import EventKind
from ctconsole.model.readers.agentlog import MATTERS, LogReader
from ctconsole.model.readers.lines import line_starts, plain
from ctconsole.model.readers.logline import parse_line
from ctconsole.observe import tail
from ctconsole.observe.archive import Walker
from ctconsole.observe.offline_nodes import writer_of
from ctconsole.observe.packing import Ahead, Packing, packing_of, unpacked
from ctconsole.observe.story import StoryTeller

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator

    from ctconsole.model.event import Event

UNTOLD = math.nan
"""The time of an event whose line does not say when it was."""

_BLOCK: Final = 1 << 20
_HEAD: Final = 1 << 14
_FIRST_LINES: Final = 50
_OTHER_LOG: Final = re.compile(r"(?:^|/)logs-[^/]{1,253}-\d{8}-\d{6}(?:-prev)?\.log[^/]*$")
"""The log of another container, as a sysdump calls it."""

_ONCE = frozenset({EventKind.AGENT_START, EventKind.MAP_MISMATCH, EventKind.AGENT_OPTION})
"""What a start tells once of each option, map and property."""


def written_at(log: str) -> float | None:
    """When a log was last written to, None for standard input and where it cannot be told."""
    try:
        return None if log == "-" else Path(log).stat().st_mtime
    except OSError:
        return None


def lines_of(log: str, stopped: Callable[[], bool], *, follow: bool) -> Iterator[str]:
    """The lines of a file or standard input (``-``) from its beginning, also of a packed one.

    Of an archive those of the agents' logs in it, one log after the other.

    Args:
        log: which.
        stopped: asked now and then.
        follow: go on with what comes; an empty line says that nothing came for a moment. Standard
            input is always read as it comes.

    Raises:
        UsageError: it cannot be read.
    """
    if log == "-":
        if sys.stdin is None or sys.stdin.isatty():
            raise UsageError(
                "Standard input is a terminal, not a log", hint="Pipe one in, or name a file"
            )
        yield from tail.follow_stream(sys.stdin.buffer, stopped, idle=True)
    elif follow:
        yield from tail.follow_file(Path(log), stopped, from_start=True, idle=True)
    else:
        try:
            with Path(log).open("rb") as file:
                ahead = Ahead(file)
                packing = packing_of(ahead.head)
                if packing in {Packing.TAR, Packing.ZIP}:
                    yield from _in_archive(Path(log), stopped)
                    return
                file.seek(0)
                text = Ahead(unpacked(file, packing) if packing else file)
                if packing and packing_of(text.head) is not None:
                    yield from _in_archive(Path(log), stopped)
                    return
                yield from mattering(plain(iter(lambda: text.read(_BLOCK), b"")), stopped)
        except (OSError, EOFError, zlib.error, lzma.LZMAError, ZstdError) as error:
            raise UsageError(f"The log {log} cannot be read: {loops.sentence(error)}") from error


def _in_archive(archive: Path, stopped: Callable[[], bool]) -> Iterator[str]:
    """The lines of the agents' logs in an archive, each as of the pod that its file is of.

    Raises:
        UsageError: there is none, or part of it cannot be read; what can be comes before.
    """
    walker = Walker(lambda _: True)
    logs = 0
    for member in walker.members(archive):
        blocks = plain(member.blocks)
        first = next(blocks, b"")
        pod = writer_of(member.name)
        if not pod and (_OTHER_LOG.search(member.name) or not _is_log(first)):
            continue
        logs += 1
        name = pod or Path(member.name).name.replace(" ", "_")
        for line in mattering(chain([first], blocks), stopped):
            yield line if line.startswith("[pod/") else f"[pod/{name}/cilium-agent] {line}"
    none = [] if logs else [f"There is no agent's log in {archive}"]
    if none or walker.problems:
        raise UsageError(". ".join([*none, *walker.problems]))


def _is_log(block: bytes) -> bool:
    head = block[:_HEAD].decode("utf-8", "replace").splitlines()[:_FIRST_LINES]
    return any(parse_line(line) is not None for line in head)


def mattering(blocks: Iterable[bytes], stopped: Callable[[], bool]) -> Iterator[str]:
    """The lines that `MATTERS` finds: one of a hundred, found without cutting all.

    Args:
        blocks: the text, in pieces of any size.
        stopped: asked after each.
    """
    rest = b""
    for block in chain(blocks, [b"\n"]):
        text = rest + block
        whole = text.rfind(b"\n") + 1
        rest = text[whole:] if whole else text[-tail.LONGEST_LINE :]
        text = text[:whole]
        for start in sorted(line_starts(text, MATTERS)):
            yield text[start : text.index(b"\n", start)].decode("utf-8", "replace").rstrip("\r")
        if stopped():
            return


class LogStories:
    """Reads lines, and tells each restart of each pod or host in the order they began.

    Args:
        window: seconds after the last sign of a restart within which lines belong to it.
        newest: seconds since the Unix epoch when the log was last written to; None for now.
    """

    def __init__(self, window: float = 60.0, newest: float | None = None) -> None:
        self._window = window
        self._reader = LogReader(newest)
        self._writers: dict[str, _Writer] = {}

    @property
    def no_year(self) -> bool:
        """Whether a time was told without its year, so that the last possible one was taken."""
        return self._reader.no_year

    def tell(self, lines: Iterable[str]) -> Iterator[Event]:
        """The events in the lines, and between them the stories that are over.

        Args:
            lines: an empty one may say that nothing has come for a while.
        """
        for line in lines:
            if not line:
                yield from self._due()
                continue
            for event in self._reader.read(line, UNTOLD):
                writer = str(event.fields.get("writer", ""))
                if writer not in self._writers:
                    self._writers[writer] = _Writer(writer, self._window)
                yield from self._writers[writer].feed(event)
                yield event

    def _due(self) -> Iterator[Event]:
        """The stories whose time is over by the clock on the wall, for a log that is followed."""
        for writer in self._writers.values():
            yield from writer.due(time.time())

    def finish(self) -> Iterator[Event]:
        """The stories that were under way when the log ended, by when they began."""
        stories = [one for writer in self._writers.values() for one in writer.finish()]
        yield from sorted(stories, key=lambda one: (math.isnan(_begin(one)), _begin(one)))


class _Writer:
    """The restarts of one pod or host."""

    def __init__(self, name: str, window: float) -> None:
        self._name = name
        self._window = window
        self._teller = StoryTeller(window, grace=0.0)
        self._seen: set[Hashable] = set()

    def feed(self, event: Event) -> Iterator[Event]:
        """Take an event; the story that is over by it."""
        once = (event.kind, event.subject, event.fields.get("property"))
        under_way = self._teller.under_way
        repeated = event.kind in _ONCE and once in self._seen
        late = under_way is not None and event.time > under_way.last + self._window
        if repeated or late:
            yield from self.finish()
        self._seen.add(once)
        self._teller.feed(event)

    def due(self, now: float) -> Iterator[Event]:
        """The story that is over at ``now``."""
        under_way = self._teller.under_way
        if under_way is not None and now > under_way.last + self._window:
            yield from self.finish()

    def finish(self) -> Iterator[Event]:
        """The story under way, None where there is none."""
        self._seen.clear()
        story = self._teller.finish(time.time())
        if story is None:
            return
        story = replace(story, time=_end(story))
        if self._name:
            story = replace(
                story,
                message=f"{self._name}: {story.message}",
                fields={**story.fields, "writer": self._name},
            )
        yield story


def _begin(story: Event) -> float:
    begin = story.fields.get("begin")
    return begin if isinstance(begin, float) else UNTOLD


def _end(story: Event) -> float:
    end = story.fields.get("end")
    return end if isinstance(end, float) else UNTOLD
