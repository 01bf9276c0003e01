"""Other maps than conntrack's: which record fits, and our own lists of them."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest

from ctconsole.errors import FormatError
from ctconsole.model.ct.layout import Layout
from ctconsole.model.listing.records import (
    render_records_csv,
    render_records_json,
    render_records_ndjson,
    render_records_table,
)
from ctconsole.model.records.data import RECORDS
from ctconsole.model.records.table import RecordTable, candidates
from tests.support.record_maps import info, raw, record, table

NAT = {"saddr": "10.0.0.10", "sport": 43210, "daddr": "10.1.1.1", "dport": 80, "nexthdr": 6}


def objects(one: RecordTable) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(b"".join(render_records_json([one])))
    assert found == [
        json.loads(line) for line in b"".join(render_records_ndjson([one])).splitlines()
    ]
    return found


@pytest.mark.parametrize("spec", RECORDS, ids=lambda spec: f"{spec.names}-{spec.since}")
def test_every_cell_names_a_field_of_its_record(spec: object) -> None:
    from ctconsole.model.records.spec import RecordSpec

    assert isinstance(spec, RecordSpec)
    fields = {*(spec.key.names or ()), *(spec.value.names or ())}
    assert {cell.field for cell in spec.cells} <= fields


def test_an_unknown_size_is_an_error_that_says_it() -> None:
    with pytest.raises(FormatError, match=r"cilium_lxc has keys of 20 and values of 52 bytes"):
        RecordTable.from_raw(info("cilium_lxc"), np.zeros((1, 20), "u1"), np.zeros((1, 52), "u1"))


def test_nat_says_both_ends_the_translation_and_the_age() -> None:
    nat = table(
        "cilium_snat_v4_external",
        NAT | {"to_addr": "172.16.0.5", "to_port": 43210, "created": 1057 * 10**9, "needs_ct": 1},
        now=1060,
    )
    assert objects(nat) == [
        {
            "map": "cilium_snat_v4_external",
            "protocol": "TCP",
            "direction": "out",
            "source": "10.0.0.10",
            "source_port": 43210,
            "destination": "10.1.1.1",
            "destination_port": 80,
            "to_address": "172.16.0.5",
            "to_port": 43210,
            "age_seconds": 3,
            "needs_ct": 1,
        }
    ]


def test_without_a_clock_there_is_no_age() -> None:
    [entry] = objects(table("cilium_snat_v4_external", NAT))
    assert entry["age_seconds"] is None


def test_seconds_of_newer_agents_are_told_from_nanoseconds() -> None:
    nat = table("cilium_snat_v4_external", NAT | {"created": 1000}, now=1060)
    assert objects(nat)[0]["age_seconds"] == 60


def test_ipv6_nat_has_the_sizes_of_a_conntrack_map_but_its_own_record() -> None:
    spec = record("cilium_snat_v6_external")
    assert (spec.key.itemsize, spec.value.itemsize) == (38, 56)
    assert not candidates("cilium_ct6_global", 38, 56)


def test_service_flags_are_words() -> None:
    one = {"address": "10.96.0.10", "dport": 80, "proto": 6, "count": 2, "rev_nat_index": 1}
    [entry] = objects(table("cilium_lb4_services_v2", one | {"flags": 0x52}))
    assert entry["rev_nat"] == 1
    assert entry["flags"] == ["NodePort", "sessionAffinity"]


def test_the_first_word_of_a_service_is_told_for_what_it_is() -> None:
    one = {"address": "10.96.0.10", "dport": 80, "proto": 6, "rev_nat_index": 1}
    maglev, proxy = 2 << 24, int.from_bytes((8080).to_bytes(2, "big"), "little")
    entries = objects(
        table(
            "cilium_lb4_services_v2",
            one | {"flags": 0x10, "backend_id": maglev | 10_800},
            one | {"backend_id": 10_800, "scope": 1},
            one | {"flags2": 0x04, "backend_id": proxy, "scope": 2},
            one | {"backend_slot": 1, "backend_id": maglev | 7},
        )
    )
    told = [
        (entry["backend_id"], entry["affinity"], entry["proxy_port"], entry["algorithm"])
        for entry in entries
    ]
    assert told == [
        (None, 10_800, None, "maglev"),
        (None, None, None, None),
        (None, None, 8080, None),
        (maglev | 7, None, None, None),
    ]


def test_ipcache_shows_prefixes_of_either_family() -> None:
    one = table(
        "cilium_ipcache",
        {"prefixlen": 64, "family": 1, "address": "10.0.0.5", "sec_label": 2000},
        {"prefixlen": 32, "family": 2, "address": "::", "sec_label": 2},
    )
    assert [entry["prefix"] for entry in objects(one)] == ["10.0.0.5/32", "::/0"]


def test_the_newer_ipcache_of_equal_size_is_told_by_the_bytes_only_it_uses() -> None:
    one = {"prefixlen": 64, "family": 1, "address": "10.0.0.5", "sec_label": 7, "key": 3}
    for since in (Layout.V1_9, Layout.V1_15):
        keys, values = raw("cilium_ipcache", one, since=since)
        found = RecordTable.from_raw(info("cilium_ipcache"), keys, values)
        assert (found.spec.since, found.column("key")[0]) == (since, 3)


def test_metrics_are_summed_over_the_processors() -> None:
    keys, values = raw("cilium_metrics", {"reason": 133, "dir": 1, "count": 2, "bytes": 120})
    both = np.repeat(values[:, np.newaxis], 4, axis=1)
    one = RecordTable.from_raw(info("cilium_metrics"), keys, both, layout=Layout.V1_9)
    assert objects(one) == [
        {
            "map": "cilium_metrics",
            "reason": "Policy denied",
            "reason_code": 133,
            "direction": "ingress",
            "packets": 8,
            "bytes": 480,
        }
    ]


def test_metrics_of_1_18_say_where_in_the_source() -> None:
    one = table("cilium_metrics", {"reason": 133, "line": 77, "file": 108}, since=Layout.V1_16)
    [entry] = objects(one)
    assert (entry["line"], entry["file"]) == (77, "ipv4.h")


def test_policy_keys_of_the_lpm_generation_say_their_prefix() -> None:
    one = {"prefixlen": 64, "sec_label": 100, "egress": 1, "protocol": 6, "dport": 443}
    [entry] = objects(table("cilium_policy_v2_00990", one | {"flags": 1}))
    assert (entry["policy"], entry["direction"], entry["prefix_bits"]) == ("deny", "egress", 24)


def test_policy_statistics_say_endpoint_and_rule() -> None:
    one = {"endpoint_id": 990, "prefix_len": 24, "sec_label": 5, "protocol": 6, "dport": 80}
    [entry] = objects(table("cilium_policystats", one | {"packets": 3}))
    assert (entry["endpoint"], entry["port"], entry["packets"]) == (990, 80, 3)


def test_a_table_of_ipv4_addresses_is_narrow() -> None:
    four = {"prefixlen": 64, "family": 1, "address": "10.0.0.5", "sec_label": 2000}
    narrow = b"".join(render_records_table(table("cilium_ipcache", four))).splitlines()[1]
    six = four | {"family": 2}
    wide = b"".join(render_records_table(table("cilium_ipcache", four, six))).splitlines()[1]
    assert (narrow.index(b"CLUSTER"), wide.index(b"CLUSTER")) == (20, 45)


def test_endpoints_show_mac_addresses() -> None:
    one = {"address": "10.0.0.5", "family": 1, "lxc_id": 990, "mac": [0x0A, 0xBB, 0, 1, 2, 0xFE]}
    [entry] = objects(table("cilium_lxc", one))
    assert (entry["address"], entry["mac"]) == ("10.0.0.5", "0A:BB:00:01:02:FE")


def test_table_lines_up() -> None:
    nat = table("cilium_snat_v4_external", NAT, NAT | {"saddr": "10.200.100.110"})
    lines = b"".join(render_records_table(nat)).decode().splitlines()
    assert lines[0] == "cilium_snat_v4_external: 2 entries"
    assert lines[2].index("10.1.1.1") == lines[3].index("10.1.1.1") == lines[1].index("DESTIN")


def test_csv_quotes_reasons_with_commas() -> None:
    metrics = table("cilium_metrics", {"reason": 5, "count": 1}, since=Layout.V1_9)
    text = b"".join(render_records_csv([metrics])).decode()
    [row] = csv.DictReader(text.splitlines())
    assert row["reason"] == "LB, sock cgroup: No backend slot entry found"


@pytest.mark.parametrize("spec", RECORDS, ids=lambda spec: f"{spec.names}-{spec.since}")
def test_any_bytes_can_be_listed(spec: object) -> None:
    from ctconsole.model.records.spec import RecordSpec

    assert isinstance(spec, RecordSpec)
    random = np.random.default_rng(1)
    size = spec.key.itemsize, spec.value.itemsize
    keys, values = (random.integers(0, 256, (50, part), "u1") for part in size)
    found = RecordTable(
        info("cilium_x"),
        spec,
        keys.view(spec.key).reshape(-1),
        values.view(spec.value).reshape(-1),
    )
    assert len(objects(found)) == 50
    assert len(b"".join(render_records_table(found)).splitlines()) == 53
