"""TLS and passwords: what a web configuration may say, and who is let in by it."""

from __future__ import annotations

import base64
import ssl
import subprocess
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

import bcrypt
import pytest

from ctconsole.errors import UsageError
from ctconsole.exporter import webconfig
from ctconsole.exporter.server import Address, MetricsServer
from ctconsole.exporter.webconfig import Doorkeeper, WebConfig

if TYPE_CHECKING:
    from pathlib import Path

HASHED = bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode()


def written(folder: Path, text: str) -> Path:
    path = folder / "web.yml"
    path.write_text(text)
    return path


def basic(name: str, password: str) -> dict[str, str]:
    return {"Authorization": f"Basic {base64.b64encode(f'{name}:{password}'.encode()).decode()}"}


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``cert.pem`` and ``key.pem`` for 127.0.0.1."""
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *(
                "-nodes",
                "-days",
                "2",
                "-subj",
                "/CN=test",
                "-addext",
                "subjectAltName=IP:127.0.0.1",
            ),
            *("-keyout", folder / "key.pem", "-out", folder / "cert.pem"),
        ],
        check=True,
        capture_output=True,
        timeout=60,
    )
    return folder


TLS = "tls_server_config: {cert_file: cert.pem, key_file: key.pem}\n"


def test_a_scrape_over_tls_with_a_password(certificate: Path) -> None:
    text = f"{TLS}basic_auth_users: {{prometheus: {HASHED!r}}}\n"
    web = WebConfig.read(written(certificate, text))
    with MetricsServer(
        Address("127.0.0.1", 0), lambda _: b"page", allowed=Doorkeeper(web.users), tls=web.tls
    ) as server:
        server.start()
        url = f"https://{server.address}/metrics"
        trusting = ssl.create_default_context(cafile=str(certificate / "cert.pem"))

        def get(headers: dict[str, str]) -> bytes:
            request = urllib.request.Request(url, headers=headers)
            with urllib.request.urlopen(request, timeout=30, context=trusting) as answer:  # noqa: S310 - of this test
                return bytes(answer.read())

        assert get(basic("prometheus", "secret")) == b"page"
        for headers in ({}, basic("prometheus", "wrong"), basic("root", "secret")):
            with pytest.raises(urllib.error.HTTPError, match="401"):
                get(headers)
        with pytest.raises(OSError, match=r"closed|reset|BadStatus|disconnected"):
            urllib.request.urlopen(url.replace("https", "http"), timeout=30)  # noqa: S310 - likewise


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": ""},
        {"Authorization": "Basic"},
        {"Authorization": "Basic !!!"},
        {"Authorization": "Bearer secret"},
        {"Authorization": f"Basic {base64.b64encode(b'prometheus').decode()}"},
        {"Authorization": f"Basic {base64.b64encode(bytes([255, 254]) + b':x').decode()}"},
        basic("prometheus", ""),
        basic("prometheus", "secret\0"),
        basic("prometheus", "x" * 5000),
        basic("", "secret"),
        basic("broken", "secret"),
    ],
)
def test_nobody_else_is_let_in(headers: dict[str, str]) -> None:
    keeper = Doorkeeper({"prometheus": HASHED, "broken": "$2b$no hash"})
    for _ in range(2):
        assert not keeper(headers)
        assert keeper(basic("prometheus", "secret"))
        assert keeper({"authorization": basic("prometheus", "secret")["Authorization"]})


def test_a_user_that_there_is_not_has_no_password(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even that of the hash it is held against."""
    monkeypatch.setattr(webconfig, "_NOBODY", HASHED)
    keeper = Doorkeeper({"prometheus": HASHED})
    for _ in range(2):
        assert not keeper(basic("nobody", "secret"))


def test_a_right_password_is_not_worked_out_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    keeper, asked = Doorkeeper({"prometheus": HASHED}), list[bytes]()
    check = bcrypt.checkpw

    def counted(password: bytes, hashed: bytes) -> bool:
        asked.append(password)
        return check(password, hashed)

    monkeypatch.setattr(bcrypt, "checkpw", counted)
    for _ in range(3):
        assert keeper(basic("prometheus", "secret"))
        assert not keeper(basic("prometheus", "wrong"))
        assert not keeper(basic("nobody", "secret"))
    # A user that there is not takes as long as a wrong password.
    assert asked.count(b"secret") == 1 + 3
    assert asked.count(b"wrong") == 3


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [", "line 1: this is no YAML"),
        ("- a", "is no web configuration"),
        ("tls_config: {}", "tls_config is not known here"),
        ("tls_server_config: {cipher_suites: [x]}", "cipher_suites is not known here"),
        ("tls_server_config: {cert_file: x}", "tls_server_config has no key_file"),
        ("tls_server_config: {cert_file: x, key_file: y}", "the certificate or its key cannot"),
        ("basic_auth_users: {a: secret}", "the password of a is no bcrypt hash"),
        ("basic_auth_users: [a]", "basic_auth_users is no list of names"),
        (f"{TLS[:-2]}, min_version: TLS10}}", "TLS10 is none of TLS12, TLS13"),
        (f"{TLS[:-2]}, client_auth_type: RequestClientCert}}", "RequestClientCert is none of"),
        (f"{TLS[:-2]}, client_auth_type: VerifyClientCertIfGiven}}", "needs client_ca_file"),
        ("!!python/object/apply:os.system [x]", "this is no YAML"),
        ("\0", "this is no YAML"),
    ],
)
def test_what_is_not_carried_out_is_refused(certificate: Path, text: str, said: str) -> None:
    with pytest.raises(UsageError) as refused:
        WebConfig.read(written(certificate, text))
    assert said in str(refused.value)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"web\.yml cannot be read: No such file"):
        WebConfig.read(tmp_path / "web.yml")


def test_an_empty_one_lets_everybody(tmp_path: Path) -> None:
    web = WebConfig.read(written(tmp_path, ""))
    assert (web.tls, dict(web.users)) == (None, {})
