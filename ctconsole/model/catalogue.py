"""Cilium's maps as data: what each is for and what it looks like, in 1.9 and in 1.18.

The groups are those of the article's section 1.2, with NAT and addresses beside them. Sizes and
defaults come from ``bpf/lib/maps.h`` and ``pkg/maps/`` of the two releases; a size that differs
from release to release within a generation, or from node to node, is None.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING, Final

from ctconsole.errors import UsageError
from ctconsole.model.spec import MapType

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ctconsole.model.spec import MapInfo, MapSpec


class Group(StrEnum):
    """What a map is for, as the article groups them."""

    TAIL_CALL = "tail call"
    CONNTRACK = "connection tracking"
    NAT = "nat"
    LOAD_BALANCING = "load balancing"
    POLICY = "network policy"
    ADDRESSES = "endpoints and addresses"
    ENCRYPTION = "encryption"
    EVENTS = "events, metrics, etc"
    OTHER = "other"


class Generation(StrEnum):
    """The two releases whose maps are listed here."""

    V1_9 = "1.9"
    V1_18 = "1.18"


LIMIT_TABLE_MIN = 1 << 10
"""Fewest entries of a CT or NAT table (``LimitTableMin``)."""

LIMIT_TABLE_MAX = 1 << 24
"""Most entries of a CT or NAT table (``LimitTableMax``), and of any map that is given a size."""

GLOBAL_MAPS = (
    "cilium_ct4_global",
    "cilium_ct_any4_global",
    "cilium_ct6_global",
    "cilium_ct_any6_global",
)
"""The conntrack maps that Cilium's tool lists, in its order."""

CALL_SIZE = 25
"""``CILIUM_CALL_SIZE`` of 1.9: places in a program array of tail calls."""

PENDING = ":pending"
"""Added to a pin's name while the map that will take it waits; bpffs reserves dots."""

TABLE_LIMITS = (LIMIT_TABLE_MIN, LIMIT_TABLE_MAX)

RESIZABLE = frozenset({MapType.HASH, MapType.LRU_HASH})
"""Types whose entries can be carried over."""

RECREATABLE = frozenset(
    {
        MapType.HASH,
        MapType.LRU_HASH,
        MapType.PERCPU_HASH,
        MapType.LRU_PERCPU_HASH,
        MapType.LPM_TRIE,
        MapType.ARRAY,
        MapType.PERCPU_ARRAY,
    }
)
"""Types whose capacity can be chosen and whose entries are not programs, maps or sockets."""

BOTH = (Generation.V1_9, Generation.V1_18)


@dataclass(frozen=True, slots=True)
class CatalogueEntry:
    """One of Cilium's maps.

    Attributes:
        name: the pin's name; ``*`` stands for the digits of an endpoint's or interface's id.
        group: what it is for.
        type: map type.
        key_size: bytes, None where it varies.
        value_size: bytes, None where it varies.
        max_entries: the default, None where it depends on the node.
        generations: the releases in which it looks like this.
        note: one line for a person.
    """

    name: str
    group: Group
    type: MapType
    key_size: int | None
    value_size: int | None
    max_entries: int | None
    generations: tuple[Generation, ...] = BOTH
    note: str = ""

    @property
    def is_ct(self) -> bool:
        """Whether its entries are conntrack tuples and entries, which `CtTable` decodes."""
        return self.group is Group.CONNTRACK and not self.type.holds_maps

    def matches(self, live: MapInfo | MapSpec) -> bool:
        """Whether a map has this entry's type and sizes; unknown sizes match any."""
        return (
            live.type is self.type
            and self.key_size in {None, live.key_size}
            and self.value_size in {None, live.value_size}
        )


_INVENTORY = """\
#name                        type             key val default gen. note
[tail call]
cilium_calls_*               PROG_ARRAY         4   4       - both parts of one endpoint's programs
cilium_calls_hostns_*        PROG_ARRAY         4   4       - both parts of the host's programs
cilium_calls_netdev_*        PROG_ARRAY         4   4       - both parts of a device's programs
cilium_calls_overlay_*       PROG_ARRAY         4   4       - both parts of the overlay's programs
cilium_calls_xdp*            PROG_ARRAY         4   4       - both parts of the XDP programs
cilium_call_policy           PROG_ARRAY         4   4   65535 both policy programs by endpoint
cilium_egresscall_policy     PROG_ARRAY         4   4   65535 1.18 egress policy by endpoint
[connection tracking]
cilium_ct4_global            LRU_HASH          14  56  524288 both TCP, all pods
cilium_ct6_global            LRU_HASH          38  56  524288 both TCP, all pods
cilium_ct_any4_global        LRU_HASH          14  56  262144 both all but TCP, all pods
cilium_ct_any6_global        LRU_HASH          38  56  262144 both all but TCP, all pods
cilium_ct4_*                 LRU_HASH          14  56   64000 both one pod's, conntrack-local
cilium_ct6_*                 LRU_HASH          38  56   64000 both one pod's, conntrack-local
cilium_ct_any4_*             LRU_HASH          14  56   64000 both one pod's, conntrack-local
cilium_ct_any6_*             LRU_HASH          38  56   64000 both one pod's, conntrack-local
cilium_per_cluster_ct_tcp4   ARRAY_OF_MAPS      4   4     256 1.18 tables by cluster id
cilium_per_cluster_ct_tcp6   ARRAY_OF_MAPS      4   4     256 1.18 tables by cluster id
cilium_per_cluster_ct_any4   ARRAY_OF_MAPS      4   4     256 1.18 tables by cluster id
cilium_per_cluster_ct_any6   ARRAY_OF_MAPS      4   4     256 1.18 tables by cluster id
[nat]
cilium_snat_v4_external      LRU_HASH          14  40  524288 both sources translated on the way out
cilium_snat_v6_external      LRU_HASH          38  56  524288 both sources translated on the way out
cilium_snat_v4_alloc_retries PERCPU_ARRAY       4   4      33 1.18 how many tries a port took
cilium_snat_v6_alloc_retries PERCPU_ARRAY       4   4      33 1.18 how many tries a port took
cilium_ipmasq_v4             LPM_TRIE           8   1   16384 both networks not masqueraded
cilium_egress_gw_policy_v4   LPM_TRIE           -   -   16384 1.18 traffic by gateway
[load balancing]
cilium_lb4_services_v2       HASH              12  12   65536 both service, slot to backend
cilium_lb6_services_v2       HASH              24  12   65536 both service, slot to backend
cilium_lb4_backends          HASH               2   8   65536  1.9 backend id to address
cilium_lb6_backends          HASH               2  20   65536  1.9 backend id to address
cilium_lb4_backends_v3       HASH               4  12   65536 1.18 backend id to address
cilium_lb6_backends_v3       HASH               4  24   65536 1.18 backend id to address
cilium_lb4_reverse_nat       HASH               2   6   65536 both service id to address
cilium_lb6_reverse_nat       HASH               2  18   65536 both service id to address
cilium_lb4_affinity          LRU_HASH          16  16   65536 both client to the backend it had last
cilium_lb6_affinity          LRU_HASH          24  16   65536 both client to the backend it had last
cilium_lb_affinity_match     HASH               8   1   65536 both backends of a service
cilium_lb4_source_range      LPM_TRIE          12   1   65536 both who may reach a service
cilium_lb6_source_range      LPM_TRIE          24   1   65536 both who may reach a service
cilium_lb4_maglev            HASH_OF_MAPS       2   4   65536 both service id to its Maglev table
cilium_lb6_maglev            HASH_OF_MAPS       2   4   65536 both service id to its Maglev table
cilium_lb4_health            LRU_HASH           8   -       - both health checks under way
cilium_lb6_health            LRU_HASH           8   -       - both health checks under way
cilium_lb4_reverse_sk        LRU_HASH          16   8  262144 both socket to the address it meant
cilium_lb6_reverse_sk        LRU_HASH           -   -  262144 both socket to the address it meant
cilium_skip_lb4              HASH               -   -     100 1.18 not load-balanced
cilium_skip_lb6              HASH               -   -     100 1.18 not load-balanced
cilium_lb_act                LRU_HASH           -   -       - 1.18 active connections by service
cilium_nodeport_neigh4       LRU_HASH           4   8  524288 both link addresses of clients
cilium_nodeport_neigh6       LRU_HASH          16   8  524288 both link addresses of clients
[network policy]
cilium_policy_*              HASH               8  24   16384  1.9 what one endpoint allows
cilium_policy_v2_*           LPM_TRIE          12   8   16384 1.18 what one endpoint allows
cilium_policy_v3_*           LPM_TRIE          12  12   16384 1.18 what one endpoint allows
cilium_policystats           LRU_PERCPU_HASH    -   -   65536 1.18 packets by policy rule
cilium_ep_to_policy          HASH_OF_MAPS      20   4   65536  1.9
cilium_auth_map              HASH               -   -  524288 1.18
[endpoints and addresses]
cilium_lxc                   HASH              20  48   65535 both address to local endpoint
cilium_ipcache               LPM_TRIE          24  12  512000  1.9 address to security identity
cilium_ipcache_v2            LPM_TRIE          24  24  512000 1.18 address to security identity
cilium_tunnel_map            HASH              20  20   65536  1.9 pod network to node
cilium_node_map_v2           HASH              20   -   16384 1.18
cilium_vtep_map              HASH               -   -       - 1.18
cilium_l2_responder_v4       HASH               -   -    4096 1.18
[events, metrics, etc]
cilium_events                PERF_EVENT_ARRAY   4   4       - both drops and traces, a slot per CPU
cilium_signals               PERF_EVENT_ARRAY   4   4       - both calls for the GC, a slot per CPU
cilium_metrics               PERCPU_HASH        8  16    1024 both packets and bytes by reason
cilium_ipv4_frag_datagrams   LRU_HASH          12   4    8192 both ports of fragmented datagrams
cilium_ipv6_frag_datagrams   LRU_HASH          40   4    8192 1.18
cilium_throttle              HASH               -   -   65535 both
cilium_runtime_config        ARRAY              4   -     256 1.18
cilium_ratelimit             LRU_HASH           -   -    1024 1.18
cilium_capture4_rules        HASH               -   -   16384 both
cilium_capture6_rules        HASH               -   -   16384 both
[encryption]
cilium_encrypt_state         ARRAY              4   1       1 both number of the IPsec key in use
"""


def _entries(inventory: str) -> Iterator[CatalogueEntry]:
    """The lines of the inventory; ``-`` stands for a number that varies."""
    group = Group.OTHER
    for line in inventory.splitlines():
        if line.startswith("#"):
            continue
        if line.startswith("["):
            group = Group(line[1:-1])
            continue
        name, kind, *rest = line.split(maxsplit=6)
        key, value, maximum = (None if word == "-" else int(word) for word in rest[:3])
        generations = BOTH if rest[3] == "both" else (Generation(rest[3]),)
        note = rest[4] if len(rest) > 4 else ""  # noqa: PLR2004 - the note is the last column
        yield CatalogueEntry(name, group, MapType[kind], key, value, maximum, generations, note)


CATALOGUE = tuple(_entries(_INVENTORY))
"""Every map of the article and of cilium.md's inventory."""


@cache
def _pattern(name: str) -> re.Pattern[str]:
    """Ids are printed with ``%05d``; XDP call maps end in nothing or in an interface's id."""
    digits = r"(?:_[0-9]{5,})?" if name.endswith("xdp*") else r"[0-9]{5,}"
    return re.compile(digits.join(re.escape(part) for part in name.split("*")))


def _means(name: str, listed: str) -> bool:
    """Whether a pin's name is one of the inventory's."""
    start, star, _ = listed.partition("*")
    if not star:
        return name == listed
    # Few names begin so, and a pattern's first use costs more than all the comparisons.
    return name.startswith(start) and _pattern(listed).fullmatch(name) is not None


def classify(name: str, live: MapInfo | MapSpec | None = None) -> CatalogueEntry | None:
    """Which of Cilium's maps a pin's name means; None where it is none of them.

    ``live`` decides between generations that share a name; without it the first one listed,
    the older, is taken.
    """
    found = [entry for entry in CATALOGUE if _means(name, entry.name)]
    fitting = [entry for entry in found if live is not None and entry.matches(live)]
    return next(iter(fitting or found), None)


_SIZED = {
    "bpf-ct-global-tcp-max": ("cilium_ct4_global", "cilium_ct6_global"),
    "bpf-ct-global-any-max": ("cilium_ct_any4_global", "cilium_ct_any6_global"),
    "bpf-nat-global-max": ("cilium_snat_v4_external", "cilium_snat_v6_external"),
    "bpf-fragments-map-max": ("cilium_ipv4_frag_datagrams",),
}

_OPTION_OF = {name: option for option, names in _SIZED.items() for name in names}


def option_of(pin_name: str) -> str | None:
    """The option a map's capacity follows, None where it is fixed or per endpoint."""
    return _OPTION_OF.get(pin_name)


def pins_sized_by(option: str) -> tuple[str, ...]:
    """The maps whose capacity follows an option."""
    return _SIZED.get(option, ())


def twins_of(pin_name: str) -> tuple[str, ...]:
    """The other maps that the same option sizes."""
    same = _SIZED.get(_OPTION_OF.get(pin_name, ""), ())
    return tuple(name for name in same if name != pin_name)


def size_limits(pin_name: str) -> tuple[int, int]:
    """Fewest and most entries that a map may be given, whoever asks and by whatever way."""
    strict = group_of(pin_name) in {Group.CONNTRACK, Group.NAT}
    return LIMIT_TABLE_MIN if strict else 1, LIMIT_TABLE_MAX


def check_size(pin_name: str, max_entries: int) -> None:
    """See that a map may be given a size.

    Raises:
        UsageError: it may not; says what it may.
    """
    low, high = size_limits(pin_name)
    if not low <= max_entries <= high:
        raise UsageError(
            f"{max_entries} entries for {pin_name} is out of range",
            hint=f"Give {low} to {high}",
        )


NOT_USED = "not used by this datapath"
"""What is said of a map that is there because Cilium has it, and that no program refers to."""


def use_of(programs: int | None) -> str:
    """Who uses a map, in words; empty where it is not known.

    Args:
        programs: how many programs in the kernel refer to it.
    """
    if programs is None:
        return ""
    if not programs:
        return NOT_USED
    return f"{programs} program{'' if programs == 1 else 's'}"


def group_of(name: str) -> Group:
    """The group of a pin's name; `Group.OTHER` for maps that are not Cilium's."""
    entry = classify(name)
    return entry.group if entry else Group.OTHER


def find(name: str, generation: Generation = Generation.V1_9) -> CatalogueEntry:
    """The entry of exactly this name in a generation.

    Raises:
        KeyError: there is none; the names are written in the program, not by a user.
    """
    for entry in CATALOGUE:
        if entry.name == name and generation in entry.generations:
            return entry
    raise KeyError(name)


_BEFORE: Final = ("cilium_", "cilium_ct_")
_AFTER: Final = ("", "_global", "_external")


def is_called(name: str, word: str) -> bool:
    """Whether a word means the map of that name: all of it, or its short form.

    ``ct4`` and ``ct4_global`` mean cilium_ct4_global, ``any4`` cilium_ct_any4_global, ``snat_v4``
    cilium_snat_v4_external.
    """
    return name == word or name in {
        f"{before}{word}{after}" for before in _BEFORE for after in _AFTER
    }


def short_name(name: str) -> str:
    """The short form by which a map is told: ``ct4`` for cilium_ct4_global."""
    return name.removeprefix("cilium_").removesuffix("_global")
