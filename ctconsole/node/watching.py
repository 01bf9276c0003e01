"""The restart watcher beside the console, on nodes whose maps belong to somebody else."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from ctconsole.errors import CtconsoleError
from ctconsole.model.fullness import DEFAULT_THRESHOLDS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ctconsole.model.fullness import Thresholds
    from ctconsole.observe.watcher import Watcher


@contextmanager
def watching(
    bpf_root: Path,
    file: Path,
    thresholds: Thresholds = DEFAULT_THRESHOLDS,
    *,
    foreign: bool,
) -> Iterator[Watcher | None]:
    """Write what happens on a foreign node into a history for as long as the block runs.

    An agent of ours writes its own history, so its node is not watched a second time. Where the
    history cannot be written the console still shows the node, without a timeline.

    Args:
        bpf_root: the bpffs looked at.
        file: the history the console shows.
        thresholds: those that are settled; see `FullWatch`.
        foreign: whether no agent of ours looks after the maps.

    Yields:
        The watcher, None where the node is not watched.
    """
    from ctconsole.history import History, Retention
    from ctconsole.kernel.counting import Counting
    from ctconsole.model.event import EventKind
    from ctconsole.observe.agents import find_globals
    from ctconsole.observe.watcher import Watcher
    from ctconsole.recorder import Recorder

    if not foreign:
        yield None
        return
    try:
        history = History(file, keep=Retention())
    except CtconsoleError:
        yield None
        return
    with history:
        record = Recorder(history.append, source="observe", subject=str(file))
        watcher = Watcher(bpf_root, record, history=file)
        told = []
        with suppress(CtconsoleError):
            told = [event for _, event in history.read(kinds=[EventKind.MAP_FULL])]
        counting = Counting(
            find_globals(bpf_root),
            history.append_fills,
            record,
            record.trouble,
            told,
            thresholds=thresholds,
        )
        watcher.start(patience=0)
        counting.start()
        try:
            yield watcher
        finally:
            counting.stop()
            watcher.close()
