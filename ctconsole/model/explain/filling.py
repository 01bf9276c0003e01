"""How full tables are, why they stay so, who fills them, and how big they should be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ctconsole.model.advice import AdviceVerdict, memory_told
from ctconsole.model.ct.words import protocol_name
from ctconsole.model.explain.answer import Answer, lack_older, many, name_of, when_told
from ctconsole.model.sizing import RATIO, memory_behind, option_sizing
from ctconsole.model.text.addresses import address_text, end_text
from ctconsole.model.units import count, duration, share, size

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ctconsole.model.ct.tops import Top
    from ctconsole.model.explain.facts import Content, Known, TableKnown

_HOUR: Final = 3600


def how_full(known: Known) -> Answer:
    """How full each table is, since when, and when it will be."""
    answer = Answer()
    empty = [name_of(table) for table in known.in_use if not table.entries]
    for table in known.tables:
        advice, name = table.advice, name_of(table)
        if not table.entries:
            continue
        most = table.info.max_entries
        of = f" of {count(most)} entries" if most else ""
        held = count(table.entries) if most else many(table.entries, "entry", "entries")
        answer.say(f"{name} holds {held}{of}: {advice.state}")
        if since_when := _full_since(known, table):
            answer.say(since_when)
        if content := table.content:
            answer.say(f"{name}: {_living(content)}")
        peak = advice.peak
        if peak[1] > table.entries and peak[0]:
            answer.say(f"{name} held at most {count(peak[1])} entries, {when_told(known, peak[0])}")
        answer.rests_on.append(f"{name}: {many(table.entries, 'entry', 'entries')} counted")
        answer.lack(*(f"{name}: {_lacking(text)}" for text in advice.unknown if _about_fill(text)))
    if empty:
        answer.say(f"empty: {', '.join(empty)}")
    for name, used in known.older.items():
        answer.say(f"{name} is not the map that the node works with: {used}")
        answer.rests_on.append(f"{name}: which programs use which map")
    lack_older(answer, known)
    for name, fill in known.pressure.items():
        answer.say(f"the agent's own metric says that {name} is {fill:.1%} full")
    if not answer.sentences:
        answer.lack("no table is at hand, neither its entries nor its size")
    return answer


def _lacking(text: str) -> str:
    """``how it grows: only one count of it was found``, to be said behind "not known"."""
    text = text.replace(" is not known", "", 1).replace(" are not known", "", 1)
    return text[:1].lower() + text[1:]


def _about_fill(text: str) -> bool:
    return "memory" not in text and "CPUs" not in text


def _full_since(known: Known, table: TableKnown) -> str:
    """Since when a table that is full has been so, as far as it was counted."""
    advice, name = table.advice, name_of(table)
    trend = advice.watched.trend
    if not advice.full or len(trend) < 2:  # noqa: PLR2004 - one count tells no past
        return ""
    first = trend[-1][0]
    for when, entries in reversed(trend):
        if entries < advice.watched.entries * 0.98:
            break
        first = when
    if first == trend[0][0]:
        return f"{name} has been full for as long as it is counted, {when_told(known, first)}"
    return f"{name} has been full since {when_told(known, first)}"


def _living(content: Content) -> str:
    kinds = content.stats.kinds
    if content.now == 0:
        return "how many of them live is not known: no clock"
    if content.least:
        return (
            f"at least {count(content.expired)} have expired, of the others nobody knows: the "
            "clock is a lower bound"
        )
    return (
        f"{count(kinds.alive)} live ({count(kinds.established)} established, "
        f"{count(kinds.half_closed)} half-closed, {count(kinds.closing)} closing, "
        f"{count(kinds.unanswered)} unanswered) and "
        f"{count(kinds.expired)} have expired"
    )


def why_not_empty(known: Known) -> Answer:
    """Why entries stay."""
    answer = Answer()
    looked = [(table, table.content) for table in known.tables if table.content and table.entries]
    for table, content in looked:
        name, before = name_of(table), len(answer.sentences)
        for sentence in _reasons_to_stay(content, table.entries):
            answer.say(f"{name}: {sentence}")
        if len(answer.sentences) == before and table.entries:
            answer.say(f"{name}: its entries are in use, as far as they tell")
        answer.rests_on.append(f"{name}: the state of {many(table.entries, 'entry', 'entries')}")
        if not content.now:
            answer.lack(f"{name}: what has expired, for the clock of its node is not known")
        elif content.least:
            answer.lack(f"{name}: how much has expired at most: its clock is a lower bound")
    if not looked:
        answer.lack("why anything stays: no conntrack entries are at hand")
    _collector(known, answer, any(content.expired for _, content in looked))
    lack_older(answer, known)
    return answer


def _reasons_to_stay(content: Content, entries: int) -> Iterator[str]:
    kinds = content.stats.kinds
    if content.expired:
        yield (
            f"{count(content.expired)} ({share(content.expired, entries)}) have expired and wait "
            "for the garbage collector; until then they take their places as if they lived"
        )
    half, services = content.half_closed, content.half_closed_services
    if half:
        left = f", up to {duration(content.longest_left)}" if content.longest_left else ""
        whose = f", {count(services)} of them of services" if services else ""
        yield (
            f"{count(half)} ({share(half, entries)}) are half-closed{whose}: one side has sent its "
            f"FIN, the other has not, so that they live as long as open ones{left}"
        )
    if services:
        yield (
            "a service's entry sees the client's packets only, so that only one side of it ever "
            "closes; nothing but its lifetime ends it"
        )
    if kinds.unanswered:
        yield (
            f"{count(kinds.unanswered)} ({share(kinds.unanswered, entries)}) were never answered "
            "and live for a minute each after their last packet: what comes fast fills with them"
        )
    idle = sum(bar.entries for bar in content.stats.idle if (bar.low or 0) >= _HOUR // 2)
    if idle:
        yield (
            f"{count(idle)} ({share(idle, entries)}) live though nothing was heard of them for "
            "half an hour and more: their lifetime is that of quiet connections"
        )


def _collector(known: Known, answer: Answer, expired: bool) -> None:  # noqa: FBT001 - a private helper
    """What is known of the garbage collector."""
    if known.gc_last:
        deleted = f" and deleted {count(known.gc_deleted)}" if known.gc_deleted is not None else ""
        answer.say(f"the garbage collector last ran {when_told(known, known.gc_last)}{deleted}")
    if known.gc_interval is not None:
        answer.say(f"it runs every {duration(known.gc_interval)}")
    if not known.gc_last and known.gc_interval is None:
        answer.lack(
            "when the garbage collector runs: neither the agent nor its log is at hand"
            if expired
            else "when the garbage collector runs"
        )


def who_fills(known: Known) -> Answer:
    """Who has most entries."""
    answer = Answer()
    if by_node := _by_node(known):
        answer.say(by_node)
    for table in known.tables:
        if table.tops is None or not table.entries:
            continue
        name = name_of(table)
        for kind, tops in (
            ("source", table.tops.sources),
            ("service", table.tops.services),
            ("destination", table.tops.destinations),
        ):
            if tops:
                told = ", ".join(_filler(table, kind, one) for one in tops)
                answer.say(f"{name}, most by {kind}: {told}")
        if table.ports:
            told = ", ".join(f"{port} {share(n, table.entries)}" for port, n in table.ports)
            answer.say(f"{name}, most by port: {told}")
        if table.tops.missed:
            answer.lack(
                f"{name}: others with at most {count(table.tops.missed)} entries each, of which "
                "there are too many to count each"
            )
        answer.rests_on.append(f"{name}: the ends of {many(table.entries, 'entry', 'entries')}")
    if not answer.sentences:
        answer.lack("who fills them: no conntrack entries are at hand")
    elif not any(table.names for table in known.tables):
        answer.lack("which pods these addresses are: nothing at hand tells names")
    lack_older(answer, known)
    return answer


def _by_node(known: Known) -> str:
    """How many entries each of several nodes has; empty where there is one."""
    nodes: dict[str, int] = {}
    for table in known.tables:
        if table.node:
            nodes[table.node] = nodes.get(table.node, 0) + table.entries
    ordered = sorted(nodes.items(), key=lambda pair: -pair[1])
    told = ", ".join(f"{node} {count(number)}" for node, number in ordered)
    return f"by node: {told}" if len(nodes) > 1 else ""


def _filler(table: TableKnown, kind: str, top: Top) -> str:
    address = address_text(top.address)
    who = address
    if kind != "source":
        who = f"{protocol_name(top.protocol)} {end_text(top.address, top.port)}"
    name = table.names.get(top.address, "")
    if kind == "service":
        name = table.services.get(top.rev_nat_index) or name
    named = f"{name} ({who})" if name else who
    return f"{named} {count(top.entries)} ({share(top.entries, table.entries)})"


def how_big(known: Known) -> Answer:
    """What size each table should have."""
    answer = Answer()
    for table in known.in_use:
        advice, name = table.advice, name_of(table)
        if advice.verdict is AdviceVerdict.UNKNOWN:
            answer.lack(*(f"{name}: {_lacking(text)}" for text in advice.unknown))
            continue
        wanted = count(advice.wanted or 0)
        verb = "is as it should be with" if advice.verdict is AdviceVerdict.KEEP else "should have"
        answer.say(f"{name} {verb} {wanted} entries: {advice.state}")
        if advice.verdict is not AdviceVerdict.KEEP or (table.sizing and table.sizing.warning):
            answer.say(*(f"{name}: {text}" for text in advice.reasons))
            if memory := memory_told(advice):
                answer.say(f"{name}: memory {memory}")
            if table.sizing is not None:
                answer.say(f"{name}: {table.sizing.text}")
        answer.rests_on.append(f"{name}: {many(len(advice.watched.trend), 'count')}")
        answer.lack(*(f"{name}: {_lacking(text)}" for text in advice.unknown))
    for name, size_made in known.sizes.items():
        if name not in {table.info.label for table in known.tables}:
            answer.say(f"{name} was made for {count(size_made)} entries{_of_memory(known, name)}")
    if not answer.sentences:
        answer.lack("how full any table is: no entries are at hand")
    lack_older(answer, known)
    return answer


def _of_memory(known: Known, name: str) -> str:
    """The memory that a size is of, where sizes follow it."""
    option = option_sizing(name)
    if not known.ratio or option is None:
        return ""
    between = memory_behind(option, known.sizes[name], known.ratio)
    return (
        f", which {RATIO} {known.ratio:g} gives a node of {size(sum(between) / 2)}"
        if between
        else ""
    )
