"""A real Prometheus scrapes the exporter, evaluates the rules and answers the dashboard."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ctconsole.exporter.page import page
from ctconsole.exporter.running import Exporter
from ctconsole.exporter.sampling import NodeSampler
from ctconsole.exporter.server import MetricsServer
from ctconsole.kernel import mapwrite, pins
from ctconsole.kernel.clock import ktime
from ctconsole.paths import GLOBALS
from ctconsole.web.address import Address
from tests.support.ct_entries import CT4, ct4_rows
from tests.support.exported import whole_node
from tests.support.prometheus import Prometheus, prometheus

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ctconsole.kernel.gate import Gate

DEPLOY = Path(__file__).parents[3] / "deploy"
RULES = DEPLOY / "prometheus" / "ctconsole.rules.yml"
DASHBOARD = json.loads((DEPLOY / "grafana" / "ctconsole.json").read_text())


def test_it_scrapes_a_node(gate: Gate, bpffs: Path, tmp_path: Path) -> None:
    with mapwrite.create(gate, CT4) as live:
        pins.pin(gate, live, bpffs / GLOBALS / CT4.name)
        mapwrite.update_batch(gate, live, *ct4_rows(30, lifetime=ktime() + 1000))
    sampler, said = NodeSampler(bpffs, tmp_path / "history.db"), list[str]()
    with (
        Exporter(sampler, 1.0, said.append) as exporter,
        MetricsServer(Address("127.0.0.1", 0), exporter.body) as server,
    ):
        server.start()
        exporter.start()
        assert exporter.wait(60)
        with prometheus(tmp_path, {"ctconsole": [str(server.address)]}, [RULES]) as real:
            [(labels, entries)] = real.until('ctconsole_map_entries{map_name="ct4_global"}')
            assert (labels["instance"], entries) == (str(server.address), 30)
            [(_, alive)] = real.until('ctconsole_ct_entries{state="established"}')
            assert alive == 30
            [(_, ratio)] = real.until("instance_map_name:ctconsole_map_entries:ratio")
            assert ratio == 30 / 4096
            # It reads the OpenMetrics form, with the type and the help of each metric.
            told = real.ask("metadata")
            assert told["ctconsole_map_recreations"][0]["type"] == "counter"
            [target] = real.ask("targets")["activeTargets"]
            assert (target["health"], target["lastError"]) == ("up", "")
    assert said == []


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """One that knows a node of which everything is known."""
    node = whole_node("cilium_ct4_global", "cilium_ct_any4_global")
    with MetricsServer(Address("127.0.0.1", 0), lambda form: page(node, form)) as server:
        server.start()
        folder = tmp_path_factory.mktemp("prometheus")
        with prometheus(folder, {"ctconsole": [str(server.address)]}, [RULES]) as real:
            # Rates want two scrapes, and what is recorded of them an evaluation more.
            real.until("rate(ctconsole_ct_new_entries_total[1m])")
            real.until("instance_map_name:ctconsole_map_entries:ratio")
            yield real


def filled(query: str) -> str:
    values = {"$instance": ".*", "$map_name": ".*", "$__rate_interval": "1m"}
    for name, value in values.items():
        query = query.replace(name, value)
    assert "$" not in query
    return query


def queries() -> Iterator[tuple[str, str]]:
    """The title and the text of each query of the dashboard, with what Grafana fills in."""
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            yield panel["title"], filled(target["expr"])
    for one in DASHBOARD["annotations"]["list"]:
        yield one["name"], filled(one["expr"])


AT_REST = ("seconds_to_full", "increase(", "changes(")
"""What finds nothing on a node where nothing happens."""


@pytest.mark.parametrize(("title", "query"), list(queries()))
def test_every_query_of_the_dashboard_is_answered(
    asked: Prometheus, title: str, query: str
) -> None:
    found = asked.value(query)
    assert found or any(one in query for one in AT_REST), title


def test_every_variable_of_the_dashboard_has_values(asked: Prometheus) -> None:
    for one in DASHBOARD["templating"]["list"]:
        if one["type"] != "query":
            continue
        matched = re.fullmatch(r"label_values\((.*), (\w+)\)", one["definition"])
        assert matched is not None
        values = asked.ask(f"label/{matched[2]}/values", **{"match[]": filled(matched[1])})
        assert values, one["name"]


def test_the_dashboard_names_only_metrics_there_are(asked: Prometheus) -> None:
    """A metric of another name has no series, and a query for it would find nothing for ever."""
    known = set(asked.ask("label/__name__/values"))
    for title, query in queries():
        for name in re.findall(r"\bctconsole_\w+", re.sub(r"\w+:\w+:\w+", "", query)):
            assert name in known, title


def test_panels_lie_beside_one_another() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at: dict[str, Any] = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells
