"""What certificates a Prometheus may show, and what is said of one that it may not."""

from __future__ import annotations

import ssl
import subprocess
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING

import pytest

from ctconsole.errors import CtconsoleError
from ctconsole.fleet.access import Access
from ctconsole.fleet.prometheus import PrometheusClient
from tests.unit.fleet.test_client import answering, vector

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def certify(folder: Path, names: str, *more: str) -> None:
    """Put an authority of its own (``ca.pem``) and a certificate by it into a folder."""
    folder.mkdir()
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    (folder / "names").write_text(f"subjectAltName={names}\n")
    for argv in (
        ("req", "-x509", *key, "-subj", "/CN=authority", "-keyout", "ca.key", "-out", "ca.pem"),
        ("req", *key, "-subj", "/CN=x", "-keyout", "key.pem", "-out", "asked.pem"),
        (
            *("x509", "-req", "-in", "asked.pem", "-CA", "ca.pem", "-CAkey", "ca.key"),
            *("-CAcreateserial", "-extfile", "names", "-out", "cert.pem", *more),
        ),
    ):
        subprocess.run(["openssl", *argv], cwd=folder, check=True, capture_output=True, timeout=60)


@contextmanager
def listening(folder: Path) -> Iterator[str]:
    """The address of a server that shows the certificate of a folder."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(vector())

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
            """Say nothing."""

    class Server(HTTPServer):
        def handle_error(self, request: object, client_address: object) -> None:
            """Who does not like the certificate goes away."""

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    with Server(("127.0.0.1", 0), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"https://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def access(folder: Path, text: str) -> Access:
    path = folder / "http.yml"
    path.write_text(text)
    return Access.read(path)


def test_an_authority_of_ones_own_is_named(tmp_path: Path) -> None:
    certify(tmp_path / "a", "IP:127.0.0.1")
    with listening(tmp_path / "a") as url:
        shown = access(tmp_path, "tls_config: {ca_file: a/ca.pem}")
        assert PrometheusClient(url, access=shown).query("x") == []
        blind = access(tmp_path, "tls_config: {insecure_skip_verify: true}")
        assert PrometheusClient(url, access=blind).query("x") == []


@pytest.mark.parametrize(
    ("names", "more", "ca", "told"),
    [
        ("IP:127.0.0.1", (), "other/ca.pem", "unable to get local issuer certificate"),
        ("IP:127.0.0.1", (), "", "unable to get local issuer certificate"),
        ("IP:127.0.0.1", ("-days", "-1"), "a/ca.pem", "certificate has expired"),
        ("DNS:prometheus.example", (), "a/ca.pem", "certificate is not valid for '127.0.0.1'"),
    ],
    ids=["another's", "nobody's", "expired", "another name"],
)
def test_a_certificate_that_does_not_hold_is_one_sentence(
    tmp_path: Path, names: str, more: tuple[str, ...], ca: str, told: str
) -> None:
    certify(tmp_path / "a", names, *more)
    certify(tmp_path / "other", "IP:127.0.0.1")
    shown = access(tmp_path, f"tls_config: {{ca_file: '{ca}'}}")
    with listening(tmp_path / "a") as url, pytest.raises(CtconsoleError) as caught:
        PrometheusClient(url, access=shown).query("x")
    sentence = caught.value.message
    assert told in sentence
    assert sentence.startswith(f"{url} cannot be asked: its certificate does not hold: ")
    assert "_ssl.c" not in sentence, "where in Python's own source it came up is nobody's business"
    assert "\n" not in sentence


def test_who_speaks_plainly_where_tls_is_wanted_is_told(tmp_path: Path) -> None:
    certify(tmp_path / "a", "IP:127.0.0.1")
    with listening(tmp_path / "a") as url, pytest.raises(CtconsoleError, match="cannot be asked"):
        PrometheusClient(url.replace("https", "http")).query("x")


def test_tls_where_somebody_speaks_plainly_is_told() -> None:
    with (
        answering(vector()) as (place, _),
        pytest.raises(CtconsoleError, match="asked: there is no TLS with it: wrong version number"),
    ):
        PrometheusClient(f"https://{place}").query("x")
