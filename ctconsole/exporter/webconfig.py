"""Who may read the metrics, and over what: a web configuration as Prometheus' exporters take it.

``tls_server_config`` (``cert_file``, ``key_file``, ``client_ca_file``, ``client_auth_type``,
``min_version``) and ``basic_auth_users`` (names and bcrypt hashes), in YAML. Files named in it are
found beside it. Anything else in it is refused: what is not carried out must not be believed.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
import ssl
from collections import OrderedDict
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from ctconsole.errors import MissingFeatureError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_AUTH: Final = {
    "": ssl.CERT_NONE,
    "NoClientCert": ssl.CERT_NONE,
    "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
    "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
}
"""``client_auth_type``; those that ask for a certificate and do not verify it are refused."""

_VERSIONS: Final = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}

_TLS_KEYS: Final = {"cert_file", "key_file", "client_ca_file", "client_auth_type", "min_version"}

_LARGEST: Final = 1 << 20
"""Bytes; a web configuration has a few hundred."""

_REMEMBERED: Final = 64
"""Passwords that were right, of which it is remembered: bcrypt takes longer than a scrape."""

_HASHES: Final = ("$2a$", "$2b$", "$2y$")

_NOBODY: Final = "$2b$10$C6UzMDM.H6dfI/f/IKcEeO7FZKV/ElBRdgOIFa2UuVAGOQ2GoAjFy"
"""What the password of a user that there is not is held against, so that it takes as long."""


@dataclass(frozen=True)
class WebConfig:
    """What was read.

    Attributes:
        tls: the certificate and how it is used; None speaks plainly.
        users: bcrypt hashes by name; empty lets everybody.
    """

    tls: ssl.SSLContext | None
    users: Mapping[str, str]

    @classmethod
    def read(cls, path: Path) -> WebConfig:
        """Read a web configuration and the certificates it names.

        Raises:
            UsageError: it cannot be read, or something in it is not understood.
            MissingFeatureError: the libraries for it are not installed.
        """
        found = _mapping(_parsed(path), path, {"tls_server_config", "basic_auth_users"})
        told = found.get("tls_server_config")
        tls = _tls(_mapping(told, path, _TLS_KEYS), path) if told else None
        users = found.get("basic_auth_users") or {}
        if not isinstance(users, dict):
            raise UsageError(f"{path}: basic_auth_users is no list of names and bcrypt hashes")
        for name, hashed in users.items():
            if not isinstance(hashed, str) or not hashed.startswith(_HASHES):
                raise UsageError(
                    f"{path}: the password of {name} is no bcrypt hash",
                    hint="Make one with: htpasswd -nB USER",
                )
        return cls(tls, MappingProxyType({str(name): one for name, one in users.items()}))


class Doorkeeper:
    """Lets requests in by their ``Authorization`` header. Safe from any thread.

    Args:
        users: bcrypt hashes by name.
    """

    def __init__(self, users: Mapping[str, str]) -> None:
        self._users = users
        self._key = secrets.token_bytes(32)
        self._right: OrderedDict[bytes, None] = OrderedDict()

    def __call__(self, headers: Mapping[str, str]) -> bool:
        """Whether a request with these headers is let in."""
        told = next((text for name, text in headers.items() if name.lower() == _HEADER), "")
        kind, _, encoded = told.partition(" ")
        if kind.lower() != "basic":
            return False
        try:
            text = base64.b64decode(encoded.strip(), validate=True)
        except (binascii.Error, ValueError):
            return False
        name, colon, password = text.partition(b":")
        return bool(colon) and self._is_right(name.decode("utf-8", "replace"), password)

    def _is_right(self, name: str, password: bytes) -> bool:
        import bcrypt

        seen = hmac.new(self._key, name.encode() + b"\0" + password, hashlib.sha256).digest()
        if seen in self._right:
            return True
        hashed = self._users.get(name, _NOBODY)
        try:
            right = bcrypt.checkpw(password, hashed.encode())
        except ValueError:
            # Longer than bcrypt takes, or a damaged hash.
            return False
        if not right or name not in self._users:
            return False
        self._right[seen] = None
        while len(self._right) > _REMEMBERED:
            self._right.popitem(last=False)
        return True


_HEADER: Final = "authorization"


def _parsed(path: Path) -> object:
    try:
        import bcrypt
        import yaml
    except ModuleNotFoundError as error:
        raise MissingFeatureError(
            f"A web configuration needs {error.name}", hint="pip install 'ctconsole[web]'"
        ) from error
    del bcrypt
    try:
        with path.open("rb") as file:
            text = file.read(_LARGEST + 1)
        if len(text) > _LARGEST:
            raise UsageError(f"{path} is too large to be a web configuration")
        return yaml.safe_load(text)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        place = getattr(error, "problem_mark", None)
        where = f", line {place.line + 1}" if place else ""
        raise UsageError(f"{path}{where}: this is no YAML") from error


def _mapping(found: object, path: Path, known: set[str]) -> dict[str, Any]:
    """A mapping of these keys only."""
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise UsageError(
            f"{path} is no web configuration", hint=f"It has {', '.join(sorted(known))}"
        )
    unknown = sorted(str(key) for key in found if key not in known)
    if unknown:
        raise UsageError(
            f"{path}: {', '.join(unknown)} is not known here",
            hint=f"Known are {', '.join(sorted(known))}",
        )
    return found


def _tls(told: Mapping[str, Any], path: Path) -> ssl.SSLContext:
    files = {}
    for name in ("cert_file", "key_file", "client_ca_file"):
        value = told.get(name)
        if value is None and name != "client_ca_file":
            raise UsageError(f"{path}: tls_server_config has no {name}")
        files[name] = str(path.parent / str(value)) if value else None
    auth, least = str(told.get("client_auth_type") or ""), str(told.get("min_version") or "TLS12")
    if auth not in _AUTH or least not in _VERSIONS:
        one, known = (auth, _AUTH) if auth not in _AUTH else (least, _VERSIONS)
        raise UsageError(f"{path}: {one} is none of {', '.join(filter(None, known))}")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _VERSIONS[least]
    try:
        context.load_cert_chain(files["cert_file"] or "", files["key_file"])
        if files["client_ca_file"]:
            context.load_verify_locations(files["client_ca_file"])
    except (OSError, ssl.SSLError) as error:
        reason = error.strerror or str(error)
        raise UsageError(f"{path}: the certificate or its key cannot be used: {reason}") from error
    if _AUTH[auth] is not ssl.CERT_NONE and not files["client_ca_file"]:
        raise UsageError(f"{path}: {auth} needs client_ca_file")
    context.verify_mode = _AUTH[auth]
    return context
