"""What is known of the pinned maps of a node: the rows that lists and checks are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterable
    from pathlib import Path

    from ctconsole.kernel.counts import Count
    from ctconsole.model.spec import MapInfo


def programs_by_map() -> Counter[int]:
    """How many programs use each map, by its id."""
    from collections import Counter

    from ctconsole.kernel.maps import all_programs

    return Counter(number for program in all_programs() for number in program.map_ids)


def describe(maps: Iterable[MapInfo], users: Counter[int] | None = None) -> list[dict[str, Any]]:
    """Facts, fill and group of maps, as JSON shows them, grouped as the article groups them.

    Args:
        maps: the maps.
        users: `programs_by_map`, where it is known already.
    """
    from ctconsole.kernel.counts import count_maps, open_counter
    from ctconsole.model.catalogue import Group, classify, use_of

    maps = list(maps)
    counter = open_counter()
    try:
        counts = count_maps(maps, counter)
    finally:
        if counter:
            counter.close()
    users = programs_by_map() if users is None else users
    order = {group: number for number, group in enumerate(Group)}
    rows = []
    for info in maps:
        entry = classify(info.label, info)
        group = entry.group if entry else Group.OTHER
        row = _row(info, counts.get(info.id), group, entry.note if entry else "")
        row |= {"program_count": users[info.id], "use": use_of(users[info.id])}
        rows.append((order[group], row))
    return [row for _, row in sorted(rows, key=lambda pair: (pair[0], pair[1]["name"]))]


def with_older(
    rows: list[dict[str, Any]], users: Counter[int], bpf_root: Path, state_dir: Path | None
) -> list[dict[str, Any]]:
    """The same, with the older generation of a map where programs use one."""
    if not rows or users.keys() <= {row["id"] for row in rows}:
        return rows
    from ctconsole.observe.usage import in_use, older_in_use

    for usage in older_in_use(bpf_root, lambda: _history(bpf_root, state_dir)):
        row = next((row for row in rows if row["path"] == str(usage.path)), None)
        older = usage.older
        # Another map may have taken the pin since it was listed.
        if row is None or older is None or row["id"] != usage.pinned.map.id:
            continue
        row["use"] = in_use(usage)
        row["older"] = {
            "id": older.map.id,
            "max_entries": older.map.max_entries,
            "since": usage.since,
            "programs": [
                {"id": user.program.id, "name": user.program.called} for user in older.live_users
            ],
        }
    return rows


def _history(bpf_root: Path, state_dir: Path | None) -> Path:
    """The history of the agent that looks after the maps, else the one that consoles write."""
    from ctconsole.agent.state import StateDir, default_state_dir
    from ctconsole.node.owner import agent_of
    from ctconsole.paths import GLOBALS

    own = agent_of(bpf_root / GLOBALS / "any", state_dir)
    return StateDir(state_dir or (own.state_dir if own else default_state_dir())).history


def with_full(
    rows: list[dict[str, Any]], maps: list[MapInfo], bpf_root: Path, state_dir: Path | None
) -> list[dict[str, Any]]:
    """The same, with what a full table does to what comes, and since when as far as was counted."""
    import time

    from ctconsole.kernel.cpus import possible_cpus
    from ctconsole.model.memory import is_full

    infos, cpus, now = {info.id: info for info in maps}, possible_cpus(), time.time()
    past = None
    for row in rows:
        info, entries = infos[row["id"]], row["entries"]
        row["full"] = row["full_since"] = None
        if entries is None or not info.type.is_hash:
            continue
        row["full"] = is_full(info, entries, cpus)
        if row["full"]:
            from ctconsole.model.fullness import fullness
            from ctconsole.node.advising import fills_of

            past = past if past is not None else fills_of(_history(bpf_root, state_dir))
            trend = (*past.get(str(info.pin), ()), (now, entries))
            found = fullness(info, trend, cpus)
            assert found is not None  # noqa: S101 - it is full
            row["full_since"] = found.since if found.since_text else None
            row["use"] = f"{row['use']}; {found.text}"
    return rows


def _row(info: MapInfo, count: Count | None, group: str, note: str) -> dict[str, Any]:
    bounded = count is not None and (info.type.is_hash or info.type.name == "LPM_TRIE")
    return {
        "name": info.label,
        "path": str(info.pin) if info.pin else None,
        "id": info.id,
        "type": info.type.name,
        "key_size": info.key_size,
        "value_size": info.value_size,
        "entries": count.entries if count else None,
        "entries_exact": not count.walked if count else None,
        "max_entries": info.max_entries,
        "fill": round(count.entries / info.max_entries, 6) if count and bounded else None,
        "flags": info.flags,
        "memory": info.memlock,
        "group": str(group),
        "note": note,
    }
