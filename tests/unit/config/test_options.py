from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctconsole.config import OPTIONS, AgentConfig, parse, read_dir, write_option
from ctconsole.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path


def test_defaults_are_those_of_cilium() -> None:
    config = AgentConfig()
    assert config.bpf_ct_global_tcp_max == 524288
    assert config.bpf_ct_global_any_max == 262144
    assert config.nat_max == 524288
    assert config.bpf_ct_timeout_regular_tcp == 21600
    assert config.monitor_aggregation_interval == 5
    assert not config.conntrack_local


def test_every_default_is_within_its_own_range() -> None:
    assert AgentConfig.from_options(AgentConfig().as_options()) == AgentConfig()


@pytest.mark.parametrize("text", ["1023", "16777217", "-1", "lots", "", "1e6", "٣٠٠٠"])
def test_table_size_out_of_range_is_refused_naming_option_value_and_range(text: str) -> None:
    with pytest.raises(ConfigError) as refused:
        AgentConfig.from_options({"bpf-ct-global-tcp-max": text})
    sentence = str(refused.value)
    assert f"bpf-ct-global-tcp-max={text}" in sentence
    assert "1024 to 16777216" in sentence


@pytest.mark.parametrize("text", ["1024", "16777216", " 2048\n"])
def test_table_size_at_the_limits_is_taken(text: str) -> None:
    assert parse("bpf-ct-global-tcp-max", text) == int(text)


@given(st.text(max_size=30), st.sampled_from(sorted(OPTIONS)))
def test_any_text_is_a_value_or_refused_in_words(text: str, name: str) -> None:
    try:
        value = parse(name, text)
    except ConfigError as error:
        value = str(error)
        named = name in value
    else:
        named = isinstance(value, OPTIONS[name].type)
    assert named, value


@pytest.mark.parametrize(
    ("text", "seconds"), [("6h0m0s", 21600), ("90s", 90), ("1m30s", 90), ("21600", 21600)]
)
def test_durations_are_read_as_go_writes_them(text: str, seconds: int) -> None:
    assert parse("bpf-ct-timeout-regular-tcp", text) == seconds


def test_half_seconds_suit_the_gc_interval_only() -> None:
    assert parse("conntrack-gc-interval", "500ms") == 0.5
    with pytest.raises(ConfigError, match="bpf-ct-timeout-regular-any=500ms"):
        parse("bpf-ct-timeout-regular-any", "500ms")


@pytest.mark.parametrize(("text", "meaning"), [("true", True), ("T", True), ("0", False)])
def test_switches_are_read_as_go_reads_them(text: str, meaning: bool) -> None:  # noqa: FBT001 - a table of cases
    assert AgentConfig.from_options({"conntrack-local": text}).conntrack_local is meaning


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("ipv4-native-routing-cidr", "10.0.0.5/8"),
        ("ipv4-native-routing-cidr", "10.0.0.0"),
        ("ipv4-native-routing-cidr", "10.0.0.0/33"),
        ("ipv4-native-routing-cidr", "10.0.0.0/255.0.0.0"),
        ("ipv4-native-routing-cidr", "fd00::/8"),
        ("ipv4-native-routing-cidr", "pods"),
        ("devices", "eth0,eth1 eth2"),
        ("devices", "../eth0"),
        ("devices", "an-interface-too-long"),
    ],
)
def test_texts_that_cannot_be_meant_are_refused_where_they_are_given(name: str, text: str) -> None:
    with pytest.raises(ConfigError, match="or nothing") as refused:
        AgentConfig.from_options({name: text})
    assert f"{name}={text}" in str(refused.value)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("ipv4-native-routing-cidr", ""),
        ("ipv4-native-routing-cidr", "10.0.0.0/8"),
        ("ipv4-native-routing-cidr", "0.0.0.0/0"),
        ("devices", ""),
        ("devices", "eth0.100"),
    ],
)
def test_texts_that_can_be_meant_are_taken(name: str, text: str) -> None:
    assert parse(name, text) == text


def test_misspelt_option_is_refused_with_the_right_spelling() -> None:
    with pytest.raises(ConfigError, match=r"Did you mean bpf-ct-global-tcp-max\?"):
        AgentConfig.from_options({"bpf-ct-global-tcp-mx": "1024"})


def test_nat_shrinks_with_small_conntrack_tables_and_does_not_grow_with_large_ones() -> None:
    small = {"bpf-ct-global-tcp-max": "2048", "bpf-ct-global-any-max": "1024"}
    large = {"bpf-ct-global-tcp-max": "1048576", "bpf-ct-global-any-max": "524288"}
    assert AgentConfig.from_options(small).nat_max == 2048
    assert AgentConfig.from_options(large).nat_max == 524288


def test_nat_larger_than_conntrack_is_refused() -> None:
    options = {"bpf-ct-global-tcp-max": "1024", "bpf-nat-global-max": "600000"}
    with pytest.raises(ConfigError, match="larger than the conntrack tables together"):
        AgentConfig.from_options(options)


def test_one_ip_family_must_be_on() -> None:
    with pytest.raises(ConfigError, match="both false"):
        AgentConfig.from_options({"enable-ipv4": "false", "enable-ipv6": "false"})


def test_folder_has_one_file_for_each_option(tmp_path: Path) -> None:
    (tmp_path / "bpf-ct-global-tcp-max").write_text("1048576\n")
    (tmp_path / "cluster-name").write_text("default")
    (tmp_path / "..data").mkdir()
    (tmp_path / ".hidden").write_text("x")
    found = read_dir(tmp_path)
    assert found.options == {"bpf-ct-global-tcp-max": "1048576"}
    assert found.unknown == ("cluster-name",)
    assert AgentConfig.from_options(read_dir(tmp_path).options).bpf_ct_global_tcp_max == 1048576


def test_missing_or_unreadable_folder_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read the config folder"):
        read_dir(tmp_path / "none")
    (tmp_path / "tunnel").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="cannot read the config folder"):
        read_dir(tmp_path)


def test_written_option_is_read_back_and_leaves_no_other_file(tmp_path: Path) -> None:
    write_option(tmp_path / "config", "bpf-ct-global-tcp-max", "4096")
    write_option(tmp_path / "config", "bpf-ct-global-tcp-max", "8192")
    assert (
        AgentConfig.from_options(read_dir(tmp_path / "config").options).bpf_ct_global_tcp_max
        == 8192
    )
    assert [path.name for path in (tmp_path / "config").iterdir()] == ["bpf-ct-global-tcp-max"]


def test_bad_value_is_refused_before_the_folder_is_touched(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="1024 to 16777216"):
        write_option(tmp_path, "bpf-ct-global-tcp-max", "7")
    assert list(tmp_path.iterdir()) == []
