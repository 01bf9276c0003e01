"""Services in real maps, and what a reader sees while they change."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from ctconsole.config import AgentConfig
from ctconsole.errors import UsageError
from ctconsole.kernel import mapwrite
from ctconsole.manager.init_maps import init_maps
from ctconsole.manager.rows import read_rows
from ctconsole.manager.services import check_service, read_maglev, sync_services
from ctconsole.model.plane.service import Algorithm, Backend, Service, ServiceTable
from ctconsole.model.plane.service_rows import is_frontend, lb_rows
from ctconsole.paths import GLOBALS

if TYPE_CHECKING:
    from pathlib import Path

    from ctconsole.kernel.gate import Gate
    from ctconsole.kernel.maps import BpfMap

OPTIONS = {
    "bpf-ct-global-tcp-max": "1024",
    "bpf-ct-global-any-max": "1024",
    "preallocate-bpf-maps": "false",
    "enable-session-affinity": "true",
    "bpf-lb-algorithm": "maglev",
    "bpf-lb-maglev-table-size": "251",
}
ONE, TWO = Backend.parse("10.5.5.5:80"), Backend.parse("10.5.5.6:80")
WEB = Service(
    "web", Backend.parse("10.96.0.10:80"), (ONE, TWO), affinity=60, algorithm=Algorithm.MAGLEV
)
SIX = Service(
    "six",
    Backend.parse("[fd00::a]:80"),
    (Backend.parse("[fd00::5]:80"),),
    algorithm=Algorithm.MAGLEV,
)


@pytest.fixture
def root(gate: Gate, bpffs: Path) -> Path:
    init_maps(gate, AgentConfig.from_options(OPTIONS), bpffs, [])
    return bpffs


def test_maps_hold_exactly_the_services(gate: Gate, root: Path) -> None:
    table = ServiceTable().with_service(WEB).with_service(SIX)
    sync_services(gate, root, table, 251)
    folder = root / GLOBALS
    for family in (4, 6):
        wish = lb_rows(table, family, 251)
        assert read_rows(folder / f"cilium_lb{family}_services_v2") == wish.slots | wish.frontends
        assert read_rows(folder / f"cilium_lb{family}_backends") == wish.backends
        assert read_rows(folder / f"cilium_lb{family}_reverse_nat") == wish.reverse_nat
        assert read_maglev(folder / f"cilium_lb{family}_maglev") == wish.maglev
    assert len(read_rows(folder / "cilium_lb_affinity_match")) == 2


def test_a_service_that_goes_leaves_nothing(gate: Gate, root: Path) -> None:
    table = ServiceTable().with_service(WEB).with_service(SIX)
    sync_services(gate, root, table, 251)
    sync_services(gate, root, table.without("web").without("six"), 251)
    left = [path.name for path in (root / GLOBALS).glob("cilium_lb*") if read_rows(path)]
    assert left == []


def test_what_is_right_already_is_not_written(
    gate: Gate, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = ServiceTable().with_service(WEB)
    sync_services(gate, root, table, 251)
    written: list[str] = []

    def spy(_: Gate, live: BpfMap, *_more: object) -> None:
        written.append(live.subject)

    monkeypatch.setattr(mapwrite, "update", spy)
    sync_services(gate, root, table, 251)
    assert written == []


def test_no_reader_ever_sees_half_a_service(
    gate: Gate, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After every single write each frontend's slots, backends, id and table are there."""
    update, delete = mapwrite.update, mapwrite.delete
    looks = 0

    def look() -> None:
        nonlocal looks
        folder = root / GLOBALS
        rows = read_rows(folder / "cilium_lb4_services_v2")
        backends = read_rows(folder / "cilium_lb4_backends")
        for key, value in rows.items():
            if not is_frontend(key):
                continue
            looks += 1
            for slot in range(1, int.from_bytes(value[4:6], sys.byteorder) + 1):
                row = rows[key[:6] + slot.to_bytes(2, sys.byteorder) + key[8:]]
                assert row[:2] in backends
            assert value[6:8] in read_rows(folder / "cilium_lb4_reverse_nat")
            table = read_maglev(folder / "cilium_lb4_maglev")[value[6:8]]
            ids = {table[at : at + 2] for at in range(0, len(table), 2)}
            assert ids <= set(backends)

    def spying_update(gate: Gate, live: BpfMap, key: bytes, value: bytes, flags: int = 0) -> None:
        update(gate, live, key, value, flags)
        look()

    def spying_delete(gate: Gate, live: BpfMap, key: bytes) -> bool:
        found = delete(gate, live, key)
        look()
        return found

    monkeypatch.setattr(mapwrite, "update", spying_update)
    monkeypatch.setattr(mapwrite, "delete", spying_delete)
    table = ServiceTable().with_service(WEB)
    sync_services(gate, root, table, 251)
    shrunk = table.with_service(Service("web", WEB.frontend, (TWO,), algorithm=Algorithm.MAGLEV))
    sync_services(gate, root, shrunk, 251)
    sync_services(gate, root, table, 251)
    sync_services(gate, root, shrunk.without("web"), 251)
    assert looks > 10


def test_what_the_node_does_not_serve_is_refused_with_the_option() -> None:
    plain = AgentConfig.from_options({"enable-ipv6": "false"})
    random = Service("web", WEB.frontend, (ONE,))
    check_service(plain, random)
    with pytest.raises(UsageError, match="enable-ipv6=true"):
        check_service(plain, SIX)
    with pytest.raises(UsageError, match="bpf-lb-algorithm=maglev"):
        check_service(plain, Service("web", WEB.frontend, (ONE,), algorithm=Algorithm.MAGLEV))
    with pytest.raises(UsageError, match="enable-session-affinity=true"):
        check_service(plain, Service("web", WEB.frontend, (ONE,), affinity=60))
