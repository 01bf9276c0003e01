"""The console in a browser, for whoever has the link that is printed once.

textual-serve starts a console for each page and passes keys and pictures to and fro. It asks
nobody who they are, so that is done here: the token of the link opens one session, and every other
request has to bring that session's cookie. Passwords that a web configuration wants are asked for
beside it, of those who have the token or the cookie alone: nobody else has one worked out here.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import secrets
import socket
import time
from contextlib import suppress
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final

import psutil
from aiohttp import web
from textual_serve.server import Server

from ctconsole.web.address import Address

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable

    from ctconsole.web.door import Door

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

LOOPBACK: Final = Address("127.0.0.1", 0)
"""Where a console is served unless somebody says otherwise, on a free port."""

_SOCKET: Final = "/ws"
"""Keys and pictures."""

_BYTES: Final = 32
_PATIENCE: Final = 2.0
"""Seconds that open pages get to close."""

_LOOKS: Final = 1.0
"""Seconds between two looks at the certificate's files."""

_POLICY: Final = (
    "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
    "font-src 'self' data:; img-src 'self' data:; connect-src 'self'; frame-ancestors 'none'"
)


class ConsoleServer(Server):
    """Serves one command to one browser.

    Args:
        command: for a shell; what each page runs.
        where: what to listen on; port 0 takes a free one.
        title: of the page.
        door: who is let in beside having the link, and over what; None speaks plainly with
            whoever has it.

    Attributes:
        listens: where it does.
        token: what the first request has to bring; empty once it was used.

    Raises:
        OSError: the address cannot be had.
    """

    def __init__(
        self,
        command: str,
        where: Address = LOOPBACK,
        title: str = "ctconsole",
        *,
        door: Door | None = None,
    ) -> None:
        self._socket = socket.create_server(
            (where.host, where.port),
            family=where.family,
            dualstack_ipv6=not where.host and where.family is socket.AF_INET6,
        )
        self.listens = Address(where.host, self._socket.getsockname()[1])
        super().__init__(command, host=where.host, port=self.listens.port, title=title)
        self.token = secrets.token_urlsafe(_BYTES)
        self._door = door
        self._session = ""
        self._came_with = ""
        # Cookies know no ports: other servers of this address have others.
        self._cookie = f"ctconsole-{self.listens.port}"

    @property
    def address(self) -> str:
        """``http://127.0.0.1:PORT``; where every interface is listened on, by this node's name."""
        host = self.listens.host or socket.gethostname()
        return f"{self._scheme}://{Address(host, self.listens.port)}"

    @property
    def link(self) -> str:
        """What opens the console, once."""
        return f"{self.address}/?token={self.token}"

    @property
    def _scheme(self) -> str:
        return "https" if self._door is not None and self._door.tls() is not None else "http"

    def initialize_logging(self) -> None:
        """Say nothing but what goes wrong; requests hold the token."""
        logging.basicConfig(level=logging.ERROR)

    async def on_startup(self, app: web.Application) -> None:
        """Print nothing: the link is told by whoever serves."""

    async def handle_index(self, request: web.Request) -> web.StreamResponse:
        """The page, which names the address that it was asked for by."""
        self.public_url = f"{self._scheme}://{request.host}"
        answer: web.StreamResponse = await super().handle_index(request)
        return answer

    async def _make_app(self) -> web.Application:
        made: web.Application = await super()._make_app()
        made.middlewares.append(self._let_in)
        return made

    async def serve_until_ended(self, ended: Awaitable[object]) -> None:
        """Serve until this is awaited."""
        runner = web.AppRunner(await self._make_app(), access_log=None, shutdown_timeout=_PATIENCE)
        await runner.setup()
        others = set(psutil.Process().children())
        serving = asyncio.create_task(self._serve(runner))
        try:
            await asyncio.wait(
                {serving, asyncio.ensure_future(ended)}, return_when="FIRST_COMPLETED"
            )
            if serving.done():
                serving.result()
        finally:
            serving.cancel()
            with suppress(asyncio.CancelledError):
                await serving
            await runner.cleanup()
            self._socket.close()
            await _see_end(others)

    async def _serve(self, runner: web.AppRunner) -> None:
        """Listen, and over again where what TLS is spoken with has changed; open pages stay."""
        tls = self._door.tls() if self._door is not None else None
        site = await self._listen(runner, tls)
        while True:
            await asyncio.sleep(_LOOKS)
            now = self._door.tls() if self._door is not None else None
            if now is not tls:
                tls = now
                await site.stop()
                site = await self._listen(runner, tls)

    async def _listen(self, runner: web.AppRunner, tls: ssl.SSLContext | None) -> web.SockSite:
        # Of a copy: a site closes what it listens on, and who comes meanwhile is to wait.
        site = web.SockSite(runner, self._socket.dup(), ssl_context=tls)
        await site.start()
        return site

    @web.middleware
    async def _let_in(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer those who may ask; others learn nothing but that they may not."""
        if not self._is_called(request.host):
            raise web.HTTPForbidden(text="This address is not served here.")
        ours = f"{self._scheme}://{request.host}"
        if request.headers.get("Origin", ours) != ours:
            raise web.HTTPForbidden(text="Another page asks; this one answers its own only.")
        if self._brings_token(request):
            await self._ask_password(request)
            # Somebody else may have come with it while the password was worked out.
            if self._brings_token(request):
                raise self._opened(request)
        cookie = request.cookies.get(self._cookie, "")
        if not self._session or not _same(cookie, self._session):
            raise web.HTTPForbidden(
                text="The link was used already, or is not whole. Start ctconsole serve again."
            )
        await self._ask_password(request)
        answer = await handler(request)
        if not answer.prepared:
            answer.headers["Content-Security-Policy"] = _POLICY
            answer.headers["Referrer-Policy"] = "no-referrer"
            answer.headers["X-Content-Type-Options"] = "nosniff"
        return answer

    def _is_called(self, host: str) -> bool:
        """Whether this is how the server may be called.

        A name that somebody points here is none of ours. With TLS the browser sees to that: it
        wants a certificate for the name.
        """
        if self._scheme == "https" or host == str(self.listens):
            return True
        if self.listens.host:
            return False
        name, _, port = host.rpartition(":")
        with suppress(ValueError):
            return port == str(self.listens.port) and bool(ip_address(name.strip("[]")))
        return host == f"{socket.gethostname()}:{self.listens.port}"

    def _brings_token(self, request: web.Request) -> bool:
        given = request.query.get("token", "")
        return bool(self.token) and _same(given, self.token)

    async def _ask_password(self, request: web.Request) -> None:
        """Ask for a password where one is wanted and was not given.

        Not every browser sends it along where a socket is opened: there that counts with which
        the session was opened, if it still holds.

        Raises:
            HTTPUnauthorized: it is lacking, or is another one.
        """
        if self._door is None:
            return
        given = request.headers.get("Authorization", "")
        if request.path == _SOCKET:
            given = given or self._came_with
        # Working a hash out takes long on purpose, and pages are served meanwhile.
        if not await asyncio.to_thread(self._door.lets_in, {"Authorization": given}):
            raise web.HTTPUnauthorized(
                text="Unauthorized", headers={"WWW-Authenticate": 'Basic realm="ctconsole"'}
            )

    def _opened(self, request: web.Request) -> web.HTTPSeeOther:
        """The token becomes a session, and is worth nothing from now on."""
        self.token = ""
        self._session = secrets.token_urlsafe(_BYTES)
        self._came_with = request.headers.get("Authorization", "")
        answer = web.HTTPSeeOther("/")
        answer.set_cookie(
            self._cookie,
            self._session,
            httponly=True,
            samesite="Strict",
            secure=self._scheme == "https",
            path="/",
        )
        answer.headers["Referrer-Policy"] = "no-referrer"
        return answer


def _same(given: str, wanted: str) -> bool:
    """Whether two secrets are the same, in a time that tells nothing; ``given`` may be anything."""
    return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), wanted.encode())


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
