"""Something that speaks as a Prometheus does, and says what a test wants said."""

from __future__ import annotations

import json
import threading
import urllib.parse
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

NOW: Final = 1_764_000_000.0
"""The moment of every answer."""


def series(value: object, **labels: str) -> dict[str, Any]:
    """One series with a number, as it is sent."""
    return {"metric": labels, "value": [NOW, str(value)]}


@dataclass
class FakePrometheus:
    """What it says.

    Attributes:
        url: where it listens.
        told: series of an instant query, by a part of its text; the first part found counts.
        past: those of a query over time, each with its ``values``.
        warnings: that it adds to each answer.
        status: other than 200 it refuses everything with it.
        raw: bytes that it answers instead.
        asked: the queries that came.
        gate: held while it is not to answer.
    """

    url: str = ""
    told: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    past: list[dict[str, Any]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    status: int = 200
    raw: bytes | None = None
    asked: list[str] = field(default_factory=list)
    gate: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, path: str, query: str) -> bytes:
        """The bytes of an answer."""
        with self.gate:
            self.asked.append(query)
        if self.raw is not None:
            return self.raw
        if self.status != 200:
            return json.dumps({"status": "error", "error": "it is \x1b[31mill"}).encode()
        if path.endswith("query_range"):
            kind, found = "matrix", self.past
        else:
            kind = "vector"
            found = next((told for part, told in self.told.items() if part in query), [])
        answer: dict[str, Any] = {
            "status": "success",
            "data": {"resultType": kind, "result": found},
        }
        if self.warnings:
            answer["warnings"] = self.warnings
        return json.dumps(answer).encode()


def a_fleet(nodes: int = 4) -> dict[str, list[dict[str, Any]]]:
    """Nodes ``n0``, ``n1`` and so on, each fuller than the one before; the first is down.

    Its Prometheus has an older form of the recording rules, without those of each node.
    """
    names = [f"n{number}" for number in range(nodes)]
    fills = {name: number / max(1, nodes - 1) * 0.96 for number, name in enumerate(names)}
    alive = names[1:]
    by_map = [
        series(fills[name] * share, instance=name, map_name=one)
        for name in alive
        for one, share in (("ct4_global", 1.0), ("ct_any4_global", 0.25))
    ]
    return {
        "up{": [series(int(name != "n0"), instance=name) for name in names],
        'ctconsole_map_entries{instance=~".*"} / ': by_map,
        "ctconsole_map_entries:ratio": by_map,
        "state!=": [series(700, instance=name) for name in alive],
        "sum by (instance) (ctconsole_ct_entries": [series(1000, instance=name) for name in alive],
        "split_brain": [series(int(name == "n2"), instance=name) for name in alive],
        "sample_timestamp": [series(3.5, instance=name) for name in alive],
        "agent_start": [series(7200, instance=name) for name in alive],
        "agent_info": [series(1, instance=name, release="1.18.3") for name in alive],
        "ALERTS": [
            series(1, instance="n0", alertname="CtconsoleExporterDown"),
            series(1, instance="n2", alertname="CtconsoleSplitBrain"),
        ],
        "seconds_to_full": [series(600, instance=names[-1])],
        "recreation_lost": [series(12, instance="n1")],
    }


def a_node(name: str) -> dict[str, list[dict[str, Any]]]:
    """What is told of one node with two maps."""

    def one(metric: str, value: object, **labels: str) -> dict[str, Any]:
        return series(value, __name__=f"ctconsole_{metric}", instance=name, **labels)

    both = ({"map_name": "ct4_global"}, {"map_name": "snat_v4_external"})
    return {
        "max(up{": [series(1)],
        '{__name__=~"ctconsole_(map': [
            *(one("map_entries", 460_000, **labels) for labels in both[:1]),
            *(one("map_entries", 10, **labels) for labels in both[1:]),
            *(one("map_capacity_entries", 524_288, **labels) for labels in both),
            *(one("map_memory_bytes", 71_304_064, **labels) for labels in both),
            *(one("map_generation_id", 17, **labels) for labels in both),
            one("map_recreated_timestamp_seconds", NOW - 3600, **both[0]),
            one("map_next_start_capacity_entries", 262_144, **both[0]),
            one("map_split_brain", 1, **both[1]),
            one("ct_entries", 400_000, state="established", **both[0]),
            one("ct_entries", 60_000, state="expired", **both[0]),
            one("agent_start_timestamp_seconds", NOW - 7200),
            one("sample_timestamp_seconds", NOW - 4),
        ],
        "rate(ctconsole_ct_new": [series(123.4, **both[0])],
        "rate(ctconsole_ct_evicted": [series(2, **both[0])],
        "deriv(": [series(900, **both[0])],
    }


def a_past(name: str) -> list[dict[str, Any]]:
    """A resize, a re-creation with loss, and a restart of the agent, ten minutes apart."""
    moments = [NOW - 600 * back for back in (4, 3, 2, 1, 0)]

    def one(metric: str, *values: float, **labels: str) -> dict[str, Any]:
        return {
            "metric": {"__name__": f"ctconsole_{metric}", "instance": name, **labels},
            "values": [
                [when, str(value)] for when, value in zip(moments, values, strict=True)
            ],
        }  # fmt: skip

    label = {"map_name": "ct4_global"}
    return [
        one("map_entries", 100, 200_000, 300_000, 400_000, 460_000, **label),
        one("map_capacity_entries", 262_144, *[524_288] * 4, **label),
        one("map_generation_id", 15, 16, 16, 17, 17, **label),
        one("map_resizes_total", 0, 1, 1, 1, 1, **label),
        one("map_resize_carried_entries_total", 0, 12_031, 12_031, 12_031, 12_031, **label),
        one("map_resize_lost_entries_total", 0, 0, 0, 0, 0, **label),
        one("map_recreations_total", 0, 1, 1, 2, 2, **label),
        one("map_recreation_lost_entries_total", 0, 0, 0, 1234, 1234, **label),
        one("agent_start_timestamp_seconds", *[NOW - 9000] * 4, NOW - 300),
    ]


@contextmanager
def fake_prometheus(**said: Any) -> Iterator[FakePrometheus]:  # noqa: ANN401 - its fields
    """One that answers until the end."""
    fake = FakePrometheus(**said)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            given = self.rfile.read(int(self.headers["Content-Length"])).decode()
            query = urllib.parse.parse_qs(given)["query"][0]
            content = fake.answer(self.path, query)
            self.send_response(fake.status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        fake.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield fake
        finally:
            if fake.gate.locked():
                fake.gate.release()
            server.shutdown()
            thread.join()
