"""Answers as a Prometheus, or something that is none, may give them."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING

import pytest

from ctconsole.errors import CtconsoleError, UsageError
from ctconsole.fleet import prometheus
from ctconsole.fleet.prometheus import PrometheusClient

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def answering(
    content: bytes, status: int = 200, location: str = ""
) -> Iterator[tuple[str, list[dict[str, str]]]]:
    """The address of a server that answers so, and the headers that it was asked with."""
    asked: list[dict[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append({name.lower(): value for name, value in self.headers.items()})
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status)
            if location:
                self.send_header("Location", location)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}", asked
        finally:
            server.shutdown()
            thread.join()


def vector(*series: object) -> bytes:
    return json.dumps(
        {"status": "success", "data": {"resultType": "vector", "result": list(series)}}
    ).encode()


def test_what_has_no_number_is_left_out() -> None:
    one = {"metric": {"instance": "a"}, "value": [1.5, "0.25"]}
    with answering(vector(one, {"metric": {}, "value": [1.5, "NaN"]})) as (place, _):
        [found] = PrometheusClient(f"http://{place}/").query("x")
    assert (found.labels, found.value) == ({"instance": "a"}, 0.25)


def test_it_says_who_it_is() -> None:
    with answering(vector()) as (place, asked):
        PrometheusClient(f"http://me:s%40cret@{place}").query("x")
        PrometheusClient(f"http://{place}", "token").query("x")
        PrometheusClient(f"http://{place}").query("x")
    assert [one.get("authorization") for one in asked] == [
        "Basic bWU6c0BjcmV0",
        "Bearer token",
        None,
    ]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<html>",
        b"[]",
        b"{}",
        b'{"status": "success"}',
        b'{"status": "success", "data": {"resultType": "matrix", "result": []}}',
        b'{"status": "success", "warnings": 1, "data": {"resultType": "vector", "result": []}}',
        vector(1),
        vector({"metric": [], "value": [0, "1"]}),
        vector({"metric": {}, "value": [0]}),
        vector({"metric": {}, "value": [0, "x"]}),
        b"[" * 100_000,
        b"\xff",
    ],
)
def test_what_is_no_answer_is_one_sentence(content: bytes) -> None:
    with (
        answering(content) as (place, _),
        pytest.raises(CtconsoleError, match="its answer is none of Prometheus'"),
    ):
        PrometheusClient(f"http://{place}").query("x")


def test_a_refusal_says_what_it_says() -> None:
    with (
        answering(b'{"status": "error", "error": "bad query"}', 400) as (place, _),
        pytest.raises(CtconsoleError, match="400, bad query"),
    ):
        PrometheusClient(f"http://{place}").query("x")
    with answering(b"no", 503) as (place, _), pytest.raises(CtconsoleError, match="503, Service"):
        PrometheusClient(f"http://{place}").query("x")


def test_it_is_asked_over_time() -> None:
    one = {"metric": {"a": "b"}, "values": [[1.5, "1"], [2.5, "NaN"], [3.5, "+Inf"], [4.5, "2"]]}
    answer = {
        "status": "success",
        "warnings": ["a store is away"],
        "data": {"resultType": "matrix", "result": [one]},
    }
    with answering(json.dumps(answer).encode()) as (place, _):
        found, warnings = PrometheusClient(f"http://{place}").query_range("x", 1, 5, 1)
    assert found == [({"a": "b"}, ((1.5, 1.0), (4.5, 2.0)))]
    assert warnings == ("a store is away",)


def test_what_is_no_number_but_a_histogram_is_left_out() -> None:
    with answering(vector({"metric": {}, "histogram": [1.5, {"count": "1"}]})) as (place, _):
        assert PrometheusClient(f"http://{place}").query("x") == []


def test_it_is_not_followed_elsewhere_with_what_is_shown_to_it() -> None:
    with (
        answering(vector()) as (other, asked),
        answering(b"", 302, f"http://{other}/login") as (place, _),
        pytest.raises(CtconsoleError, match="it is elsewhere"),
    ):
        PrometheusClient(f"http://{place}", "token").query("x")
    assert asked == []


def test_an_answer_that_never_ends_is_broken_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prometheus, "_PATIENCE", 1.0)
    monkeypatch.setattr(prometheus, "_PIECE", 10)
    moments = iter(range(100))
    monkeypatch.setattr(prometheus, "monotonic", lambda: float(next(moments)))
    with answering(b"x" * 100) as (place, _), pytest.raises(CtconsoleError, match="takes too long"):
        PrometheusClient(f"http://{place}").query("x")


def test_an_answer_without_end_is_broken_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prometheus, "_LARGEST", 10)
    with answering(b"x" * 100) as (place, _), pytest.raises(CtconsoleError, match="too large"):
        PrometheusClient(f"http://{place}").query("x")


def test_nobody_there_is_told_without_the_password() -> None:
    with pytest.raises(CtconsoleError, match="cannot be asked: Connection refused") as told:
        PrometheusClient("http://me:secret@127.0.0.1:1").query("x")
    assert "secret" not in str(told.value)


@pytest.mark.parametrize(
    "url", ["", "x", "file:///etc/passwd", "http://", "http://h:x", "http://[::1"]
)
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="is no address"):
        PrometheusClient(url)
