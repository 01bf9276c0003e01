"""What entries' times mean, and what is behind re-created tables, failed insertions and zeros."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ctconsole.model.ct.layout import Layout, since
from ctconsole.model.explain.answer import Answer, lack_older, many, name_of
from ctconsole.model.explain.log import told as recreation_told
from ctconsole.model.units import count, day_and_time, duration

if TYPE_CHECKING:
    from ctconsole.model.explain.facts import Content, Known

FULL: Final = "CT: Map insertion failed"
"""Drop reason 155."""

_ERRORS: Final = {
    "device or resource busy": (
        "EBUSY: another context held the lock of that bucket for this moment. It is contention, "
        "not a full table, and a larger one does not help"
    ),
    "argument list too long": "E2BIG: the table is full, and of a type that evicts nothing",
    "cannot allocate memory": (
        "ENOMEM: no place was free and none could be evicted, which is a full table or, without "
        "preallocation, a node without memory"
    ),
    "no space left on device": "ENOSPC: the table is full",
}
"""What the kernel's errors mean, as ``strerror`` words them."""

_MOST_TOLD: Final = 12


def what_expires(known: Known) -> Answer:
    """What ``expires`` counts."""
    answer = Answer()
    contents = [one.content for one in known.tables if one.content is not None]
    hertz = next((one.hertz for one in contents if one.hertz), 0)
    if known.clock is not None and known.clock.uses_jiffies:
        hertz = hertz or known.clock.hertz
    if known.clock is None and not contents:
        answer.lack("what the agent counts by: neither the agent nor an entry is at hand")
        return answer
    if hertz or (known.clock is not None and known.clock.uses_jiffies):
        unit = (256 / hertz) if hertz else 0
        told = f"one is {unit:g} s at HZ {hertz}" if unit else "HZ is not known"
        answer.say(
            "expires is when an entry dies, in the kernel's jiffies / 256, which is no time of "
            f"day and means nothing on another node: {told}"
        )
    else:
        answer.say(
            "expires is when an entry dies, in seconds since the node started (CLOCK_MONOTONIC, "
            "which stands still in suspend): no time of day, and meaningless on another node"
        )
    answer.rests_on.append(
        f"the clock is {known.clock_origin}"
        if known.clock_origin
        else "what agents count by default"
    )
    nows = {(one.now, one.least) for one in contents if one.now}
    for now, least in sorted(nows)[:_MOST_TOLD]:
        bound = "at least " if least else ""
        answer.say(f"the clock stood at {bound}{now} when the entries were read: less is dead")
    if contents and not nows:
        answer.lack("where the clock stood when the entries were written: --now tells it")
    for seconds, number in _lifetimes(contents):
        answer.say(
            f"{count(number)} established expire {duration(seconds)} ({seconds}) after the last "
            f"report{_default(seconds)}"
        )
    return answer


def _lifetimes(contents: list[Content]) -> list[tuple[int, int]]:
    """The usual lifetimes, the most entries first."""
    found: dict[int, int] = {}
    for content in contents:
        for seconds, number in content.lifetimes.items():
            if not content.hertz and seconds > 0:
                found[seconds] = found.get(seconds, 0) + number
    return sorted(found.items(), key=lambda pair: -pair[1])[:3]


def _default(seconds: int) -> str:
    """Which default a lifetime is."""
    if seconds in {8000, 7999, 8001}:
        return ": the default of 1.15 and later for TCP"
    if seconds in {21600, 21599, 21601}:
        return ": the default before 1.15 for TCP"
    return ""


def why_recreated(known: Known) -> Answer:
    """Why a table was made anew, and whether the next start will do it again."""
    answer = Answer()
    log = known.log
    if log is not None and log.recreations:
        for one in list(log.recreations)[-_MOST_TOLD:]:
            when = day_and_time(one.time) if one.time else "at a time that is not told"
            answer.say(f"{when}: {recreation_told(one)}")
        if len(log.recreations) > _MOST_TOLD:
            answer.say(f"{len(log.recreations) - _MOST_TOLD} before that are not told here")
        answer.rests_on.append(
            f"{many(len(log.recreations), 'mismatch', 'mismatches')} in the log or history"
        )
        if any(not one.time for one in log.recreations):
            answer.lack("when: those lines carry no time")
    elif log is not None:
        answer.say("no map was re-created in what the log or the history tells")
    else:
        answer.lack("what happened before: neither a log nor a history is at hand")
    for table in known.tables:
        sizing = table.sizing
        if sizing is None:
            continue
        if sizing.warning:
            answer.say(sizing.warning)
            answer.rests_on.append(f"{name_of(table)}: {sizing.text}")
        elif sizing.gives is None:
            answer.lack(f"{name_of(table)}: whether the next start re-creates it: {sizing.text}")
    return answer


def is_it_full(known: Known) -> Answer:
    """Whether "Map insertion failed" means a full table."""
    answer = Answer()
    failed = {error: n for (reason, error), n in known.drops.items() if reason == FULL}
    for error, number in failed.items():
        meaning = _ERRORS.get(error.lower())
        if meaning:
            answer.say(f'{many(number, "time")} the kernel said "{error}", which is {meaning}')
        elif error:
            answer.say(f'{many(number, "time")} the kernel said "{error}"')
        else:
            answer.say(f"{many(number, 'drop')}, without the kernel's error")
            answer.lack(
                "the kernel's error, which counters and the monitors of old releases do not have"
            )
    for table in known.in_use:
        if not table.advice.full and (table.content is None or not table.entries):
            continue
        name = name_of(table)
        if table.advice.full:
            answer.say(f"{name} is {table.advice.state}")
        elif table.info.max_entries:
            answer.say(f"{name} is not full: {table.advice.state}")
        answer.rests_on.append(f"{name}: {many(table.entries, 'entry', 'entries')} counted")
    for name, fill in known.pressure.items():
        answer.say(f"the agent's own metric says that {name} is {fill:.1%} full")
    if not failed:
        answer.lack(
            "whether there are such drops: no counter, metric or monitor line of them is at hand"
            if not known.drops
            else "no drop of this reason is among those at hand"
        )
    answer.say(
        "an LRU table that is full evicts its oldest entries instead of failing, so that a full "
        "table by itself loses connections in silence"
    )
    lack_older(answer, known)
    return answer


def why_no_counts(known: Known) -> Answer:
    """Why packets and bytes are zero."""
    answer = Answer()
    contents = [one.content for one in known.tables if one.content is not None]
    entries = sum(one.stats.kinds.entries - one.services for one in contents)
    counted = sum(one.counted for one in contents)
    layout = next((one.layout for one in contents if one.layout is not None), None)
    services = sum(one.services for one in contents)
    if known.accounting is False:
        answer.say(
            "connections are not counted: bpf-conntrack-accounting is off, as by default since 1.17"
        )
        answer.rests_on.append("the agent's options")
    elif counted:
        answer.say(f"they are not all zero: {count(counted)} of {count(entries)} count something")
        answer.rests_on.append(f"{many(entries, 'entry', 'entries')} read")
    elif contents and entries:
        answer.say(f"none of {count(entries)} entries counts a packet or byte")
        answer.rests_on.append(f"{many(entries, 'entry', 'entries')} read")
        if layout is not None and since(layout, Layout.V1_16):
            answer.say(
                "an agent of 1.17 or later does not count unless bpf-conntrack-accounting is on; "
                "the zeros are then not counted, rather than no traffic"
            )
        if known.accounting is None:
            answer.lack("whether bpf-conntrack-accounting is on: no agent's options are at hand")
    else:
        answer.lack("whether anything is counted: no conntrack entries are at hand")
    if services:
        answer.say(
            f"{count(services)} are services' entries, which never count: they keep the backend"
        )
    lack_older(answer, known)
    return answer
