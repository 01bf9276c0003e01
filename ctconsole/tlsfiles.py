"""Certificates and keys in files: what cannot be used is said of the file, in words."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from ctconsole.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path


def take_own(context: ssl.SSLContext, cert: Path, key: Path) -> None:
    """Show a certificate to whoever is spoken with.

    Raises:
        UsageError: a file cannot be read, holds none, or the two do not belong together.
    """
    _readable(cert)
    _readable(key)
    try:
        # Without a password OpenSSL asks whoever sits at the terminal for that of a locked key.
        context.load_cert_chain(cert, key, password="")
    except (OSError, ValueError) as error:
        raise _useless(f"{cert} with {key}", error) from error


def take_roots(context: ssl.SSLContext, file: Path) -> None:
    """Believe certificates that were signed by one in a file.

    Raises:
        UsageError: it cannot be read, or holds none.
    """
    _readable(file)
    try:
        context.load_verify_locations(file)
    except (OSError, ValueError) as error:
        raise _useless(str(file), error) from error


def trusting(file: Path) -> ssl.SSLContext:
    """Asks others for a certificate that was signed by one in a file, and by no other.

    Raises:
        UsageError: it cannot be read, or holds none.
    """
    _readable(file)
    try:
        return ssl.create_default_context(cafile=str(file))
    except (OSError, ValueError) as error:
        raise _useless(str(file), error) from error


def _readable(path: Path) -> None:
    """OpenSSL does not say which of its files it could not read."""
    try:
        with path.open("rb") as file:
            file.read(1)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}") from error


def _useless(what: str, error: OSError | ValueError) -> UsageError:
    """Why, without the place in Python's own source where it came up."""
    reason = error.reason if isinstance(error, ssl.SSLError) else str(error)
    words = (reason or "no certificate and key in PEM").replace("_", " ").lower()
    return UsageError(f"{what} cannot be used for TLS: {words}")
