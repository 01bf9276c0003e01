"""What a map should be (`MapSpec`), what a map is (`MapInfo`), and how the two differ.

The five properties compared are the ones Cilium compares: ``objCheck`` in
``pkg/bpf/bpf_linux.go`` (1.9) and ``MapSpec.Compatible`` of cilium/ebpf (1.14 and later).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import PurePath


class MapType(IntEnum):
    """``enum bpf_map_type`` of ``include/uapi/linux/bpf.h`` (Linux 6.18)."""

    UNSPEC = 0
    HASH = 1
    ARRAY = 2
    PROG_ARRAY = 3
    PERF_EVENT_ARRAY = 4
    PERCPU_HASH = 5
    PERCPU_ARRAY = 6
    STACK_TRACE = 7
    CGROUP_ARRAY = 8
    LRU_HASH = 9
    LRU_PERCPU_HASH = 10
    LPM_TRIE = 11
    ARRAY_OF_MAPS = 12
    HASH_OF_MAPS = 13
    DEVMAP = 14
    SOCKMAP = 15
    CPUMAP = 16
    XSKMAP = 17
    SOCKHASH = 18
    CGROUP_STORAGE = 19
    REUSEPORT_SOCKARRAY = 20
    PERCPU_CGROUP_STORAGE = 21
    QUEUE = 22
    STACK = 23
    SK_STORAGE = 24
    DEVMAP_HASH = 25
    STRUCT_OPS = 26
    RINGBUF = 27
    INODE_STORAGE = 28
    TASK_STORAGE = 29
    BLOOM_FILTER = 30
    USER_RINGBUF = 31
    CGRP_STORAGE = 32
    ARENA = 33
    INSN_ARRAY = 34

    @classmethod
    def _missing_(cls, value: object) -> MapType | None:
        """A type newer than this list keeps its number, so that listing never fails."""
        if not isinstance(value, int):
            return None
        member = int.__new__(cls, value)
        member._name_ = f"TYPE_{value}"
        member._value_ = value
        return member

    @property
    def is_lru(self) -> bool:
        """Whether the kernel evicts the least recently used entry of a full map."""
        return self in {MapType.LRU_HASH, MapType.LRU_PERCPU_HASH}

    @property
    def is_per_cpu(self) -> bool:
        """Whether a lookup answers with one value for each possible CPU."""
        return self in {MapType.PERCPU_HASH, MapType.PERCPU_ARRAY, MapType.LRU_PERCPU_HASH}

    @property
    def is_hash(self) -> bool:
        """Whether the kernel can count the elements (``bpf_map_sum_elem_count``, Linux 6.6)."""
        return self in {
            MapType.HASH,
            MapType.LRU_HASH,
            MapType.PERCPU_HASH,
            MapType.LRU_PERCPU_HASH,
            MapType.HASH_OF_MAPS,
        }

    @property
    def holds_maps(self) -> bool:
        """Whether the values are other maps, so that creation needs an inner map."""
        return self in {MapType.ARRAY_OF_MAPS, MapType.HASH_OF_MAPS}


class MapFlag(IntFlag):
    """``map_flags`` of BPF_MAP_CREATE, the ones Cilium uses."""

    NO_PREALLOC = 1
    NO_COMMON_LRU = 2
    NUMA_NODE = 4
    RDONLY_PROG = 0x80
    MMAPABLE = 0x400
    INNER_MAP = 0x1000


@dataclass(frozen=True, slots=True)
class MapSpec:
    """A wish: the properties a map is to be created with.

    Attributes:
        name: pin name, e.g. ``cilium_ct4_global``; the kernel keeps 15 characters of it.
        type: map type.
        key_size: bytes.
        value_size: bytes; for per-CPU maps of one CPU's value.
        max_entries: capacity.
        flags: ``map_flags``.
        inner: what maps inside an ARRAY_OF_MAPS or HASH_OF_MAPS look like.
    """

    name: str
    type: MapType
    key_size: int
    value_size: int
    max_entries: int
    flags: int = 0
    inner: MapSpec | None = None


@dataclass(frozen=True, slots=True)
class MapInfo:
    """A fact: what the kernel says of a live map (BPF_OBJ_GET_INFO_BY_FD and fdinfo).

    Attributes:
        id: kernel map id; never reused while the machine runs.
        name: kernel name, at most 15 characters; identify Cilium's maps by `pin` instead.
        type: map type.
        key_size: bytes.
        value_size: bytes, of one CPU.
        max_entries: capacity.
        flags: ``map_flags``.
        memlock: bytes charged to the map, None where fdinfo does not tell.
        pin: where it is pinned, None for an unpinned map.
    """

    id: int
    name: str
    type: MapType
    key_size: int
    value_size: int
    max_entries: int
    flags: int = 0
    memlock: int | None = None
    pin: PurePath | None = None

    @property
    def is_distributed(self) -> bool:
        """Whether each CPU has its own share of the nodes (``BPF_F_NO_COMMON_LRU``)."""
        return self.type.is_lru and bool(self.flags & MapFlag.NO_COMMON_LRU)

    @property
    def label(self) -> str:
        """The pin's file name where there is one, else the kernel's short name."""
        return self.pin.name if self.pin else self.name


@dataclass(frozen=True, slots=True)
class Difference:
    """One property in which a live map is not what it should be.

    Attributes:
        property: Cilium's word for it, as its log line starts: ``Max entries``, ``Map type``,
            ``Key-size``, ``Value-size``, ``Flags``.
        old: the live map's number.
        new: the wished one.
    """

    property: str
    old: int
    new: int


def differences(live: MapInfo | MapSpec, wish: MapSpec) -> tuple[Difference, ...]:
    """Everything in which ``live`` is not ``wish``, in the order ``objCheck`` compares."""
    pairs = (
        ("Map type", int(live.type), int(wish.type)),
        ("Key-size", live.key_size, wish.key_size),
        ("Value-size", live.value_size, wish.value_size),
        ("Max entries", live.max_entries, wish.max_entries),
        ("Flags", live.flags, wish.flags),
    )
    return tuple(Difference(name, old, new) for name, old, new in pairs if old != new)


def spec_of(info: MapInfo, *, max_entries: int | None = None) -> MapSpec:
    """The spec that would create a map like ``info``, or one of another capacity."""
    return MapSpec(
        name=info.label,
        type=info.type,
        key_size=info.key_size,
        value_size=info.value_size,
        max_entries=info.max_entries if max_entries is None else max_entries,
        flags=info.flags,
    )
