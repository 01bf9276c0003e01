"""Resizing maps of this node: with the agent that looks after them, or where nobody uses them."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ctconsole.agent import control
from ctconsole.agent.options import set_values, store_options
from ctconsole.agent.state import load_endpoints
from ctconsole.agent.ticket import AgentTicket
from ctconsole.errors import BusyError, GoneError, MissingFeatureError, UsageError
from ctconsole.kernel.maps import BpfMap
from ctconsole.manager.changing import changing
from ctconsole.manager.init_maps import wishes
from ctconsole.manager.interrupts import Interrupts
from ctconsole.manager.resize.journal import Stage, journal_of, past_of
from ctconsole.manager.resize.plan import MapWish, plan_resize
from ctconsole.manager.resize.recovery import Recovery
from ctconsole.manager.resize.run import resize
from ctconsole.manager.resize.undo import Undos
from ctconsole.manager.resize.watching import Options, ResizeProgress, Watching
from ctconsole.model.catalogue import RESIZABLE, option_of
from ctconsole.model.spec import differences
from ctconsole.node.advising import with_advice
from ctconsole.node.prestage.ending import Ending, files_of
from ctconsole.node.prestage.run import PATIENCE, prestage
from ctconsole.paths import GLOBALS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ctconsole.agent.state import AgentSettings
    from ctconsole.kernel.gate import Gate
    from ctconsole.manager.resize.plan import ResizePlan
    from ctconsole.manager.resize.recovery import Ended
    from ctconsole.manager.resize.report import ResizeReport
    from ctconsole.manager.switch import Switch
    from ctconsole.model.ct.reading import Reading
    from ctconsole.node.prestage.plan import PrestagePlan

_ENDING_PATIENCE: Final = 60.0
"""Seconds to wait for an agent that starts, and for its programs, before another resize."""


def plan_resizing(
    pin: Path, wish: MapWish, reading: Reading, settings: AgentSettings | None
) -> ResizePlan:
    """Say what another capacity of a map would change and need.

    One option sizes several maps: of IPv4 and IPv6, and translations that follow them. They are
    resized together, because the agent's next start would re-create those left out.

    Args:
        pin: the map's.
        wish: what it is to become.
        reading: how entries are read and judged.
        settings: of the running agent that looks after the map; None where there is none.

    Raises:
        ConfigError: the agent's option cannot take this size.
        UsageError: the size is out of range, or the entries cannot be carried over.
        GoneError: nothing is pinned there.
    """
    option = option_of(pin.name) if settings else None
    folder = settings.state_dir if settings else None
    if settings is None or option is None:
        plan = with_advice(plan_resize({pin: wish}, reading, past_of(pin.parent)), folder)
        if settings is None:
            return plan
        warning = f"No option sizes {pin.name}: the agent's next start makes it as it was, empty"
        return replace(plan, warnings=(*plan.warnings, warning))
    together = sized_with(settings, {option: str(wish.max_entries)})
    others = {path: one for path, one in together.items() if path != pin}
    plan = with_advice(plan_resize({pin: wish, **others}, reading, past_of(pin.parent)), folder)
    more = []
    if wish.flags is not None:
        more.append(f"The agent's next start makes {pin.name} with its own flags again, and empty")
    return replace(plan, warnings=(*plan.warnings, *more))


def plan_undoing(pin: Path, reading: Reading) -> ResizePlan:
    """Say what restoring the sizes before the last resize of a map would change and need.

    All maps that were resized together get the sizes they had, as losslessly.

    Args:
        pin: the map's.
        reading: how entries are read and judged.

    Raises:
        UsageError: it was not resized, that was too long ago, or a map was changed since.
        GoneError: nothing is pinned there.
    """
    undo = Undos(journal_of(pin.parent).path).of(pin)
    wishes = {Path(one.path): MapWish(one.max_entries, one.flags) for one in undo.maps}
    return replace(plan_resize(wishes, reading, past_of(pin.parent)), undoes=True)


def resize_maps(
    gate: Gate,
    plan: ResizePlan,
    settings: AgentSettings | None,
    tell: Callable[[ResizeProgress], None] = lambda _: None,
    is_cancelled: Callable[[], bool] = lambda: False,
) -> ResizeReport:
    """Give maps another capacity without losing anything; see `ctconsole.manager.resize.run`.

    Whoever asks this process to end leads back to the old maps. A resize that was cut off there is
    ended before.

    Args:
        gate: the write gate.
        plan: of `plan_resizing` or `plan_undoing`.
        settings: of the running agent that looks after the maps, which moves its programs.
        tell: hears how far it is, and how one that was cut off ended.
        is_cancelled: asked again and again; True leads back.

    Raises:
        BusyError: somebody else changes maps; nothing was changed.
        AgentError: the agent does not answer as one that can move its programs; likewise.
        CtconsoleError: see `resize`; nothing was changed.
    """
    folder = plan.maps[0].path.parent
    names = ", ".join(one.path.name for one in plan.maps)
    with changing(folder, f"resizes {names}"):
        ended = _end_due(gate, folder, settings)
        if ended:
            tell(ResizeProgress(Stage.STAGE, ended=ended.sentence))
        switch: Switch | None = None
        if settings is not None:
            control.check_ready(settings)
            switch = partial(AgentTicket, settings)
        with Interrupts() as heard:
            watching = Watching(tell, lambda: bool(heard.noted) or is_cancelled())
            report = resize(
                gate,
                plan,
                switch,
                journal_of(folder),
                options=_options(plan, settings),
                watching=watching,
                # Of ours none does; collector and flush stand still as long as the lock is held.
                keeping=settings is not None,
            )
    if ended is None:
        return report
    return replace(report, events=(*ended.events, *report.events))


def resize_foreign(
    gate: Gate,
    plan: PrestagePlan,
    tell: Callable[[str], None] = lambda _: None,
    is_cancelled: Callable[[], bool] = lambda: False,
    patience: float = PATIENCE,
) -> ResizeReport:
    """Give tables of an agent that is not ours another capacity; see `ctconsole.node.prestage`.

    Args:
        gate: the write gate.
        plan: of `plan_prestage`.
        tell: hears how far it is.
        is_cancelled: asked again and again; True leads back, until the agent is restarted.
        patience: seconds without a sign of the agent after which it is given up.

    Raises:
        BusyError: somebody else changes maps; nothing was changed.
        CtconsoleError: see `prestage`; nothing was changed.
    """
    names = ", ".join(one.path.name for one in plan.resize.maps)
    with changing(plan.folder, f"resizes {names}"):
        ended = end_resize(gate, plan.folder, None, tell)
        if ended and ended.left:
            raise UsageError(ended.sentence, hint="Do that first")
        return prestage(gate, plan, tell, is_cancelled, patience)


def end_cut_off(gate: Gate, folder: Path, tell: Callable[[str], None], patience: float) -> str:
    """End what a killed resize left on maps of an agent that is not ours, if there is any.

    Args:
        gate: the write gate.
        folder: where the maps are pinned.
        tell: hears what is waited for.
        patience: seconds to wait for the agent and its programs.

    Returns:
        What became of it, or what is left to do; empty where there was nothing to end, or
        somebody else is at it.

    Raises:
        CtconsoleError: it could not be ended, and is as it was.
    """
    try:
        entry = journal_of(folder).read()
    except (MissingFeatureError, OSError):
        # No bpffs, or no place where one could have been journaled.
        return ""
    if entry is None or entry.foreign is None:
        return ""
    try:
        with changing(folder, "ends a resize that was cut off"):
            ended = end_resize(gate, folder, None, tell, patience)
    except BusyError:
        return ""
    return ended.sentence if ended else ""


def end_resize(
    gate: Gate,
    folder: Path,
    settings: AgentSettings | None,
    tell: Callable[[str], None] = lambda _: None,
    patience: float = _ENDING_PATIENCE,
) -> Ended | None:
    """End a resize whose process died; None where there is none.

    To be called with the lock of whoever changes maps.

    Args:
        gate: the write gate.
        folder: where the maps are pinned.
        settings: of the running agent that looks after them.
        tell: hears what is waited for, where that is an agent that is not ours.
        patience: seconds to wait for it.

    Raises:
        CtconsoleError: it could not be ended, and is as it was.
    """
    journal = journal_of(folder)
    entry = journal.read()
    if entry is not None and entry.foreign is not None:
        return Ending(
            gate,
            journal,
            Recovery(gate, journal, files_of(entry)),
            entry,
            folder=folder,
            tell=tell,
            patience=patience,
        ).end()

    def store(options: Mapping[str, str | None]) -> None:
        if settings is not None and options:
            store_options(settings, options)

    recovery = Recovery(gate, journal, store)
    if not recovery.is_due:
        return None
    recovery.prepare()
    return recovery.finish(partial(AgentTicket, settings) if settings else None)


def _end_due(gate: Gate, folder: Path, settings: AgentSettings | None) -> Ended | None:
    """End what a killed resize left, before another begins; None where there was nothing."""
    ended = end_resize(gate, folder, settings)
    if ended and ended.left:
        raise UsageError(ended.sentence, hint="Restart the agent that attached them")
    return ended


def sized_with(settings: AgentSettings, changes: Mapping[str, str]) -> dict[Path, MapWish]:
    """What a resize changes together: maps that would be re-created for their size alone.

    Args:
        settings: of the agent.
        changes: the options that would be set for its next start.
    """
    config, _ = replace(settings, options={**settings.options, **changes}).read_config()
    found = {}
    endpoints = load_endpoints(settings.state_dir)
    for managed in wishes(config, settings.bpf_root / GLOBALS, endpoints):
        wish = managed.wish
        try:
            with BpfMap.open(managed.path) as live:
                info = live.info
        except GoneError:
            continue
        differs = {one.property for one in differences(info, wish)}
        if differs == {"Max entries"} and info.type in RESIZABLE and not managed.non_persistent:
            found[managed.path] = MapWish(wish.max_entries)
    return found


def _options(plan: ResizePlan, settings: AgentSettings | None) -> Options | None:
    """What the agent's next start has to find: the size of the map that was named, the first."""
    named = plan.maps[0]
    option = option_of(named.path.name)
    if settings is None or option is None:
        return None
    after = {option: str(named.wish.max_entries)}
    replace(settings, options={**settings.options, **after}).read_config()

    def store(options: Mapping[str, str | None]) -> None:
        store_options(settings, options)

    return Options(set_values(settings, after), after, store)
