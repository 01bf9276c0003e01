from __future__ import annotations

from ipaddress import ip_address

from ctconsole.model.plane.address_rows import ipcache_rows, lxc_rows
from ctconsole.model.plane.endpoint import Endpoint

POD = Endpoint(
    571,
    "server",
    "lxc00571",
    3,
    "02:00:0a:05:05:05",
    "02:01:0a:05:05:05",
    "10.5.5.5",
    "fd05::5",
    identity=20571,
)
HOST = (ip_address("10.5.224.90"),)


def test_an_endpoint_is_found_by_each_of_its_addresses() -> None:
    rows = lxc_rows([POD], HOST)
    four = bytes.fromhex("0a050505") + bytes(12) + bytes.fromhex("01 00 0000")
    six = bytes.fromhex("fd05" + "00" * 13 + "05" + "02 00 0000")
    assert rows[four] == rows[six]
    value = rows[four]
    assert int.from_bytes(value[:4], "little") == 3
    assert int.from_bytes(value[6:8], "little") == 571
    assert int.from_bytes(value[16:24], "little") == int.from_bytes(
        bytes.fromhex("02000a050505"), "little"
    )
    assert value[24:30].hex() == "02010a050505"


def test_the_node_s_addresses_are_marked() -> None:
    rows = lxc_rows([], HOST)
    (value,) = rows.values()
    assert value[8:12] == bytes.fromhex("01000000")


def test_the_longest_prefix_tells_the_identity() -> None:
    rows = ipcache_rows([POD], HOST)
    labels = {
        (int.from_bytes(key[:4], "little") - 32, key[8:12].hex()): int.from_bytes(
            value[:4], "little"
        )
        for key, value in rows.items()
        if key[7] == 1
    }
    assert labels == {(0, "00000000"): 2, (32, "0a05e05a"): 1, (32, "0a050505"): 20571}
