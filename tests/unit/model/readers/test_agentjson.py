from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctconsole.errors import FormatError
from ctconsole.lab import foreign_api
from ctconsole.model.ct.clock import ClockSource
from ctconsole.model.readers import agentjson
from ctconsole.model.readers.agentjson import ApiEndpoint, ApiService

NAMES = [
    *("id", "status", "spec", "labels", "networking", "addressing", "identity", "flags"),
    *("frontend-address", "ip", "port", "backend-addresses", "cilium", "msg", "ipv4"),
    *("clock-source", "mode", "hertz"),
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(NAMES),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)


def test_endpoints_have_names_addresses_and_labels() -> None:
    answer = [foreign_api.endpoint(571, "prod/web", "10.244.1.5", 20571, "k8s:app=web")]
    assert agentjson.endpoints(answer).items == (
        ApiEndpoint(
            571, "prod/web", ("10.244.1.5",), 20571, ("k8s:app=web",), "ready", 581, "none"
        ),
    )


@pytest.mark.parametrize(
    ("enabled", "ingress_is_open", "egress_is_open"),
    [
        ("none", True, True),
        ("ingress", False, True),
        ("egress", True, False),
        ("both", False, False),
        ("audit-both", True, True),  # what policy denies is logged, and passes
        ("", False, False),
    ],
)
def test_an_endpoint_says_where_it_lets_everything_through(
    enabled: str, *, ingress_is_open: bool, egress_is_open: bool
) -> None:
    answer = foreign_api.endpoint(571, "prod/web", "10.244.1.5", 20571, policy=enabled)
    facts = agentjson.policy_facts(agentjson.endpoints([answer]).items)
    address = bytes([10, 244, 1, 5])
    assert (address in facts.open_ingress) == ingress_is_open
    assert (address in facts.open_egress) == egress_is_open


def test_an_old_agent_names_pods_in_one_field() -> None:
    answer = foreign_api.endpoint(571, "prod/web", "10.244.1.5", 20571)
    identifiers = answer["status"]["external-identifiers"]
    del identifiers["k8s-namespace"], identifiers["k8s-pod-name"]
    assert agentjson.endpoints([answer]).items[0].name == "prod/web"


def test_an_endpoint_without_a_pod_has_no_name_for_one() -> None:
    answer = foreign_api.endpoint(571, "prod/web", "10.244.1.5", 20571)
    identifiers = answer["status"]["external-identifiers"]
    del identifiers["k8s-namespace"], identifiers["k8s-pod-name"]
    identifiers |= {"pod-name": "/", "container-name": ""}
    assert agentjson.endpoints([answer]).items[0].name == ""


def test_services_have_names_and_backends() -> None:
    answer = [foreign_api.service(3, "prod/web", ("10.96.0.10", 80), "10.0.0.1:8080", "fd00::1:80")]
    assert agentjson.services(answer).items == (
        ApiService(
            3, "prod/web", "10.96.0.10", 80, "TCP", "ClusterIP", ("10.0.0.1:8080", "[fd00::1]:80")
        ),
    )


def test_what_makes_no_sense_is_left_out_and_counted() -> None:
    good = foreign_api.identity(7, "reserved:host")
    parsed = agentjson.identities([good, {"id": "7"}, None, 5])
    assert parsed.items == ((7, ("reserved:host",)),)
    assert parsed.damaged == 3
    assert agentjson.identities(None).items == ()
    assert agentjson.identities({"id": 1}).damaged == 1


@pytest.mark.parametrize(
    ("message", "version"),
    [
        ("1.9.5 (v1.9.5-079bdaf)", "1.9.5"),
        ("1.18.0-dev (v1.18.0-dev-1a2b)    Kubernetes service is not ready", "1.18.0-dev"),
        ("v1.16.3", "1.16.3"),
        (" (v-)", None),
    ],
)
def test_the_version_is_read_out_of_the_health_message(message: str, version: str | None) -> None:
    assert agentjson.version({"cilium": {"state": "Ok", "msg": message}}) == version


def test_the_clock_is_read_from_health_and_from_the_runtime_config() -> None:
    assert agentjson.clock_source(foreign_api.health("1.9.5")) == ClockSource("ktime")
    jiffies = foreign_api.health("1.9.5", mode="jiffies", hertz=250)
    assert agentjson.clock_source(jiffies) == ClockSource("jiffies", 250)
    # Jiffies without HZ cannot be read as seconds, so they are as good as nothing.
    assert agentjson.clock_source(foreign_api.health("1.9.5", mode="jiffies")) is None
    assert agentjson.runtime_clock({"ClockSource": 1, "KernelHz": 1000}) == ClockSource(
        "jiffies", 1000
    )
    assert agentjson.runtime_clock({"ClockSource": 0, "KernelHz": 250}) == ClockSource("ktime", 250)


def test_flags_are_named_as_on_the_command_line() -> None:
    fields = {"CTMapEntriesGlobalTCP": 32768, "EnableIPv4": True, "EnableIPv6": False, "Other": 1}
    config = agentjson.daemon_config(foreign_api.configuration(fields))
    assert agentjson.flags(config) == {
        "bpf-ct-global-tcp-max": "32768",
        "enable-ipv4": "true",
        "enable-ipv6": "false",
    }


def test_durations_are_seconds_not_gos_nanoseconds() -> None:
    fields = {"ConntrackGCInterval": 0, "CTMapEntriesTimeoutTCP": 8_000_000_000_000}
    assert agentjson.flags(fields) == {
        "conntrack-gc-interval": "0s",
        "bpf-ct-timeout-regular-tcp": "8000s",
    }


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b"1" * 5000])
def test_a_body_that_is_no_json_is_named_with_its_place(body: bytes) -> None:
    with pytest.raises(FormatError, match="somewhere is no"):
        agentjson.document(body, "somewhere")


@given(JSON)
def test_no_answer_makes_a_reader_fail(answer: Any) -> None:  # noqa: ANN401 - JSON is anything
    text = json.dumps(answer)
    value = agentjson.document(text.encode(), "fuzz")
    for read in (agentjson.endpoints, agentjson.identities, agentjson.services):
        assert read(value).damaged >= 0
        assert read([value, value]).damaged >= 0
    for tell in (agentjson.version, agentjson.clock_source, agentjson.runtime_clock):
        tell(value)
    agentjson.flags(agentjson.daemon_config(value))
    agentjson.debuginfo({"cilium-status": value, "endpoint-list": value, "service-list": value})


@pytest.mark.parametrize(
    ("health", "ratio"),
    [
        ({"bpf-maps": {"dynamic-size-ratio": 0.0025}}, 0.0025),
        ({"bpf-maps": {"maps": []}}, 0.0),  # an agent leaves out what is 0
        ({"bpf-maps": {"dynamic-size-ratio": 7}}, None),
        ({"bpf-maps": {"dynamic-size-ratio": True}}, None),
        ({}, None),
        (None, None),
    ],
)
def test_the_share_of_the_memory_that_sizes_follow(health: object, ratio: float | None) -> None:
    assert agentjson.size_ratio(health) == ratio
