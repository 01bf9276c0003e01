from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from ctconsole.agent import control
from ctconsole.config import write_option
from ctconsole.kernel import mapwrite, pins
from ctconsole.kernel.bpffs import pinned_maps
from ctconsole.kernel.maps import BpfMap
from ctconsole.lab import look, topology
from ctconsole.model.spec import MapSpec, MapType, spec_of
from tests.support import flows

if TYPE_CHECKING:
    from pathlib import Path

    from ctconsole.kernel.gate import Gate
    from ctconsole.lab.folders import Lab


def keys(lab: Lab, name: str = look.TCP_MAP) -> set[bytes]:
    return {key.tobytes() for key in look.table(lab, name).keys}


def ids(lab: Lab) -> dict[Path, int]:
    return {path: info.id for path, info in pinned_maps(lab.globals).items()}


def put_in_place(gate: Gate, path: Path, spec: MapSpec) -> int:
    """Pin a map of these properties where another was; returns its id."""
    with mapwrite.create(gate, spec) as other:
        if path.exists():
            pins.unpin(gate, path)
        pins.pin(gate, other, path)
        return other.info.id


def warnings(lab: Lab, size: int, path: Path) -> list[str]:
    lines = look.log_since(lab, size)
    return [line for line in lines if f"file-path={path}" in line and "level=warning" in line]


def test_unchanged_sizes_keep_every_entry_and_every_persistent_map(lab: Lab) -> None:
    with flows.connections(lab, 40) as clients, flows.connections(lab, 10, topology.CLIENT):
        assert look.until(lambda: len(look.table(lab)) >= 60)
        before_keys, before_ids = keys(lab), ids(lab)
        before = control.status(lab.settings).pid
        assert control.restart(lab.settings).pid != before
        # The one map that is not persistent is removed at every start, and every generation of
        # programs has tail call maps of its own.
        changed = {path.name for path, number in ids(lab).items() if before_ids[path] != number}
        persistent = {name for name in changed if not name.startswith("cilium_calls_")}
        assert persistent == {"cilium_tunnel_map"}
        assert keys(lab) >= before_keys
        for client in clients:
            rows = look.entries(lab, look.Flow.of(client))
            packets = int(rows.values["rx_packets"][0])
            assert flows.talk(client).startswith(b"HTTP/1.1 200")
            assert look.until(
                lambda client=client, packets=packets: (  # type: ignore[misc]  # bound now
                    look.entries(lab, look.Flow.of(client)).values["rx_packets"][0] > packets
                )
            )


@pytest.mark.parametrize(
    ("property_name", "message"),
    [("key_size", "Key-size mismatch"), ("value_size", "Value-size mismatch")],
)
def test_another_key_or_value_size_is_removed_and_made_anew(
    lab: Lab, gate: Gate, property_name: str, message: str
) -> None:
    path = lab.globals / look.ANY_MAP
    right = look.map_info(lab, look.ANY_MAP)
    control.stop(lab.settings)
    wrong = getattr(right, property_name) + 8
    odd = put_in_place(gate, path, replace(spec_of(right), **{property_name: wrong}))
    size = look.log_size(lab)
    control.start(lab.settings)
    now = look.map_info(lab, look.ANY_MAP)
    assert now.id not in {odd, right.id}
    assert spec_of(now) == spec_of(right)
    said = warnings(lab, size, path)
    assert len(said) == 2
    assert f"{message} for BPF map" in said[0]
    assert f"new={wrong - 8} old={wrong}" in said[0]
    assert "Removing map to allow for property upgrade (expect map data loss)" in said[1]
    assert flows.echo(lab, b"x") == b"x"
    anew = look.table(lab, look.ANY_MAP)
    assert (~anew.related).sum() == 1


def test_a_program_array_that_does_not_match_is_left_alone(lab: Lab, gate: Gate) -> None:
    path = lab.globals / "cilium_call_policy"
    right = look.map_info(lab, path.name)
    control.stop(lab.settings)
    odd = put_in_place(gate, path, MapSpec(path.name, MapType.PROG_ARRAY, 4, 4, 4000))
    size = look.log_size(lab)
    control.start(lab.settings)
    with BpfMap.open(path) as now:
        assert (now.info.id, now.info.max_entries) == (odd, 4000)
    (said,) = warnings(lab, size, path)
    assert "Max entries mismatch for BPF map" in said
    assert f"new={right.max_entries} old=4000" in said


def test_with_conntrack_local_an_endpoint_has_tables_of_its_own(lab: Lab) -> None:
    own = {f"cilium_ct{kind}_{pod.id:05}" for pod in topology.PODS for kind in ("4", "_any4")}
    assert not own & {path.name for path in ids(lab)}
    write_option(lab.config_dir, "conntrack-local", "true")
    control.restart(lab.settings)
    try:
        assert own <= {path.name for path in ids(lab)}
        with flows.connections(lab, 1) as (client,):
            flow = look.Flow.of(client)
            server = topology.PODS[0]
            assert look.until(
                lambda: len(look.entries(lab, flow, f"cilium_ct4_{server.id:05}")) == 1
            )
            assert len(look.entries(lab, flow)) == 0
    finally:
        write_option(lab.config_dir, "conntrack-local", "false")
        control.restart(lab.settings)
