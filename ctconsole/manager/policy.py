"""``cilium_policy_<endpoint>``: what an endpoint may exchange with whom."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ctconsole.manager.rows import delete_rows, read_rows, store_rows
from ctconsole.model.plane.encode import changes
from ctconsole.paths import GLOBALS

if TYPE_CHECKING:
    from pathlib import Path

    from ctconsole.kernel.gate import Gate
    from ctconsole.model.plane.encode import StoredRows
    from ctconsole.model.plane.policy import EndpointPolicy

_VERDICT_BYTES = 3
"""Bytes of a value that a rule decides: proxy port and deny bit. The rest counts packets."""


def sync_policy(
    gate: Gate, root: Path, endpoint_id: int, policy: EndpointPolicy, *, delete: bool = True
) -> None:
    """Make an endpoint's map hold exactly these rules; a rule that stays keeps its counters.

    What is allowed newly is stored before what is no longer is deleted, so that a rule that
    takes over from another leaves no gap.

    Args:
        gate: the write gate.
        root: the bpffs.
        endpoint_id: whose map.
        policy: what its rules come to.
        delete: False leaves what is no longer allowed, until programs that want it are gone.

    Raises:
        GoneError: the endpoint has no policy map.
        BpfError: the map is full: more rules than ``bpf-policy-map-max``.
    """
    path = root / GLOBALS / f"cilium_policy_{endpoint_id:05d}"
    now = read_rows(path)
    change = changes(_verdicts(now), _verdicts(policy.rows))
    store_rows(gate, path, {key: policy.rows[key] for key in change.stored})
    if delete:
        delete_rows(gate, path, change.deleted)


def _verdicts(rows: StoredRows) -> StoredRows:
    return {key: value[:_VERDICT_BYTES] for key, value in rows.items()}
