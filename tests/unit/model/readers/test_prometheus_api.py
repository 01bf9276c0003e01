"""Answers of a Prometheus, read as the metrics that they were made of."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ctconsole.model.readers.carried import uncarried, with_metrics
from ctconsole.model.readers.node_text import read_metrics
from ctconsole.model.readers.prometheus_api import as_metrics, is_answer

NAME = "cilium_bpf_map_pressure"


def series(value: float, **labels: str) -> dict[str, Any]:
    return {"metric": {"__name__": NAME, **labels}, "value": [1764324060, str(value)]}


def answer(*found: dict[str, Any], kind: str = "vector") -> bytes:
    return json.dumps(
        {"status": "success", "data": {"resultType": kind, "result": found}}, indent=1
    ).encode()


def test_an_answer_reads_as_the_text_of_the_metrics_does() -> None:
    text = answer(series(0.97, instance="10.0.0.1:9962", map_name="ct4_global"))
    assert is_answer(text)
    for read in (uncarried, with_metrics):
        metrics = b"".join(read([text])).decode()
        assert read_metrics(metrics).pressure == {"cilium_ct4_global": 0.97}


def test_of_a_range_the_last_value_counts() -> None:
    one = {
        "metric": {"__name__": NAME, "map_name": "ct4_global"},
        "values": [[1, "0.5"], [2, "0.9"]],
    }
    text = answer(one, kind="matrix")
    assert as_metrics(text) == b'cilium_bpf_map_pressure{map_name="ct4_global"} 0.9\n'


def test_agents_are_told_apart() -> None:
    text = answer(
        series(0.9, pod="cilium-4zq7p", map_name="ct4_global"),
        series(0.4, pod="cilium-x7k2m", map_name="ct4_global"),
        series(0.1, pod="cilium-4zq7p", map_name="lxc"),
    )
    assert (as_metrics(text) or b"").decode().splitlines() == [
        "==> cilium-4zq7p <==",
        'cilium_bpf_map_pressure{map_name="ct4_global",pod="cilium-4zq7p"} 0.9',
        'cilium_bpf_map_pressure{map_name="lxc",pod="cilium-4zq7p"} 0.1',
        "==> cilium-x7k2m <==",
        'cilium_bpf_map_pressure{map_name="ct4_global",pod="cilium-x7k2m"} 0.4',
    ]


@pytest.mark.parametrize(
    "text",
    [
        answer(),
        answer({"metric": {"map_name": "ct4_global"}, "value": [1, "0.5"]}),
        answer({"metric": None, "value": [1, "0.5"]}),
        answer({"metric": {"__name__": NAME}, "values": []}),
        answer(series(0.5))[:-20],
    ],
)
def test_what_has_no_named_series_stays_what_it_is(text: bytes) -> None:
    assert is_answer(text)
    assert as_metrics(text) is None
    assert b"".join(uncarried([text[:50], text[50:]])) == text


def test_another_document_is_no_answer() -> None:
    assert not is_answer(b'{"status": "success", "data": {"resultType": "scalar"}}')
    assert not is_answer(b'[{"resultType": "vector"}]')
