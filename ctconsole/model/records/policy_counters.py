"""The packets and bytes of policy rules that 1.18 and later count in a map of their own.

Source: ``StatsMap.GetStat`` of ``pkg/maps/policymap/statsmap.go``.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from ctconsole.model.records.cells import COUNTER_CELLS, POLICY_CELLS
from ctconsole.model.records.structs import POLICY_STATIC_PREFIX, POLICY_STATS_KEY

if TYPE_CHECKING:
    import numpy.typing as npt

    from ctconsole.model.records.spec import RecordSpec
    from ctconsole.model.records.table import RecordTable

    Records: TypeAlias = npt.NDArray[Any]

NOT_COUNTED: Final = (1 << 64) - 1
"""What stands for packets and bytes of a rule without statistics (``StatNotAvailable``)."""

_COUNTERS: Final = ("packets", "bytes")


def is_counted(policy: RecordTable) -> bool:
    """Whether the entries of a policy map say their packets and bytes."""
    return "packets" in (policy.spec.value.names or ())


def endpoint_id(policy: RecordTable) -> int:
    """The endpoint a policy map belongs to, from its name."""
    return int(policy.info.label.rsplit("_", 1)[-1])


def counted(policy: RecordTable, statistics: RecordTable | None) -> RecordTable:
    """A policy map with ``packets`` and ``bytes`` in its values.

    Args:
        policy: a map whose entries count nothing themselves.
        statistics: ``cilium_policystats`` of its node, None where it is not at hand.

    Returns:
        The table, in which rules without statistics have `NOT_COUNTED` packets and bytes.
    """
    values = np.zeros(len(policy), _with_counters(policy.spec.value))
    for name in policy.spec.value.names or ():
        values[name] = policy.values[name]
    rows, found = _places(policy, statistics)
    for name in _COUNTERS:
        values[name] = NOT_COUNTED
        if statistics is not None and found.any():
            values[name][found] = statistics.values[name][rows[found]]
    values.flags.writeable = False
    return replace(policy, spec=_counting(policy.spec), values=values)


def _places(
    policy: RecordTable, statistics: RecordTable | None
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.bool_]]:
    """For each rule the row of its statistics, and whether it has any."""
    if statistics is None or not len(statistics):
        return np.zeros(len(policy), np.intp), np.zeros(len(policy), np.bool_)
    kept = _bytes(statistics.keys)
    order = np.argsort(kept)
    wanted = _bytes(_keys(policy))
    at = np.minimum(np.searchsorted(kept, wanted, sorter=order), len(kept) - 1)
    rows = order[at]
    return rows, kept[rows] == wanted


def _keys(policy: RecordTable) -> Records:
    """The keys under which the rules are counted."""
    keys = np.zeros(len(policy), POLICY_STATS_KEY)
    keys["endpoint_id"] = endpoint_id(policy) & 0xFFFF
    keys["prefix_len"] = (policy.keys["prefixlen"] - np.uint32(POLICY_STATIC_PREFIX)) & 0xFF
    for name in ("sec_label", "egress", "protocol", "dport"):
        keys[name] = policy.keys[name]
    return keys


def _bytes(keys: Records) -> Records:
    return np.ascontiguousarray(keys).view(f"S{keys.dtype.itemsize}")


def _with_counters(value: np.dtype[np.void]) -> np.dtype[np.void]:
    fields = {name: (field[0], field[1]) for name, field in (value.fields or {}).items()}
    fields |= {
        name: (np.dtype("<u8"), value.itemsize + 8 * place) for place, name in enumerate(_COUNTERS)
    }
    return np.dtype(
        {
            "names": list(fields),
            "formats": [form for form, _ in fields.values()],
            "offsets": [offset for _, offset in fields.values()],
            "itemsize": value.itemsize + 8 * len(_COUNTERS),
        }
    )


def _counting(spec: RecordSpec) -> RecordSpec:
    rest = spec.cells[len(POLICY_CELLS) :]
    cells = (*POLICY_CELLS, *COUNTER_CELLS, *rest)
    return replace(spec, value=_with_counters(spec.value), cells=cells)
