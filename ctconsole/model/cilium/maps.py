"""The agent's own list of its maps (``GET /v1/map``), as Cilium's ``map list`` prints it.

The agent tells what its caches hold, which is neither every pinned map nor what the kernel holds.

Source: ``BPFMapList`` of ``api/v1/openapi.yaml``; ``map_list.go`` and ``map_get.go`` of
``cilium/cmd`` (1.9) and ``cilium-dbg/cmd`` (1.18), which print alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ctconsole.errors import FormatError
from ctconsole.model.text.tabwriter import aligned


@dataclass(frozen=True, slots=True)
class CacheEntry:
    """One entry of a cache; ``state`` is what is to be done with it, ``error`` why it was not."""

    key: str
    value: str
    state: str
    error: str


@dataclass(frozen=True, slots=True)
class ApiMap:
    """One map; ``cache`` is None where the agent keeps none of it."""

    name: str
    cache: tuple[CacheEntry, ...] | None


def api_maps(answer: object, where: str) -> tuple[ApiMap, ...]:
    """The maps in an answer to ``/map``, in its order.

    Args:
        answer: the JSON document.
        where: names it in errors.

    Raises:
        FormatError: it has another shape.
    """
    if answer is None:
        return ()
    found = answer.get("maps") if isinstance(answer, Mapping) else answer
    if found is None:
        return ()
    if not isinstance(answer, Mapping) or not isinstance(found, list):
        raise FormatError(f"{where} is no list of maps: it has no array 'maps'")
    return tuple(_map(item, f"{where}: map {number}") for number, item in enumerate(found))


def maps_text(maps: tuple[ApiMap, ...]) -> str:
    """One line for each map, with the heading."""
    lines = [("Name", "Num entries", "Num errors", "Cache enabled")]
    for one in maps:
        cache = one.cache or ()
        errors = sum(bool(entry.error) for entry in cache)
        enabled = "false" if one.cache is None else "true"
        lines.append((one.name, str(len(cache)), str(errors), enabled))
    return aligned(lines)


def maps_verbose(maps: tuple[ApiMap, ...]) -> str:
    """Every map with what its cache holds, as ``map list --verbose`` prints it."""
    return "".join(f"## Map: {one.name}\n{_cache_text(one.cache)}\n" for one in maps)


def _cache_text(cache: tuple[CacheEntry, ...] | None) -> str:
    if not cache:
        return "Cache is disabled\n\n" if cache is None else "Cache is empty\n\n"
    heading = ("Key", "Value", "State", "Error")
    rows = ((entry.key, entry.value, entry.state, entry.error) for entry in cache)
    # A tab inside a cell ends it, for the tool's writer as for ours.
    return aligned(["\t".join(row).split("\t") for row in (heading, *rows)])


def _map(item: object, where: str) -> ApiMap:
    if not isinstance(item, Mapping):
        raise FormatError(f"{where} is no object")
    cache = item.get("cache")
    if cache is not None and not isinstance(cache, list):
        raise FormatError(f"{where} has a cache that is no array")
    # Go's path.Base: of an empty path it is a dot, and slashes at the end do not count.
    path = _text(item, "path", where)
    name = path.rstrip("/").rpartition("/")[2] or ("/" if path else ".")
    if cache is None:
        return ApiMap(name, None)
    # The tool passes over an entry that is null.
    return ApiMap(name, tuple(_entry(entry, where) for entry in cache if entry is not None))


def _entry(item: object, where: str) -> CacheEntry:
    if not isinstance(item, Mapping):
        raise FormatError(f"{where} has an entry that is no object")
    fields = ("key", "value", "desired-action", "last-error")
    return CacheEntry(*(_text(item, field, where) for field in fields))


def _text(item: Mapping[str, object], field: str, where: str) -> str:
    found = item.get(field)
    if found is None:
        return ""
    if not isinstance(found, str):
        raise FormatError(f"{where} has a {field} that is no text")
    return found
