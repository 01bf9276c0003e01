"""Cilium's rule for table sizes, with the figures of its own tests and of agents' logs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePath

import pytest

from ctconsole.model.sizing import (
    ANY,
    NAT,
    NEIGHBOURS,
    SOCKETS,
    TCP,
    WHOLE,
    Sizing,
    SizingRule,
    memory_behind,
    option_sizing,
    told,
)
from ctconsole.model.spec import MapInfo, MapType

GIB = 1 << 30
OF_CILIUMS_TESTS = WHOLE - 4 * (1 << 18)
"""They count 48 bytes for an element of which a running agent counts 52."""


def table(max_entries: int, name: str = "cilium_ct4_global") -> MapInfo:
    pin = PurePath("/sys/fs/bpf/tc/globals", name)
    return MapInfo(7, name[:15], MapType.LRU_HASH, 14, 56, max_entries, pin=pin)


@pytest.mark.parametrize(
    ("memory", "tcp", "other", "nat"),
    [
        (GIB // 2, 131072, 65536, 131072),
        (15 * GIB // 2, 131072, 65536, 131072),
        (16 * GIB, 151765, 75882, 151765),
        (30 * GIB, 284560, 142280, 284560),
        (240 * GIB, 2276484, 1138242, 2276484),
        (360 * GIB, 3414726, 1707363, 3414726),
    ],
)
def test_sizes_are_shared_out_as_ciliums_own_tests_have_them(
    memory: int, tcp: int, other: int, nat: int
) -> None:
    sizes = SizingRule(memory, whole=OF_CILIUMS_TESTS).sizes()
    wanted = {TCP: tcp, ANY: other, NAT: nat, NEIGHBOURS: nat, SOCKETS: other}
    assert sizes == wanted


def test_a_huge_ratio_is_held_at_the_limit() -> None:
    assert set(SizingRule(16 * GIB, 0.98).sizes().values()) == {1 << 24}


def test_a_size_that_somebody_set_is_kept_and_translations_follow_it() -> None:
    given = {TCP: 524288, ANY: 262144}
    sizes = SizingRule(128 * GIB, given=given, whole=OF_CILIUMS_TESTS).sizes()
    assert sizes == {**given, NAT: 524288, NEIGHBOURS: 524288, SOCKETS: 607062}


def test_an_option_of_zero_is_none() -> None:
    assert SizingRule(16 * GIB, given={TCP: 0}).sizes() == SizingRule(16 * GIB).sizes()


def test_without_a_ratio_the_defaults_hold() -> None:
    assert SizingRule(16 * GIB, 0.0).sizes()[TCP] == 524288


def test_shares_of_a_distributed_table_are_whole() -> None:
    sizes = SizingRule(30 * GIB, cpus=48).sizes()
    assert all(size % 48 == 0 for size in sizes.values())
    assert SizingRule(16 * GIB, 0.98, cpus=48).sizes()[TCP] == (1 << 24) // 48 * 48


@pytest.mark.parametrize("size", [260580, 263725, 287994, 131073])
def test_the_memory_behind_a_size_leads_back_to_it(size: int) -> None:
    between = memory_behind(TCP, size, 0.0025)
    assert between is not None
    middle = sum(between) // 2
    assert SizingRule(middle).sizes()[TCP] == size
    assert between[1] - between[0] < 200_000


@pytest.mark.parametrize("size", [131072, 1000, 1 << 24])
def test_a_limit_does_not_tell_the_memory(size: int) -> None:
    assert memory_behind(TCP, size, 0.0025) is None


def test_each_map_has_the_option_that_sizes_it() -> None:
    assert option_sizing("cilium_ct6_global") == TCP
    assert option_sizing("cilium_lb4_reverse_sk") == SOCKETS
    assert option_sizing("cilium_lxc") is None


RULE = Sizing(SizingRule(30_064_771_072))


def test_a_restart_is_warned_of_where_the_memory_has_changed() -> None:
    found = told(RULE, table(260_580))
    assert found is not None
    assert found.gives == 263_726
    assert found.text == "bpf-map-dynamic-size-ratio 0.0025 of 28.0 GiB gives 263,726 entries"
    assert found.warning == (
        "The agent's next start re-creates cilium_ct4_global with 263,726 entries instead of "
        "260,580, and every entry in it is lost: this size is that of 27.7 GiB of memory, and the "
        "node has 28.0 GiB, 342.0 MiB more"
    )


def test_a_size_as_the_rule_gives_it_is_no_news() -> None:
    found = told(RULE, table(263_726))
    assert found is not None
    assert not found.warning


def test_a_changed_option_is_named_as_what_re_creates() -> None:
    rule = replace(SizingRule(30 * GIB), given={TCP: 1 << 20})
    found = told(Sizing(rule), table(263_725))
    assert found is not None
    assert found.given
    assert "is set to 1,048,576" in found.text
    assert found.warning.endswith("every entry in it is lost: bpf-ct-global-tcp-max has changed")


def test_what_is_only_assumed_is_never_warned_of() -> None:
    sizing = Sizing(SizingRule(30_064_771_072), assumed=True, unknown="no agent runs")
    found = told(sizing, table(260_580))
    assert found is not None
    assert not found.warning
    assert found.text.endswith("would give 263,726 entries (no agent runs)")


def test_what_is_not_known_is_said_with_its_reason() -> None:
    found = told(Sizing(unknown="nobody tells"), table(1024))
    assert found is not None
    assert found.gives is None
    assert found.text == "What bpf-map-dynamic-size-ratio gives is not known: nobody tells"
    assert told(RULE, table(1024, "cilium_lxc")) is None
