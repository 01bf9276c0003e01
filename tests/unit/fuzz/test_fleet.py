"""Answers as a Prometheus gives them, damaged: a sentence or numbers, never anything else."""

from __future__ import annotations

import json
import random
import time
from typing import TYPE_CHECKING

from ctconsole.errors import CtconsoleError
from ctconsole.fleet.looking import QUERIES, SLOW, FleetLooker
from ctconsole.fleet.nodes import totals
from ctconsole.fleet.onenode import look_at
from ctconsole.fleet.prometheus import PrometheusClient
from ctconsole.model.fullness import Thresholds
from tests.support.fake_prometheus import a_fleet, a_node, a_past
from tests.support.mutations import mutations

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SLOWEST = 2.0

COUNT = 4000
_WHOLE = 0.5
"""The share of answers that are not damaged, so that what comes behind the others is asked, too."""


def answered(kind: str, result: object) -> bytes:
    told = {"status": "success", "data": {"resultType": kind, "result": result}}
    return json.dumps({**told, "warnings": ["a store is away"]}).encode()


class DamagedPrometheus(PrometheusClient):
    """Answers with the next damaged copy, whatever it is asked."""

    def __init__(self, instant: Iterator[bytes], past: Iterator[bytes]) -> None:
        super().__init__("http://127.0.0.1:1")
        self._next = {"query": instant, "query_range": past}
        self._chance = random.Random(1)  # noqa: S311 - reproducible damage, no secret

    def _content(self, path: str, given: Mapping[str, str]) -> bytes:
        del given
        if self._chance.random() < _WHOLE:
            return answered("vector" if path == "query" else "matrix", [])
        return next(self._next[path])


def damaged(seed: int) -> DamagedPrometheus:
    series = [one for told in (a_fleet(), a_node("n1")) for one in told.values()]
    hostile = answered("vector", [{"metric": {"instance": "\x1b]0;x\x07"}, "value": [0, "1e400"]}])
    instant = [*(answered("vector", one) for one in series), hostile]
    return DamagedPrometheus(
        mutations(instant, COUNT, seed), mutations([answered("matrix", a_past("n1"))], COUNT, seed)
    )


def test_one_answer() -> None:
    client, read = damaged(1), 0
    told = set()
    for _ in range(COUNT // 2):
        started = time.process_time()
        for ask in (
            lambda: client.ask("x").series,
            lambda: client.query_range("x", 0, 1, 1).series,
        ):
            try:
                read += len(ask())
            except CtconsoleError as error:
                told.add(error.message)
        assert time.process_time() - started < SLOWEST
    assert read, "some are read all the same"
    assert told == {"http://127.0.0.1:1 cannot be asked: its answer is none of Prometheus'"}


def test_a_whole_fleet() -> None:
    looker, looked = FleetLooker(damaged(2), slow_every=0.0), 0
    for _ in range(COUNT // (3 * len({**QUERIES, **SLOW}))):
        try:
            look = looker.look()
        except CtconsoleError:
            continue
        looked += 1
        totals(look.nodes, Thresholds())
        assert json.dumps([one.as_dict() for one in look.nodes])
    assert looked


def test_one_node() -> None:
    client, looked = damaged(3), 0
    for _ in range(COUNT // 20):
        try:
            look_at(client, "n1", 3600.0)
        except CtconsoleError:
            continue
        looked += 1
    assert looked
