"""The console for a browser: who is let in, and that it is the console that answers."""

from __future__ import annotations

import asyncio
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from aiohttp import ClientSession, ClientTimeout, CookieJar, WSMsgType, WSServerHandshakeError
from click.testing import CliRunner

from ctconsole.cli.main import root
from ctconsole.errors import MissingFeatureError, UsageError
from ctconsole.ui.serving import ConsoleServer
from tests.support.captures import CAPTURES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

CT4 = CAPTURES / "real-1.18-svc" / "cilium_ct4_global.bpftool.json"
COMMAND = f"exec {sys.executable} -m ctconsole console --from-dump {CT4}"


@asynccontextmanager
async def served(command: str = "exec cat") -> AsyncIterator[ConsoleServer]:
    server = ConsoleServer(command)
    ended = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(server.serve_until_ended(ended))
    try:
        yield server
    finally:
        ended.set_result(None)
        await serving


def browser() -> ClientSession:
    """Keeps cookies also for an address that is a number."""
    return ClientSession(cookie_jar=CookieJar(unsafe=True), timeout=ClientTimeout(60))


async def test_the_link_works_once_and_nothing_without_it() -> None:
    async with served() as server, browser() as mine, browser() as other:
        for path in ("/", "/ws", "/static/js/textual.js", "/?token=", "/?token=guessed"):
            assert (await other.get(f"{server.address}{path}")).status == 403
        link = server.link
        opened = await mine.get(link)
        assert opened.status == 200
        assert str(opened.url) == f"{server.address}/", "the token is not in the address any more"
        assert "default-src 'none'" in opened.headers["Content-Security-Policy"]
        assert (await mine.get(f"{server.address}/static/js/textual.js")).status == 200
        assert (await other.get(link)).status == 403
        assert server.token == ""
        assert (await mine.get(f"{server.address}/")).status == 200


async def test_other_pages_and_other_names_of_this_machine_are_refused() -> None:
    async with served() as server, browser() as mine:
        wrong = {"Host": "evil.example:80"}
        assert (await mine.get(server.link, headers=wrong)).status == 403
        assert server.token, "the token is as good as before"
        await mine.get(server.link)
        assert (await mine.get(f"{server.address}/", headers=wrong)).status == 403
        with pytest.raises(WSServerHandshakeError, match="403"):
            await mine.ws_connect(f"{server.address}/ws", headers={"Origin": "http://evil.example"})


async def test_it_listens_on_the_loopback_alone() -> None:
    async with served() as server:
        assert server.address.startswith("http://127.0.0.1:")
        assert [one.getsockname()[0] for one in [server._socket]] == ["127.0.0.1"]
        with pytest.raises(OSError, match="in use"):
            ConsoleServer("exec cat", server._port)


async def test_the_console_answers_through_the_socket_and_takes_keys() -> None:
    async with served(COMMAND) as server, browser() as mine:
        await mine.get(server.link)
        url = f"{server.address}/ws?width=120&height=36"
        async with mine.ws_connect(url, headers={"Origin": server.address}) as socket:
            shown = b""

            async def until(word: bytes) -> None:
                nonlocal shown
                while word not in shown:
                    message = await socket.receive(60)
                    assert message.type in {WSMsgType.BINARY, WSMsgType.TEXT}, shown[-500:]
                    shown += (
                        message.data if isinstance(message.data, bytes) else message.data.encode()
                    )

            await until(b"cilium_ct4_global")
            await socket.send_json(["stdin", "2"])
            await until(b"10.244.1.8")
            await socket.send_json(["ping", "7"])
            await until(b"pong")


def test_what_lacks_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ctconsole.ui.serving", None)
    done = CliRunner().invoke(root, ["serve", "--bpf-root", "/x"], standalone_mode=False)
    assert isinstance(done.exception, MissingFeatureError)
    assert "ctconsole[browser]" in str(done.exception)


async def test_a_port_that_is_taken_is_told() -> None:
    async with served() as server:
        argv = ["serve", "--bpf-root", "/x", "--port", str(server._port)]
        done = await asyncio.to_thread(CliRunner().invoke, root, argv, standalone_mode=False)
        assert isinstance(done.exception, UsageError)
        assert f"Port {server._port} of 127.0.0.1" in str(done.exception)
