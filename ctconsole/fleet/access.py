"""How a Prometheus lets us in: passwords and tokens out of files, and whose certificate it has.

A configuration is what promtool takes as ``--http.config.file``: ``basic_auth`` (``username``,
``password`` or ``password_file``), ``authorization`` (``type``, ``credentials`` or
``credentials_file``) and ``tls_config`` (``ca_file``, ``cert_file``, ``key_file``,
``insecure_skip_verify``), in YAML. Files named in it are found beside it. Anything else in it is
refused: what is not carried out must not be believed.
"""

from __future__ import annotations

import base64
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ctconsole.errors import UsageError
from ctconsole.tlsfiles import take_own, trusting
from ctconsole.yamlfile import mapping, read_small, read_yaml

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_WHAT: Final = "configuration"

_KNOWN: Final = frozenset({"basic_auth", "authorization", "tls_config"})
_BASIC: Final = frozenset({"username", "password", "password_file"})
_BEARER: Final = frozenset({"type", "credentials", "credentials_file"})
_TLS: Final = frozenset({"ca_file", "cert_file", "key_file", "insecure_skip_verify"})


@dataclass(frozen=True, slots=True, repr=False)
class Access:
    """What is shown to a Prometheus; never printed.

    Attributes:
        scheme: of the header, e.g. ``Basic`` or ``Bearer``; empty shows nothing.
        secret: the password or the token.
        path: a file that holds it instead, read anew for each request, as tokens are exchanged.
        user: whose password it is.
        tls: how its certificate is looked at; None as usual.
    """

    scheme: str = ""
    secret: str = ""
    path: Path | None = None
    user: str = ""
    tls: ssl.SSLContext | None = None

    @classmethod
    def token(cls, path: Path) -> Access:
        """A bearer token out of a file.

        Raises:
            UsageError: it cannot be read.
        """
        found = cls("Bearer", path=path)
        found.header()
        return found

    @classmethod
    def read(cls, path: Path) -> Access:
        """What a configuration says.

        Raises:
            UsageError: it cannot be read, or something in it is not understood.
            MissingFeatureError: there is no library for YAML.
        """
        told = _mapping(read_yaml(path, f"{_WHAT} for Prometheus"), path, _KNOWN)
        basic = _mapping(told.get("basic_auth"), path, _BASIC)
        bearer = _mapping(told.get("authorization"), path, _BEARER)
        tls = _mapping(told.get("tls_config"), path, _TLS)
        if basic and bearer:
            raise UsageError(f"{path}: either basic_auth or authorization can be shown, not both")
        context = _context(tls, path) if tls else None
        if basic:
            secret, file = _secret(basic, "password", path)
            found = cls("Basic", secret, file, _text(basic, "username", path), context)
        elif bearer:
            secret, file = _secret(bearer, "credentials", path)
            found = cls(_text(bearer, "type", path) or "Bearer", secret, file, tls=context)
        else:
            found = cls(tls=context)
        found.header()
        return found

    def header(self) -> str:
        """What stands behind ``Authorization:``; empty for nothing.

        Raises:
            UsageError: the file cannot be read, or holds what no header can.
        """
        if not self.scheme:
            return ""
        secret = self.secret if self.path is None else read_small(self.path).strip()
        if self.scheme == "Basic":
            secret = base64.b64encode(f"{self.user}:{secret}".encode()).decode()
        if not secret.isascii() or not secret.isprintable() or not self.scheme.isalnum():
            raise UsageError(f"{self.path or 'The token'} is no token: it holds other letters")
        return f"{self.scheme} {secret}"


def _mapping(found: object, path: Path, known: frozenset[str]) -> Mapping[str, Any]:
    return mapping(found, path, known, _WHAT)


def _text(told: Mapping[str, Any], name: str, path: Path) -> str:
    value = told.get(name, "")
    if not isinstance(value, str):
        raise UsageError(f"{path}: {name} is no text")
    return value


def _secret(told: Mapping[str, Any], name: str, path: Path) -> tuple[str, Path | None]:
    """It, or the file that holds it."""
    secret, file = _text(told, name, path), _text(told, f"{name}_file", path)
    if bool(secret) == bool(file):
        raise UsageError(f"{path} needs either {name} or {name}_file")
    return secret, path.parent / file if file else None


def _context(told: Mapping[str, Any], path: Path) -> ssl.SSLContext:
    blind = told.get("insecure_skip_verify", False)
    if not isinstance(blind, bool):
        raise UsageError(f"{path}: insecure_skip_verify is true or false")
    ca, cert, key = (_text(told, name, path) for name in ("ca_file", "cert_file", "key_file"))
    if bool(cert) != bool(key):
        raise UsageError(f"{path}: cert_file and key_file belong together")
    context = trusting(path.parent / ca) if ca else ssl.create_default_context()
    if cert:
        take_own(context, path.parent / cert, path.parent / key)
    if blind:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def access_of(config: Path | None, token: Path | None) -> Access:
    """What options say.

    Raises:
        UsageError: a file cannot be read or meant, or both want to be shown.
        MissingFeatureError: see `Access.read`.
    """
    found = Access.read(config) if config is not None else Access()
    if token is None:
        return found
    if found.scheme:
        raise UsageError(f"{config} says who asks, and so does {token}", hint="Give one of them")
    return Access("Bearer", path=Access.token(token).path, tls=found.tls)
