"""How large an agent makes the tables whose size follows the machine's memory.

Unless told otherwise an agent gives a share of the memory to five tables, in proportion to their
default sizes (``bpf-map-dynamic-size-ratio``; ``calculateDynamicBPFMapSizes`` of
``pkg/option/config.go``, later of ``pkg/maps/mapsize``). It works that out at every start: where
the memory is another, so are the sizes, and the tables are re-created.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

from ctconsole.model.catalogue import LIMIT_TABLE_MAX, pins_sized_by
from ctconsole.model.memory import round_up
from ctconsole.model.units import count, size

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ctconsole.model.spec import MapInfo

RATIO: Final = "bpf-map-dynamic-size-ratio"
"""The option that says which share of the memory, above 0 and at most 1."""

DEFAULT_RATIO: Final = 0.0025
"""What Cilium's charts and its newer agents take."""

TCP: Final = "bpf-ct-global-tcp-max"
ANY: Final = "bpf-ct-global-any-max"
NAT: Final = "bpf-nat-global-max"
NEIGHBOURS: Final = "bpf-neigh-global-max"
SOCKETS: Final = "bpf-sock-rev-map-max"


class SizingShare(NamedTuple):
    """A table that the rule sizes.

    Attributes:
        default: entries without the rule, by which memory is shared out.
        least: the fewest that the rule gives.
        element: bytes of a key and a value, those of IPv6.
        pins: the maps of that size.
    """

    default: int
    least: int
    element: int
    pins: tuple[str, ...]


SHARES: Final[Mapping[str, SizingShare]] = MappingProxyType(
    {
        TCP: SizingShare(1 << 19, 1 << 17, 38 + 56, pins_sized_by(TCP)),
        ANY: SizingShare(1 << 18, 1 << 16, 38 + 56, pins_sized_by(ANY)),
        NAT: SizingShare(1 << 19, 1 << 17, 38 + 56, pins_sized_by(NAT)),
        NEIGHBOURS: SizingShare(
            1 << 19, 1 << 17, 16 + 8, ("cilium_nodeport_neigh4", "cilium_nodeport_neigh6")
        ),
        SOCKETS: SizingShare(
            1 << 18, 1 << 16, 32 + 20, ("cilium_lb4_reverse_sk", "cilium_lb6_reverse_sk")
        ),
    }
)
"""By option. A running agent of 1.10 or later tells these element sizes in its configuration."""

WHOLE: Final = sum(one.default * one.element for one in SHARES.values())
"""Bytes of all five at their default sizes; what the memory is shared out by."""


def option_sizing(pin_name: str) -> str | None:
    """The option of the rule that sizes a map, None for a map of another size."""
    return next((option for option, one in SHARES.items() if pin_name in one.pins), None)


def counted_pins() -> tuple[str, ...]:
    """The maps whose fill is worth a history: those whose size somebody chooses."""
    return tuple(pin for one in SHARES.values() for pin in one.pins)


@dataclass(frozen=True, slots=True)
class SizingRule:
    """What an agent works its sizes out from.

    Attributes:
        memory: bytes of the machine (MemTotal).
        ratio: the share of it; what is not above 0 and at most 1 turns the rule off.
        given: sizes that somebody set, by option, which the rule leaves alone.
        cpus: possible CPUs where LRU tables are distributed, whose sizes are multiples of it;
            else 1.
        whole: see `WHOLE`. Cilium's documentation and its own tests count 48 bytes for the
            fifth table's elements, so that their figures are 0.7 % larger.
    """

    memory: int
    ratio: float = DEFAULT_RATIO
    given: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    cpus: int = 1
    whole: int = WHOLE

    @property
    def is_on(self) -> bool:
        """Whether sizes follow the memory."""
        return 0 < self.ratio <= 1

    def sizes(self) -> dict[str, int]:
        """The size of each table, by option."""
        found = {option: self._size(option) for option in SHARES}
        tracked = found[TCP] + found[ANY]
        if found[NAT] > tracked and NAT not in self.given:
            # Translations never need more room than the connections they belong to.
            found[NAT] = tracked * 2 // 3
        if NEIGHBOURS not in self.given:
            found[NEIGHBOURS] = found[NAT]
        return found

    def _size(self, option: str) -> int:
        share = SHARES[option]
        if self.given.get(option):
            return self.given[option]
        if not self.is_on:
            return share.default
        entries = share.default * int(self.memory * self.ratio) // self.whole
        if entries > LIMIT_TABLE_MAX:
            return LIMIT_TABLE_MAX // self.cpus * self.cpus
        return round_up(max(entries, share.least), self.cpus)


def memory_behind(option: str, size: int, ratio: float) -> tuple[int, int] | None:
    """Between which amounts of memory the rule gives a table this size, in bytes.

    None where the size is one of the rule's limits, which many amounts lead to, or no size of
    the rule's at all.
    """
    share = SHARES[option]
    if not share.least < size < LIMIT_TABLE_MAX or not 0 < ratio <= 1:
        return None
    low = round_up(size * WHOLE, share.default) // share.default
    high = -(-(size + 1) * WHOLE // share.default) - 1
    return int(low / ratio), int(high / ratio)


@dataclass(frozen=True, slots=True)
class Sizing:
    """How an agent's sizes come about, as far as that is known.

    Attributes:
        rule: what it works with; None where that is not known.
        assumed: whether the ratio is only the usual one: no agent says so, and nothing is warned
            of then.
        unknown: why there is no rule, or why it is assumed.
    """

    rule: SizingRule | None = None
    assumed: bool = False
    unknown: str = ""


@dataclass(frozen=True, slots=True)
class SizingTold:
    """What it means for one table.

    Attributes:
        option: the option that sizes the table.
        gives: the size of the agent's next start, None where it is not known.
        given: whether somebody set that size.
        text: a sentence.
        warning: a sentence where the agent's next start will re-create the table, else empty.
    """

    option: str
    gives: int | None
    given: bool
    text: str
    warning: str = ""


def told(sizing: Sizing, info: MapInfo) -> SizingTold | None:
    """What the rule makes of a table; None for a table that it does not size."""
    option = option_sizing(info.label)
    if option is None:
        return None
    rule = sizing.rule
    if rule is None:
        text = f"What {RATIO} gives is not known: {sizing.unknown}"
        return SizingTold(option, gives=None, given=False, text=text)
    gives, given = rule.sizes()[option], bool(rule.given.get(option))
    if given:
        text = f"{option} is set to {count(gives)}, so that the memory does not matter"
    elif not rule.is_on:
        text = f"{RATIO} is off: {option} is {count(gives)} by default"
    else:
        verb = "would give" if sizing.assumed else "gives"
        text = f"{RATIO} {rule.ratio:g} of {size(rule.memory)} {verb} {count(gives)} entries"
    if sizing.assumed:
        return SizingTold(option, gives, given, f"{text} ({sizing.unknown})")
    differs = bool(info.max_entries) and gives != info.max_entries
    warning = _warning(info, rule, option, gives, given=given) if differs else ""
    return SizingTold(option, gives, given, text, warning)


def _warning(info: MapInfo, rule: SizingRule, option: str, gives: int, *, given: bool) -> str:
    text = (
        f"The agent's next start re-creates {info.label} with {count(gives)} entries instead of "
        f"{count(info.max_entries)}, and every entry in it is lost"
    )
    if given:
        return f"{text}: {option} has changed"
    between = memory_behind(option, info.max_entries, rule.ratio)
    if not rule.is_on or between is None:
        return text
    was = sum(between) / 2
    more = f"{size(abs(rule.memory - was))} {'more' if rule.memory > was else 'less'}"
    return (
        f"{text}: this size is that of {size(was)} of memory, and the node has "
        f"{size(rule.memory)}, {more}"
    )
