"""How a Prometheus is told who asks, and what of it is seen by nobody else."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import pytest

from ctconsole.errors import UsageError
from ctconsole.fleet.access import Access, access_of
from ctconsole.fleet.prometheus import PrometheusClient
from tests.unit.fleet.test_client import answering, vector

if TYPE_CHECKING:
    from pathlib import Path


def written(folder: Path, text: str, name: str = "http.yml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_a_password_is_read_from_the_file_beside_the_configuration(tmp_path: Path) -> None:
    written(tmp_path, "s@cret\n", "word")
    config = written(tmp_path, "basic_auth: {username: me, password_file: word}")
    assert Access.read(config).header() == "Basic bWU6c0BjcmV0"


def test_a_token_that_is_exchanged_is_read_anew(tmp_path: Path) -> None:
    path = written(tmp_path, "one\n", "token")
    with answering(vector()) as (place, asked):
        client = PrometheusClient(f"http://{place}", access=Access.token(path))
        client.query("x")
        path.write_text("two")
        client.query("x")
    assert [one["authorization"] for one in asked] == ["Bearer one", "Bearer two"]


def test_certificates_are_looked_at_unless_they_are_not_to_be(tmp_path: Path) -> None:
    tls = Access.read(written(tmp_path, "tls_config: {}\nbasic_auth:")).tls
    assert tls is None
    blind = Access.read(written(tmp_path, "tls_config: {insecure_skip_verify: true}")).tls
    assert blind is not None
    assert blind.verify_mode is ssl.CERT_NONE
    seeing = Access.read(written(tmp_path, "tls_config: {insecure_skip_verify: false}")).tls
    assert seeing is not None
    assert seeing.verify_mode is ssl.CERT_REQUIRED


def test_nothing_secret_is_printed(tmp_path: Path) -> None:
    access = Access.read(written(tmp_path, "authorization: {credentials: s3cret}"))
    assert "s3cret" not in repr(access)
    with pytest.raises(UsageError) as told:
        PrometheusClient("http://me:s3cret@h:x")
    assert "s3cret" not in str(told.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("basic_auth: {username: me}", "needs either password or password_file"),
        ("basic_auth: {username: 3, password: x}", "username is no text"),
        ("authorization: {credentials: a, credentials_file: b}", "needs either credentials"),
        ("authorization: {credentials_file: nowhere}", "nowhere cannot be read"),
        ('authorization: {credentials: "a\\nb"}', "is no token"),
        ("authorization: {credentials: a}\nbasic_auth: {username: b, password: c}", "not both"),
        ("oauth2: {}", "oauth2 is not known here"),
        ("tls_config: {ca_file: nowhere}", "nowhere cannot be read: No such file"),
        ("tls_config: {ca_file: http.yml}", "cannot be used for TLS: no certificate or crl"),
        ("tls_config: {cert_file: nowhere, key_file: x}", "nowhere cannot be read"),
        ("tls_config: {cert_file: nowhere}", "belong together"),
        ("tls_config: {insecure_skip_verify: 1}", "true or false"),
        ("- a", "is no configuration"),
        ("a: [", "no YAML"),
    ],
)
def test_what_cannot_be_carried_out_is_refused(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Access.read(written(tmp_path, text))


def test_one_way_to_say_who_asks(tmp_path: Path) -> None:
    token = written(tmp_path, "one", "token")
    tls = written(tmp_path, "tls_config: {insecure_skip_verify: true}")
    found = access_of(tls, token)
    assert (found.header(), found.tls is not None) == ("Bearer one", True)
    both = written(tmp_path, "authorization: {credentials: a}", "both")
    with pytest.raises(UsageError, match="Give one of them"):
        access_of(both, token)
    with pytest.raises(UsageError, match="cannot be read"):
        access_of(None, tmp_path / "nowhere")
    assert access_of(None, None).header() == ""
