"""What the kernel charges a map, and how many entries a map really takes.

Source: ``htab_map_mem_usage``, ``array_map_mem_usage``, ``trie_mem_usage`` and
``bpf_lru_list.c`` of Linux 6.18; fdinfo's ``memlock`` of maps of every type made there.
"""

from __future__ import annotations

from dataclasses import replace
from mmap import PAGESIZE
from typing import TYPE_CHECKING, Final

from ctconsole.model.spec import MapFlag, MapType

if TYPE_CHECKING:
    from ctconsole.model.spec import MapInfo, MapSpec

LRU_BATCH: Final = 128
"""Nodes a CPU takes from the common free list of an LRU map at once (``LOCAL_FREE_TARGET``)."""

_TABLE: Final = 896
"""``struct bpf_htab`` with the locks of its buckets."""

_ARRAY: Final = 312
"""``struct bpf_array``."""

_TRIE_NODE: Final = 24
"""``struct lpm_trie_node`` before its data: two children, a prefix length and flags. Until Linux
6.12 an ``rcu_head`` of 16 bytes more stood in it."""

_ELEMENT: Final = 48
"""``struct htab_elem`` before its key."""

_BUCKET: Final = 16
_LIST_NODE: Final = 8
_POINTER: Final = 8


def map_memory(spec: MapSpec | MapInfo, cpus: int, entries: int = 0) -> int:
    """Estimated bytes a hash, array or trie is charged.

    Args:
        spec: the map.
        cpus: possible CPUs of the machine.
        entries: how many entries it holds; counts where they are not allocated beforehand.
    """
    if spec.type in {MapType.ARRAY, MapType.PERCPU_ARRAY}:
        return _array_memory(spec, cpus)
    if spec.type is MapType.LPM_TRIE:
        return entries * (_TRIE_NODE + spec.key_size - 4 + spec.value_size)
    return _hash_memory(spec, cpus, entries)


def _array_memory(spec: MapSpec | MapInfo, cpus: int) -> int:
    value = round_up(spec.value_size, 8)
    if spec.type is MapType.PERCPU_ARRAY:
        return _ARRAY + spec.max_entries * (_POINTER + value * cpus)
    if spec.flags & MapFlag.MMAPABLE:
        # What can be mapped begins at a page of its own.
        return round_up(_ARRAY, PAGESIZE) + round_up(spec.max_entries * value, PAGESIZE)
    return _ARRAY + spec.max_entries * value


def _hash_memory(spec: MapSpec | MapInfo, cpus: int, entries: int) -> int:
    maximum = rounded_entries(spec, spec.max_entries, cpus)
    per_cpu = spec.type.is_per_cpu
    value = round_up(spec.value_size, 8)
    element = _ELEMENT + round_up(spec.key_size, 8) + (_POINTER if per_cpu else value)
    if per_cpu:
        element += value * cpus
    buckets = _TABLE + (_BUCKET << max(0, maximum - 1).bit_length())
    if spec.flags & MapFlag.NO_PREALLOC:
        more = _LIST_NODE + ((_LIST_NODE + _POINTER) if per_cpu else 0)
        return buckets + entries * (element + more)
    # Every CPU has a spare element, with which it replaces one without asking the list; what is
    # for each CPU is replaced in place.
    spare = 0 if spec.type.is_lru or per_cpu else cpus
    return buckets + (maximum + spare) * element


def rounded_entries(spec: MapSpec | MapInfo, wished: int, cpus: int) -> int:
    """What the kernel makes of a capacity: each CPU's share of a distributed LRU is whole."""
    if spec.type.is_lru and spec.flags & MapFlag.NO_COMMON_LRU:
        return round_up(wished, cpus)
    return wished


def room(spec: MapSpec | MapInfo, cpus: int) -> int:
    """Entries that can be stored one after the other, from any CPU, before one is thrown out.

    A common LRU hands its free nodes out in batches, of which every CPU may hold one, and tops
    a last, short batch up by evicting. A distributed one has a pool for each CPU, and the
    entries are spread over the CPUs by a hash, so that one pool fills up before the others.
    """
    if not spec.type.is_lru:
        return spec.max_entries
    maximum = rounded_entries(spec, spec.max_entries, cpus)
    if spec.flags & MapFlag.NO_COMMON_LRU:
        pool = maximum // cpus
        return max(0, cpus * (pool - spread(pool, cpus) - LRU_BATCH))
    return max(0, maximum // LRU_BATCH * LRU_BATCH - LRU_BATCH * cpus)


def is_full(info: MapInfo, entries: int, cpus: int) -> bool:
    """Whether a table takes nothing more without throwing something out, or not at all.

    Args:
        info: the map; one whose maximum is not known is not full.
        entries: how many it holds.
        cpus: possible CPUs of the machine, 0 where not known.
    """
    space = room(info, max(1, cpus)) if info.max_entries else 0
    return bool(space) and entries >= space


def spread(pool: int, cpus: int) -> int:
    """By how much the fullest of the CPUs' pools exceeds the mean: five standard deviations."""
    return 0 if cpus == 1 else int(5 * pool**0.5) + 1


def smallest(spec: MapSpec | MapInfo, entries: int, cpus: int) -> int:
    """The smallest capacity, a multiple of 128, whose `room` is ``entries`` or more."""
    step = LRU_BATCH * cpus if spec.type.is_lru else LRU_BATCH
    capacity = round_up(max(entries, 1), step)
    while room(replace(spec, max_entries=capacity), cpus) < entries:
        capacity += step
    return capacity


def round_up(value: int, step: int) -> int:
    """The next multiple of ``step``."""
    return -(-value // step) * step
