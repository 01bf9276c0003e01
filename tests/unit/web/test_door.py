"""Who is let in by a web configuration, also while its files change."""

from __future__ import annotations

import base64
import os
import ssl
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

import bcrypt
import pytest

from ctconsole.errors import UsageError
from ctconsole.exporter.server import MetricsServer
from ctconsole.web import door as doors
from ctconsole.web.address import Address
from ctconsole.web.door import Door, Doorkeeper
from tests.support.web import HASHED, TLS, USERS, basic, certify, written

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SECRET = basic("prometheus", "secret")


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A folder with ``cert.pem`` and ``key.pem`` for 127.0.0.1."""
    certify(tmp_path)
    return tmp_path


@pytest.fixture
def told() -> list[str]:
    """What was said."""
    return []


def test_a_scrape_over_tls_with_a_password(certificate: Path, told: list[str]) -> None:
    door = Door(written(certificate, TLS + USERS), told.append)
    with MetricsServer(Address("127.0.0.1", 0), lambda _: b"page", door) as server:
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
    monkeypatch.setattr(doors, "_NOBODY", HASHED)
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


def replaced(path: Path, text: str) -> None:
    """Put another file in its place, as whoever renews something does."""
    new = path.with_suffix(".new")
    new.write_text(text)
    new.replace(path)


def test_a_renewed_certificate_counts_from_the_next_connection_on(
    certificate: Path, told: list[str]
) -> None:
    door = Door(written(certificate, TLS), told.append)
    with MetricsServer(Address("127.0.0.1", 0), lambda _: b"page", door) as server:
        server.start()

        def shown() -> str:
            return ssl.get_server_certificate(server.address, timeout=30)

        first = shown()
        assert first == (certificate / "cert.pem").read_text()
        certify(certificate, "renewed")
        assert shown() == (certificate / "cert.pem").read_text() != first
    assert told == [f"{certificate / 'web.yml'} was read anew"]


def test_another_password_counts_at_once(tmp_path: Path, told: list[str]) -> None:
    path = written(tmp_path, USERS)
    door = Door(path, told.append)
    assert door.lets_in(SECRET)
    other = bcrypt.hashpw(b"other", bcrypt.gensalt(4)).decode()
    replaced(path, f"basic_auth_users: {{prometheus: {other!r}}}")
    assert not door.lets_in(SECRET)
    assert door.lets_in(basic("prometheus", "other"))
    assert told == [f"{path} was read anew"]


def test_a_secret_of_kubernetes_is_another_folder_behind_a_link(
    tmp_path: Path, told: list[str]
) -> None:
    for name, text in (("1", USERS), ("2", "basic_auth_users: {nobody: " + repr(HASHED) + "}")):
        (tmp_path / name).mkdir()
        written(tmp_path / name, text)
    (tmp_path / "data").symlink_to("1")
    (tmp_path / "web.yml").symlink_to("data/web.yml")
    door = Door(tmp_path / "web.yml", told.append)
    assert door.lets_in(SECRET)
    (tmp_path / "new").symlink_to("2")
    (tmp_path / "new").replace(tmp_path / "data")
    assert not door.lets_in(SECRET)


def gone(folder: Path) -> None:
    (folder / "web.yml").unlink()


def wrong(folder: Path) -> None:
    replaced(folder / "web.yml", "basic_auth_users: [")


def empty(folder: Path) -> None:
    """As a file is for a moment that is written in place."""
    (folder / "web.yml").write_text("")


def without_users(folder: Path) -> None:
    replaced(folder / "web.yml", TLS)


def without_tls(folder: Path) -> None:
    replaced(folder / "web.yml", USERS)


def damaged(folder: Path) -> None:
    replaced(folder / "cert.pem", "-----BEGIN CERTIFICATE-----")


def of_another_key(folder: Path) -> None:
    key = (folder / "key.pem").read_text()
    certify(folder)
    replaced(folder / "key.pem", key)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (gone, "cannot be read: No such file"),
        (wrong, "this is no YAML"),
        (empty, "takes TLS and passwords away"),
        (without_users, "takes passwords away"),
        (without_tls, "takes TLS away"),
        (damaged, "cannot be used for TLS: "),
        (of_another_key, "cannot be used for TLS: key values mismatch"),
    ],
)
def test_what_cannot_be_used_leaves_all_as_it_was(
    certificate: Path, told: list[str], change: Callable[[Path], None], says: str
) -> None:
    path = written(certificate, TLS + USERS)
    door = Door(path, told.append)
    tls = door.tls()
    assert tls is not None
    change(certificate)
    for _ in range(3):
        assert door.tls() is tls
        assert door.lets_in(SECRET)
        assert not door.lets_in({})
    [said] = told
    assert said.startswith("What was read before stays in force: ")
    assert says in said
    assert says in door.problem
    certify(certificate)
    replaced(path, TLS + USERS)
    assert door.tls() is not tls
    assert door.lets_in(SECRET)
    assert (door.problem, told[1:]) == ("", [f"{path} was read anew"])


def test_what_it_names_may_come_later(
    certificate: Path, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(certificate, TLS)
    door = Door(path, told.append)
    replaced(path, TLS.replace("cert.pem", "new.pem"))
    door.look()
    os.link(certificate / "cert.pem", certificate / "new.pem")
    door.look()
    assert door.problem, "it is not looked at again each time"
    monkeypatch.setattr(doors, "_AGAIN", 0.0)
    door.look()
    assert door.problem == ""


def test_certificates_of_clients_are_asked_for_as_before(
    certificate: Path, told: list[str]
) -> None:
    asking = "client_ca_file: cert.pem, client_auth_type: RequireAndVerifyClientCert"
    path = written(certificate, f"{TLS.rstrip()[:-1]}, {asking}}}")
    door = Door(path, told.append)
    assert door.locks == {"TLS", "certificates of clients"}
    replaced(path, TLS)
    tls = door.tls()
    assert tls is not None
    assert tls.verify_mode is ssl.CERT_REQUIRED
    assert "takes certificates of clients away" in told[0]


def test_to_begin_with_it_has_to_be_whole(tmp_path: Path, told: list[str]) -> None:
    with pytest.raises(UsageError, match="no YAML"):
        Door(written(tmp_path, "a: ["), told.append)
    assert told == []
