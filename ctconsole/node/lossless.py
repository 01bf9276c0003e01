"""Which resizes would keep what a start of our agent is about to lose."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from ctconsole.agent.state import StateDir
from ctconsole.errors import ConfigError
from ctconsole.manager.restart import Lossless
from ctconsole.model.catalogue import Group, group_of, option_of
from ctconsole.node.resizing import sized_with

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ctconsole.agent.state import AgentSettings
    from ctconsole.manager.recreate import RecreatePlan
    from ctconsole.manager.restart import RestartPlan


def lossless(plan: RestartPlan, settings: AgentSettings) -> Iterator[Lossless]:
    """Resizes that keep what a start would lose.

    The agent that runs does them. Where none runs and no program uses the maps, each is resized
    as it is; else an agent has to be started first, with the sizes that are there.

    Args:
        plan: what the start would re-create.
        settings: with which the agent is to be started.
    """
    folder = StateDir(plan.agent)
    maps = [one for one in plan.maps if option_of(one.path.name)]
    if folder.running_pid() is not None:
        if running := folder.load_settings():
            yield from _by_agent(maps, running, plan.changes)
        return
    with suppress(ConfigError):
        resizable = sized_with(settings, {})
        maps = [one for one in maps if one.path in resizable]
        if not any(one.users for one in maps):
            for one in maps:
                if one.entries:
                    yield Lossless((one.path.name,), one.wish.max_entries, _fit([one]))
            return
        sizes = _as_they_are(settings, maps)
        as_is = _with(settings, sizes)
        differing = sized_with(as_is, {})
        told = tuple(f"{name}={value}" for name, value in sizes.items())
        for way in _by_agent([one for one in maps if one.path not in differing], as_is, sizes):
            yield replace(way, start=told)


def _by_agent(
    maps: Sequence[RecreatePlan], running: AgentSettings, changes: Mapping[str, str]
) -> Iterator[Lossless]:
    """Those that an agent which runs with these settings can do."""
    left = {one.path: one for one in maps}
    # Tables that follow others in size come with those whose option is changed.
    for path in sorted(left, key=lambda path: option_of(path.name) not in changes):
        if path not in left:
            continue
        size = left[path].wish.max_entries
        together = sized_with(running, {str(option_of(path.name)): str(size)})
        kept = [left.pop(one) for one in (path, *together) if one in left and one in together]
        if any(one.entries for one in kept):
            yield Lossless(tuple(one.path.name for one in kept), size, _fit(kept))


def _fit(maps: Sequence[RecreatePlan]) -> bool:
    return all(one.entries <= one.wish.max_entries for one in maps)


def _as_they_are(settings: AgentSettings, maps: Sequence[RecreatePlan]) -> dict[str, str]:
    """Options with which these maps have the size that is wished for.

    Translations mostly follow the size of the conntrack tables, and need none of their own then.
    """
    sizes: dict[str, str] = {}
    for one in sorted(maps, key=lambda one: group_of(one.path.name) is Group.NAT):
        if one.path in sized_with(_with(settings, sizes), {}):
            sizes[str(option_of(one.path.name))] = str(one.info.max_entries)
    return sizes


def _with(settings: AgentSettings, options: Mapping[str, str]) -> AgentSettings:
    return replace(settings, options={**settings.options, **options})
