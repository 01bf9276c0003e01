"""Who is let in, and over what: a web configuration that is followed while its files change."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
import threading
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from ctconsole.errors import CtconsoleError
from ctconsole.web.config import WebConfig, stamp

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from ctconsole.web.config import Stamp

_AGAIN: Final = 5.0
"""Seconds until a configuration that could not be used is looked at again, changed or not: what it
names may have come meanwhile."""

_REMEMBERED: Final = 64
"""Passwords that were right, of which it is remembered: bcrypt takes longer than a scrape."""

_NOBODY: Final = "$2b$10$C6UzMDM.H6dfI/f/IKcEeO7FZKV/ElBRdgOIFa2UuVAGOQ2GoAjFy"
"""What the password of a user that there is not is held against, so that it takes as long."""

_HEADER: Final = "authorization"


class Door:
    """A web configuration as it is now. Safe from any thread.

    Its files are looked at whenever somebody comes, so that a renewed certificate and another
    password count from the next connection on. What cannot be used leaves all as it was, and so
    does what would take TLS or passwords away: that wants a new start.

    Args:
        path: the web configuration.
        say: told a sentence when another one is taken up, and when one is not.

    Raises:
        UsageError: it cannot be read, or something in it is not understood.
        MissingFeatureError: the libraries for it are not installed.

    Attributes:
        taken_at: when the one in force was read, seconds since the Unix epoch.
    """

    def __init__(self, path: Path, say: Callable[[str], None]) -> None:
        self._path = path
        self._say = say
        self._lock = threading.Lock()
        self._problem = ""
        self._tried_at = 0.0
        self._take(WebConfig.read(path))

    def _take(self, config: WebConfig) -> None:
        self._config = config
        self._keeper = Doorkeeper(config.users) if config.users else None
        self._seen: Mapping[Path, Stamp] = config.files
        self.taken_at = time.time()

    @property
    def locks(self) -> frozenset[str]:
        """See `WebConfig.locks`; these never become fewer."""
        return self._config.locks

    @property
    def problem(self) -> str:
        """Why the files as they are now are not in force; empty while they are."""
        return self._problem

    def tls(self) -> ssl.SSLContext | None:
        """What the next connection speaks TLS with; None speaks plainly."""
        self.look()
        return self._config.tls

    def lets_in(self, headers: Mapping[str, str]) -> bool:
        """Whether a request with these headers is let in."""
        self.look()
        keeper = self._keeper
        return keeper is None or keeper(headers)

    def look(self) -> None:
        """Take the configuration up anew where its files have changed."""
        with self._lock:
            seen = {path: stamp(path) for path in self._config.files}
            late = bool(self._problem) and time.monotonic() - self._tried_at > _AGAIN
            if seen == self._seen and not late:
                return
            self._seen, self._tried_at = seen, time.monotonic()
            told = self._anew()
        if told:
            self._say(told)

    def _anew(self) -> str:
        """Read it; what is to be said of that."""
        before = self._problem
        try:
            found = WebConfig.read(self._path)
        except CtconsoleError as error:
            self._problem = str(error)
        else:
            missing = " and ".join(sorted(self._config.locks - found.locks))
            self._problem = f"{self._path} takes {missing} away" if missing else ""
            if not missing:
                self._take(found)
                return f"{self._path} was read anew"
        kept = f"What was read before stays in force: {self._problem}"
        return kept if self._problem != before else ""


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
