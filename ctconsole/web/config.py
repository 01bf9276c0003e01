"""Who may read the metrics, and over what: a web configuration as Prometheus' exporters take it.

``tls_server_config`` (``cert_file``, ``key_file``, ``client_ca_file``, ``client_auth_type``,
``min_version``) and ``basic_auth_users`` (names and bcrypt hashes), in YAML. Files named in it are
found beside it. Anything else in it is refused: what is not carried out must not be believed.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from importlib.util import find_spec
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from ctconsole.errors import MissingFeatureError, UsageError
from ctconsole.tlsfiles import take_own, take_roots
from ctconsole.yamlfile import mapping, read_yaml

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    Stamp = tuple[int, int, int] | None

_AUTH: Final = {
    "": ssl.CERT_NONE,
    "NoClientCert": ssl.CERT_NONE,
    "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
    "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
}
"""``client_auth_type``; those that ask for a certificate and do not verify it are refused."""

_VERSIONS: Final = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}

_TLS_KEYS: Final = {"cert_file", "key_file", "client_ca_file", "client_auth_type", "min_version"}

_WHAT: Final = "web configuration"

_HASHES: Final = ("$2a$", "$2b$", "$2y$")


@dataclass(frozen=True)
class WebConfig:
    """What was read.

    Attributes:
        tls: the certificate and how it is used; None speaks plainly.
        users: bcrypt hashes by name; empty lets everybody.
        files: those that it was read from, certificates among them, each as it was before that.
    """

    tls: ssl.SSLContext | None
    users: Mapping[str, str]
    files: Mapping[Path, Stamp]

    @classmethod
    def read(cls, path: Path) -> WebConfig:
        """Read a web configuration and the certificates it names.

        Raises:
            UsageError: it cannot be read, or something in it is not understood.
            MissingFeatureError: the libraries for it are not installed.
        """
        files = {path: stamp(path)}
        found = _mapping(_parsed(path), path, {"tls_server_config", "basic_auth_users"})
        told = found.get("tls_server_config")
        tls = _tls(_mapping(told, path, _TLS_KEYS), path, files) if told else None
        users = found.get("basic_auth_users") or {}
        if not isinstance(users, dict):
            raise UsageError(f"{path}: basic_auth_users is no list of names and bcrypt hashes")
        for name, hashed in users.items():
            if not isinstance(hashed, str) or not hashed.startswith(_HASHES):
                raise UsageError(
                    f"{path}: the password of {name} is no bcrypt hash",
                    hint="Make one with: htpasswd -nB USER",
                )
        by_name = MappingProxyType({str(name): one for name, one in users.items()})
        return cls(tls, by_name, files)

    @property
    def locks(self) -> frozenset[str]:
        """What keeps others out, in words."""
        asks = self.tls is not None and self.tls.verify_mode is ssl.CERT_REQUIRED
        has = {"TLS": self.tls, "passwords": self.users, "certificates of clients": asks}
        return frozenset(word for word, there in has.items() if there)


def stamp(path: Path) -> Stamp:
    """What changes when a file does, or when a link leads to another one; None: it is not there."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def _mapping(found: object, path: Path, known: set[str]) -> Mapping[str, Any]:
    return mapping(found, path, known, _WHAT)


def _parsed(path: Path) -> object:
    if find_spec("bcrypt") is None:
        raise MissingFeatureError(f"A {_WHAT} needs bcrypt", hint="pip install 'ctconsole[web]'")
    return read_yaml(path, _WHAT)


def _tls(told: Mapping[str, Any], path: Path, read: dict[Path, Stamp]) -> ssl.SSLContext:
    """What speaks TLS; the files it is made of are added to those that were read."""
    for name in ("cert_file", "key_file"):
        if told.get(name) is None:
            raise UsageError(f"{path}: tls_server_config has no {name}")
    cert, key = (path.parent / str(told[name]) for name in ("cert_file", "key_file"))
    roots = path.parent / str(told["client_ca_file"]) if told.get("client_ca_file") else None
    read |= {one: stamp(one) for one in (cert, key, roots) if one is not None}
    auth, least = str(told.get("client_auth_type") or ""), str(told.get("min_version") or "TLS12")
    if auth not in _AUTH or least not in _VERSIONS:
        one, known = (auth, _AUTH) if auth not in _AUTH else (least, _VERSIONS)
        raise UsageError(f"{path}: {one} is none of {', '.join(filter(None, known))}")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _VERSIONS[least]
    take_own(context, cert, key)
    if roots is not None:
        take_roots(context, roots)
    elif _AUTH[auth] is not ssl.CERT_NONE:
        raise UsageError(f"{path}: {auth} needs client_ca_file")
    context.verify_mode = _AUTH[auth]
    return context
