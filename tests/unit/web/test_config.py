"""TLS and passwords: what a web configuration may say."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from ctconsole.errors import UsageError
from ctconsole.web.config import WebConfig
from tests.support.web import TLS, certify, written

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``cert.pem`` and ``key.pem`` for 127.0.0.1."""
    folder = tmp_path_factory.mktemp("tls")
    certify(folder)
    lock = ("openssl", "pkey", "-aes256", "-passout", "pass:x", "-in", folder / "key.pem")
    subprocess.run((*lock, "-out", folder / "locked.pem"), check=True, timeout=60)
    return folder


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [", "line 1: this is no YAML"),
        ("- a", "is no web configuration"),
        ("tls_config: {}", "tls_config is not known here"),
        ("tls_server_config: {cipher_suites: [x]}", "cipher_suites is not known here"),
        ("tls_server_config: {cert_file: x}", "tls_server_config has no key_file"),
        ("tls_server_config: {cert_file: x, key_file: y}", "x cannot be read: No such file"),
        ("tls_server_config: {cert_file: cert.pem, key_file: y}", "y cannot be read: No such"),
        ("tls_server_config: {cert_file: web.yml, key_file: key.pem}", "no certificate and key in"),
        (
            "tls_server_config: {cert_file: cert.pem, key_file: locked.pem}",
            "cannot be used for TLS",
        ),
        (
            f"{TLS[:-2]}, client_ca_file: key.pem}}",
            "key.pem cannot be used for TLS: no certificate",
        ),
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
    assert "_ssl.c" not in str(refused.value)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"web\.yml cannot be read: No such file"):
        WebConfig.read(tmp_path / "web.yml")


def test_an_empty_one_lets_everybody(tmp_path: Path) -> None:
    web = WebConfig.read(written(tmp_path, ""))
    assert (web.tls, dict(web.users), web.locks) == (None, {}, frozenset())
