"""``ctconsole fleet`` on three nodes, of which a real Prometheus knows."""

from __future__ import annotations

import dataclasses
import json
import time
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from ctconsole.cli.fleet.verbs import command
from ctconsole.exporter.page import page
from ctconsole.exporter.server import MetricsServer
from ctconsole.fleet.looking import fleet_nodes
from ctconsole.fleet.onenode import look_at
from ctconsole.fleet.pools import advise_pools
from ctconsole.fleet.prometheus import PrometheusClient
from ctconsole.web.address import Address
from tests.support.exported import whole_node
from tests.support.prometheus import prometheus

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ctconsole.exporter.figures import NodeFigures


def node_of(entries: int, *, split: bool | None = False, census: bool = True) -> NodeFigures:
    node = whole_node("cilium_ct4_global", "cilium_lxc")
    table, other = node.maps
    table = dataclasses.replace(table, entries=entries, split=split)
    other = dataclasses.replace(other, entries=1, split=split, census=None)
    if not census:
        table = dataclasses.replace(table, census=None)
    return dataclasses.replace(node, maps=(table, other), taken_at=time.time())


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, list[str]]]:
    """The address of the Prometheus, and the instances: half full, split, unknown and down."""
    figures = [node_of(262_144), node_of(5_000, split=True), node_of(100, split=None, census=False)]
    with ExitStack() as stack:
        instances = []
        for figure in figures:
            server = MetricsServer(Address("127.0.0.1", 0), partial(page, figure))
            stack.enter_context(server).start()
            instances.append(str(server.address))
        instances.append("127.0.0.1:1")
        folder = tmp_path_factory.mktemp("fleet")
        real = stack.enter_context(prometheus(folder, {"ctconsole": instances}))
        for one in instances:
            real.until(f'up{{instance="{one}"}}')
        real.until("count(ctconsole_map_entries) >= 6")
        yield real.url, instances


def test_each_node_is_a_row_of_what_is_known(fleet: tuple[str, list[str]]) -> None:
    url, (half, split, unknown, down) = fleet
    found = {one.node: one for one in fleet_nodes(PrometheusClient(url))}
    assert list(found)[:2] == [half, split]
    assert (found[half].fullest, found[half].fill, found[half].split) == ("ct4_global", 0.5, 0)
    assert (found[half].up, found[half].release) == (True, "1.18.3")
    assert found[half].age is not None
    assert 0 < (found[half].living or 0) < (found[half].entries or 0)
    assert found[split].split == 2
    assert (found[unknown].split, found[unknown].entries, found[unknown].living) == (None,) * 3
    assert (found[down].up, found[down].fill, found[down].age) == (False, None, None)


def test_it_is_printed_sorted_and_chosen(fleet: tuple[str, list[str]]) -> None:
    url, (half, split, unknown, down) = fleet
    told = CliRunner().invoke(command, ["--prometheus", url])
    lines = told.stdout.splitlines()
    assert lines[0].split()[:4] == ["NODE", "UP", "FULLEST", "FILL"]
    assert [line.split()[0] for line in lines[1:]] == [half, split, unknown, down]
    assert lines[1].split()[1:4] == ["yes", "ct4_global", "50.0%"]
    assert lines[4].split()[1:4] == ["no", "-", "-"]
    assert "4 nodes, 1 of them do not answer" in told.stderr
    told = CliRunner().invoke(command, ["--prometheus", url, "--filter", "split>0", "--json"])
    assert [one["node"] for one in json.loads(told.stdout)] == [split]
    told = CliRunner().invoke(command, ["--prometheus", url, "--nodes", half, "--json"])
    assert [one["node"] for one in json.loads(told.stdout)] == [half]
    told = CliRunner().invoke(command, ["--prometheus", url, "--nodes", "nobody"])
    assert "knows no node" in told.stderr


def test_a_query_that_is_refused_is_one_sentence(fleet: tuple[str, list[str]]) -> None:
    told = CliRunner().invoke(command, ["--prometheus", fleet[0], "--nodes", "("])
    assert "error parsing regexp" in str(told.exception)


def test_a_pool_is_advised_from_what_is_known(fleet: tuple[str, list[str]]) -> None:
    url, (half, split, unknown, _) = fleet
    found = advise_pools(PrometheusClient(url), window=3600.0)
    [one] = found.pools
    assert (one.pool, one.map, one.nodes, found.down) == ("524288", "ct4_global", 3, 1)
    assert one.advice.watched.info.max_entries == 524_288
    assert not one.living
    assert any("Only" in text for text in one.unknown)
    pools = advise_pools(PrometheusClient(url), window=3600.0, by="instance").pools
    assert {one.pool: one.living for one in pools} == {half: True, split: True, unknown: False}
    assert [
        one.pool for one in advise_pools(PrometheusClient(url), window=3600.0, by="zone").pools
    ] == [""]


def test_one_node_is_told_down_to_its_maps(fleet: tuple[str, list[str]]) -> None:
    url, (half, _, _, down) = fleet
    found = look_at(PrometheusClient(url), half, 3600.0)
    table = next(one for one in found.maps if one.name == "ct4_global")
    assert (found.up, table.entries, table.capacity, table.fill) == (True, 262_144, 524_288, 0.5)
    assert (table.memory, table.generation, table.next_start) == (71_304_064, 7, 262_144)
    assert found.sampled_at is not None
    assert found.agent_started == 1_699_990_000.25
    gone = look_at(PrometheusClient(url), down, 3600.0)
    assert (gone.up, gone.maps) == (False, ())
