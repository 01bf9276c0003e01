"""The console for a browser: who is let in, and that it is the console that answers."""

from __future__ import annotations

import asyncio
import socket
import ssl
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from aiohttp import ClientSession, ClientTimeout, CookieJar, WSMsgType, WSServerHandshakeError
from click.testing import CliRunner

from ctconsole.cli import serve
from ctconsole.cli.main import root
from ctconsole.errors import MissingFeatureError, UsageError
from ctconsole.settings.read import settings_path
from ctconsole.ui.app import ConsoleApp
from ctconsole.ui.serving import LOOPBACK, ConsoleServer
from ctconsole.web.address import Address
from ctconsole.web.door import Door
from tests.support.captures import CAPTURES
from tests.support.web import TLS, USERS, basic, certify, written

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

CT4 = CAPTURES / "real-1.18-svc" / "cilium_ct4_global.bpftool.json"
COMMAND = f"exec {sys.executable} -m ctconsole console --from-dump {CT4}"


@asynccontextmanager
async def served(
    command: str = "exec cat", where: Address = LOOPBACK, door: Door | None = None
) -> AsyncIterator[ConsoleServer]:
    server = ConsoleServer(command, where, door=door)
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
            ConsoleServer("exec cat", server.listens)


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


async def test_an_address_that_is_taken_is_told() -> None:
    async with served() as server:
        argv = ["serve", "--bpf-root", "/x", "--port", str(server.listens.port)]
        done = await asyncio.to_thread(CliRunner().invoke, root, argv, standalone_mode=False)
        assert isinstance(done.exception, UsageError)
        assert f"{server.listens} cannot be listened on" in str(done.exception)


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["--listen", ":0"], "there are no TLS and no passwords"),
        (["--listen", "0.0.0.0:0", "--web-config", "tls"], "there are no passwords"),
        (["--listen", "192.0.2.1:0", "--web-config", "users"], "there are no TLS"),
        (["--listen", "localhost:0"], "localhost:0 is reached from elsewhere"),
        (["--listen", ":0", "--web-config", "none"], "none cannot be read"),
        (["--listen", ":0", "--port", "1"], "name two addresses"),
        (["--listen", "8100"], "8100 is no address"),
    ],
)
def test_beyond_the_loopback_both_locks_are_wanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, argv: list[str], says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    certify(tmp_path)
    (tmp_path / "tls").write_text(TLS)
    (tmp_path / "users").write_text(USERS)
    argv = ["serve", "--bpf-root", "/x", *argv]
    done = CliRunner().invoke(root, argv, standalone_mode=False)
    assert isinstance(done.exception, UsageError)
    assert says in str(done.exception)


def test_what_is_meant_is_served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[tuple[Address, bool]] = []

    async def end(server: ConsoleServer) -> int:
        made.append((server.listens, server._door is not None))
        server._socket.close()
        return 130

    monkeypatch.setattr(serve, "_serve", end)
    certify(tmp_path)
    both = str(written(tmp_path, TLS + USERS))
    for argv in (["--listen", ":0", "--web-config", both], ["--listen", ":0", "--unprotected"]):
        done = CliRunner().invoke(root, ["serve", "--bpf-root", "/x", *argv])
        assert "/?token=" in done.output
    assert [(where.host, door) for where, door in made] == [("", True), ("", False)]


async def test_a_password_is_asked_for_beside_the_link(tmp_path: Path) -> None:
    door = Door(written(tmp_path, USERS), print)
    right, wrong = basic("prometheus", "secret"), basic("prometheus", "guessed")
    async with served(door=door) as server, browser() as mine, browser() as other:
        for headers in ({}, wrong):
            refused = await mine.get(server.link, headers=headers)
            assert refused.status == 401
            assert refused.headers["WWW-Authenticate"] == 'Basic realm="ctconsole"'
        assert (await other.get(f"{server.address}/?token=guessed", headers=right)).status == 403
        assert server.token, "it is as good as before"
        assert (await mine.get(server.link, headers=right)).status == 200
        assert (await mine.get(f"{server.address}/")).status == 401
        assert (await mine.get(f"{server.address}/", headers=right)).status == 200
        assert (await other.get(f"{server.address}/", headers=right)).status == 403
        # Not every browser sends a password along here.
        async with mine.ws_connect(f"{server.address}/ws", headers={"Origin": server.address}):
            pass
        written(tmp_path, USERS.replace("prometheus", "somebody"))
        assert (await mine.get(f"{server.address}/", headers=right)).status == 401
        with pytest.raises(WSServerHandshakeError, match="401"):
            await mine.ws_connect(f"{server.address}/ws", headers={"Origin": server.address})


async def test_whoever_has_no_link_has_no_password_worked_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    door = Door(written(tmp_path, USERS), print)
    monkeypatch.setattr(door, "lets_in", None)
    async with served(door=door) as server, browser() as mine:
        for path in ("/", "/ws", "/?token=guessed"):
            asked = await mine.get(f"{server.address}{path}", headers=basic("prometheus", "secret"))
            assert asked.status == 403


async def test_a_renewed_certificate_is_shown_while_pages_stay_open(tmp_path: Path) -> None:
    certify(tmp_path)
    door = Door(written(tmp_path, TLS), print)

    def trusting() -> ssl.SSLContext:
        return ssl.create_default_context(cafile=tmp_path / "cert.pem")

    async with served(door=door) as server, browser() as mine:
        assert server.link.startswith("https://127.0.0.1:")
        opened = await mine.get(server.link, ssl=trusting())
        assert opened.status == 200
        assert server.address.replace("https", "wss") in await opened.text()
        [cookie] = mine.cookie_jar
        assert cookie["secure"]
        headers = {"Origin": server.address}
        async with mine.ws_connect(f"{server.address}/ws", headers=headers, ssl=trusting()) as page:
            certify(tmp_path, "renewed")
            new = (tmp_path / "cert.pem").read_text()
            while await asyncio.to_thread(ssl.get_server_certificate, server.listens) != new:
                pass
            await page.send_json(["ping", "7"])
            assert "pong" in await page.receive_str(timeout=30)


async def test_every_interface_is_called_by_numbers_or_by_the_nodes_name() -> None:
    async with served(where=Address("", 0)) as server, browser() as mine:
        port = server.listens.port
        assert server.address == f"http://{socket.gethostname()}:{port}"
        url = f"http://127.0.0.1:{port}/"
        for host in ("evil.example", "evil.example:80", f"evil.example:{port}", "1.2.3.4"):
            asked = await mine.get(url, headers={"Host": host})
            assert (asked.status, await asked.text()) == (403, "This address is not served here.")
        for host in (f"10.0.0.1:{port}", f"[::1]:{port}", f"{socket.gethostname()}:{port}"):
            asked = await mine.get(url, headers={"Host": host})
            assert "The link was used already" in await asked.text()
        opened = await mine.get(f"{url}?token={server.token}")
        assert f"ws://127.0.0.1:{port}/ws" in await opened.text()


async def test_what_is_no_text_opens_nothing() -> None:
    async with served() as server:
        reader, writer = await asyncio.open_connection(*server.listens)
        head = f"GET /?token=%ff HTTP/1.0\r\nHost: {server.listens}\r\nCookie: {server._cookie}="
        server._session = "open"
        writer.write(head.encode() + b"\xff\r\n\r\n")
        assert b" 403 " in await reader.readline()
        writer.close()


@pytest.mark.parametrize("served_there", [True, False])
def test_what_is_chosen_in_a_browser_is_not_written_on_the_node(
    served_there: bool,  # noqa: FBT001 - a case
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On a terminal it is."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    config = settings_path()
    config.parent.mkdir(exist_ok=True)
    config.write_text('theme = "night"\n')
    if served_there:
        monkeypatch.setenv("TEXTUAL_DRIVER", "textual.drivers.web_driver:WebDriver")
    monkeypatch.setattr("ctconsole.cli.console_files.need_terminal", lambda _: None)
    told = []

    def run(app: ConsoleApp) -> None:
        app.choices.choose("theme", "day")
        told.append(app.choices.remember())

    monkeypatch.setattr(ConsoleApp, "run", run)
    done = CliRunner().invoke(root, ["console", "--from-dump", str(CT4)])
    assert done.exit_code == 0, done.output
    written_there = "day" in config.read_text()
    assert written_there is not served_there
    assert ("there is no configuration file here" in told) is served_there
