"""The console in a browser of this machine, for whoever has the link that is printed once.

textual-serve starts a console for each page and passes keys and pictures to and fro. It asks
nobody who they are, so that is done here: only the loopback is listened on, only this address may
be in the request (a name that somebody points at the loopback is refused), the token of the link
opens one session, and every other request has to bring that session's cookie.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import secrets
import socket
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import psutil
from aiohttp import web
from textual_serve.server import Server

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

LOOPBACK: Final = "127.0.0.1"
_BYTES: Final = 32
_PATIENCE: Final = 2.0
"""Seconds that open pages get to close."""
_POLICY: Final = (
    "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
    "font-src 'self' data:; img-src 'self' data:; connect-src 'self'; frame-ancestors 'none'"
)


class ConsoleServer(Server):
    """Serves one command on a port of the loopback to one browser.

    Args:
        command: for a shell; what each page runs.
        port: 0 takes a free one.
        title: of the page.

    Attributes:
        address: ``http://127.0.0.1:PORT``.
        token: what the first request has to bring; empty once it was used.

    Raises:
        OSError: the port is taken.
    """

    def __init__(self, command: str, port: int = 0, title: str = "ctconsole") -> None:
        self._socket = socket.create_server((LOOPBACK, port))
        self._port: int = self._socket.getsockname()[1]
        super().__init__(command, host=LOOPBACK, port=self._port, title=title)
        self.address = f"http://{LOOPBACK}:{self._port}"
        self.public_url = self.address
        self.token = secrets.token_urlsafe(_BYTES)
        self._session = ""
        # Cookies know no ports: other servers of this address have others.
        self._cookie = f"ctconsole-{self._port}"

    @property
    def link(self) -> str:
        """What opens the console, once."""
        return f"{self.address}/?token={self.token}"

    def initialize_logging(self) -> None:
        """Say nothing but what goes wrong; requests hold the token."""
        logging.basicConfig(level=logging.ERROR)

    async def on_startup(self, app: web.Application) -> None:
        """Print nothing: the link is told by whoever serves."""

    async def _make_app(self) -> web.Application:
        made: web.Application = await super()._make_app()
        made.middlewares.append(self._let_in)
        return made

    async def serve_until_ended(self, ended: Awaitable[object]) -> None:
        """Serve until this is awaited."""
        runner = web.AppRunner(await self._make_app(), access_log=None, shutdown_timeout=_PATIENCE)
        await runner.setup()
        others = set(psutil.Process().children())
        try:
            await web.SockSite(runner, self._socket).start()
            await ended
        finally:
            await runner.cleanup()
            await _see_end(others)

    @web.middleware
    async def _let_in(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer those who may ask; others learn nothing but that they may not."""
        if request.host != f"{LOOPBACK}:{self._port}":
            raise web.HTTPForbidden(text="This address is not served here.")
        if request.headers.get("Origin", self.address) != self.address:
            raise web.HTTPForbidden(text="Another page asks; this one answers its own only.")
        given = request.query.get("token", "")
        if self.token and given and hmac.compare_digest(given.encode(), self.token.encode()):
            raise self._opened()
        cookie = request.cookies.get(self._cookie, "")
        if not self._session or not hmac.compare_digest(cookie.encode(), self._session.encode()):
            raise web.HTTPForbidden(
                text="The link was used already, or is not whole. Start ctconsole serve again."
            )
        answer = await handler(request)
        if not answer.prepared:
            answer.headers["Content-Security-Policy"] = _POLICY
            answer.headers["Referrer-Policy"] = "no-referrer"
            answer.headers["X-Content-Type-Options"] = "nosniff"
        return answer

    def _opened(self) -> web.HTTPSeeOther:
        """The token becomes a session, and is worth nothing from now on."""
        self.token = ""
        self._session = secrets.token_urlsafe(_BYTES)
        answer = web.HTTPSeeOther("/")
        answer.set_cookie(self._cookie, self._session, httponly=True, samesite="Strict", path="/")
        answer.headers["Referrer-Policy"] = "no-referrer"
        return answer


async def _see_end(others: set[psutil.Process]) -> None:
    """Wait for the consoles, which were told to end; who does not is ended.

    Args:
        others: children of this process that are no consoles.
    """
    end = time.monotonic() + _PATIENCE
    while consoles := [one for one in psutil.Process().children() if one not in others]:
        if time.monotonic() > end:
            for one in consoles:
                with suppress(psutil.NoSuchProcess):
                    one.kill()
        await asyncio.sleep(0.05)
