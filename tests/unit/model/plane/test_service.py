from __future__ import annotations

import json
from ipaddress import ip_address

import pytest

from ctconsole.errors import FormatError, UsageError
from ctconsole.model.plane.encode import changes, key_of, value_of
from ctconsole.model.plane.service import Algorithm, Backend, Service, ServiceTable
from ctconsole.model.plane.service_rows import is_frontend, lb_rows

VIP = Backend.parse("10.96.0.10:80")
ONE, TWO, THREE = (Backend.parse(f"10.5.5.{host}:8080") for host in (5, 6, 7))
WEB = Service("web", VIP, (ONE, TWO))


@pytest.mark.parametrize("text", ["10.96.0.10:80", "[fd00::a]:443", "0.0.0.0:65535"])
def test_an_address_and_port_read_back_as_written(text: str) -> None:
    assert str(Backend.parse(text)) == text


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("10.96.0.10", "no port"),
        ("fd00::a:80", "no port"),
        ("10.96.0.300:80", "no IP address"),
        ("10.96.0.10:0", "0 in"),
        ("10.96.0.10:65536", "65536 in"),
        ("10.96.0.10:http", "http in"),
        ("10.96.0.10:٣", "is no port"),
    ],
)
def test_what_is_no_address_and_port_is_refused_in_words(text: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        Backend.parse(text)


def test_services_that_cannot_work_are_refused() -> None:
    with pytest.raises(UsageError, match="IP family"):
        Service("web", VIP, (Backend.parse("[fd00::5]:80"),))
    with pytest.raises(UsageError, match="twice"):
        Service("web", VIP, (ONE, ONE))
    with pytest.raises(UsageError, match="own backend"):
        Service("web", VIP, (VIP,))
    with pytest.raises(UsageError, match="cannot name"):
        Service("WEB!", VIP, (ONE,))


def test_ids_are_given_once_and_kept() -> None:
    table = ServiceTable().with_service(WEB)
    other = Service("api", Backend.parse("10.96.0.11:80"), (TWO, THREE))
    table = table.with_service(other)
    assert {name: one.id for name, one in table.services.items()} == {"api": 2, "web": 1}
    assert dict(table.backend_ids) == {ONE: 1, TWO: 2, THREE: 3}
    table = table.without("web")
    assert dict(table.backend_ids) == {TWO: 2, THREE: 3}, "a backend still used keeps its id"
    table = table.with_service(WEB)
    assert table.services["web"].id == 1
    assert table.backend_ids[ONE] == 1


def test_another_address_is_another_id() -> None:
    table = ServiceTable().with_service(WEB)
    moved = table.with_service(Service("web", Backend.parse("10.96.0.12:80"), (ONE,)))
    assert moved.services["web"].id == 2
    assert len(moved.services) == 1


def test_an_address_belongs_to_one_service() -> None:
    with pytest.raises(UsageError, match="service web's address"):
        ServiceTable().with_service(WEB).with_service(Service("api", VIP, (ONE,)))


def test_deleting_an_unknown_service_names_the_known() -> None:
    with pytest.raises(UsageError, match="Services: web"):
        ServiceTable().with_service(WEB).without("api")


def test_a_table_survives_json() -> None:
    six = Service("six", Backend.parse("[fd00::a]:80"), (Backend.parse("[fd00::5]:80"),))
    table = ServiceTable().with_service(WEB).with_service(six)
    assert ServiceTable.from_dict(json.loads(json.dumps(table.to_dict()))) == table


def test_damaged_json_is_a_format_error() -> None:
    with pytest.raises(FormatError):
        ServiceTable.from_dict({"services": [{"name": "web"}], "backends": {}})
    with pytest.raises(FormatError):
        ServiceTable.from_dict({"services": 3})


def test_rows_of_a_service_are_cilium_s_bytes() -> None:
    table = ServiceTable().with_service(Service("web", VIP, (ONE, TWO), affinity=60))
    rows = lb_rows(table, 4, 251)
    front = bytes.fromhex("0a60000a 0050 0000 00 00 0000")
    assert rows.frontends == {front: bytes.fromhex("3c000000 0200 0001 10 00 0000")}
    assert all(map(is_frontend, rows.frontends))
    assert list(rows.slots.items()) == [
        (
            bytes.fromhex("0a60000a 0050 0100 00 00 0000"),
            bytes.fromhex("01000000 0000 0001 00000000"),
        ),
        (
            bytes.fromhex("0a60000a 0050 0200 00 00 0000"),
            bytes.fromhex("02000000 0000 0001 00000000"),
        ),
    ]
    assert not any(map(is_frontend, rows.slots))
    assert rows.backends == {
        bytes.fromhex("0100"): bytes.fromhex("0a050505 1f90 00 00"),
        bytes.fromhex("0200"): bytes.fromhex("0a050506 1f90 00 00"),
    }
    assert rows.reverse_nat == {bytes.fromhex("0001"): bytes.fromhex("0a60000a 0050")}
    assert rows.affinity_match == {
        bytes.fromhex("01000000 0001 0000"): b"\0",
        bytes.fromhex("02000000 0001 0000"): b"\0",
    }
    assert rows.maglev == {}


def test_a_maglev_service_has_a_table_of_backend_ids() -> None:
    table = ServiceTable().with_service(WEB).picked_by(Algorithm.MAGLEV)
    (value,) = lb_rows(table, 4, 251).maglev.values()
    assert len(value) == 2 * 251
    assert set(value[::2]) == {1, 2}


def test_families_are_kept_apart() -> None:
    table = ServiceTable().with_service(WEB)
    assert lb_rows(table, 6, 251).backends == {}
    assert lb_rows(table, 6, 251).frontends == {}


def test_rows_are_encoded_by_the_record_table() -> None:
    ip = ip_address("fd00::a")
    assert key_of("cilium_lb6_services_v2", address=ip.packed, dport=80).hex() == (
        "fd00000000000000000000000000000a" + "0050" + "000000000000"
    )
    assert value_of("cilium_lb_affinity_match") == b"\0"


def test_changes_are_only_what_differs() -> None:
    found = changes({b"a": b"1", b"b": b"2"}, {b"b": b"2", b"c": b"3"})
    assert (found.stored, found.deleted) == ({b"c": b"3"}, (b"a",))
