"""A real browser: Chromium without a screen, driven over its DevTools protocol."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiohttp import ClientSession

from tests.support.guard import end_tree

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from aiohttp import ClientWebSocketResponse

PROGRAMS = ("chromium-headless-shell", "chromium")

OPTIONS = (
    "--headless",
    "--no-sandbox",  # there is none for root
    "--no-first-run",
    "--disable-background-networking",
    "--disable-gpu",
    "--enable-unsafe-swiftshader",  # pages draw with WebGL
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",  # nothing leaves the machine
    "--remote-debugging-port=0",
    "--window-size=1280,800",
)

# The page keeps its terminal to itself; the object that has it is found by a field it sets.
FOUND = """
Object.defineProperty(Object.prototype, "websocket_url", {configurable: true, set(url) {
  Object.defineProperty(this, "websocket_url", {value: url}); window.page = this; }});
"""

SHOWN = """(() => {
  const all = window.page?.terminal?.buffer.active, shown = [];
  for (let i = 0; i < (all?.length ?? 0); i++) shown.push(all.getLine(i).translateToString(true));
  return shown.join("\\n");
})()"""


class Wire:
    """What is said to the browser and by it.

    Attributes:
        pages: those that hear what happens in them, by the names of their sessions.
    """

    def __init__(self, socket: ClientWebSocketResponse) -> None:
        self._socket = socket
        self._number = 0
        self.pages: dict[str, Page] = {}

    async def call(self, method: str, session: str = "", **parameters: object) -> dict[str, Any]:
        """Call the browser, or one page of it."""
        self._number += 1
        called = {"id": self._number, "method": method, "params": parameters}
        await self._socket.send_json(called | ({"sessionId": session} if session else {}))
        while True:
            message = await self._socket.receive_json(timeout=60)
            if message.get("id") == self._number:
                assert "error" not in message, message
                result: dict[str, Any] = message["result"]
                return result
            if page := self.pages.get(message.get("sessionId", "")):
                page.note(message["method"], message["params"])


@dataclass
class Page:
    """One tab, in a profile of its own.

    Attributes:
        asked: addresses that the page asked for and that were not held back by its own policy.
        faults: exceptions that its scripts did not catch.
    """

    wire: Wire
    session: str
    asked: dict[str, str] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    async def call(self, method: str, **parameters: object) -> dict[str, Any]:
        """Call this page."""
        return await self.wire.call(method, self.session, **parameters)

    def note(self, method: str, told: dict[str, Any]) -> None:
        """Something happened in it."""
        if method == "Network.requestWillBeSent":
            self.asked[told["requestId"]] = told["request"]["url"]
        elif method == "Network.webSocketCreated":
            self.asked[told["requestId"]] = told["url"]
        elif method == "Network.loadingFailed" and told.get("blockedReason") == "csp":
            self.asked.pop(told["requestId"], None)
        elif method == "Runtime.exceptionThrown":
            self.faults.append(told["exceptionDetails"]["text"])

    async def evaluate(self, script: str) -> str:
        """What a script comes to."""
        told = await self.call("Runtime.evaluate", expression=script, returnByValue=True)
        return str(told["result"].get("value", ""))

    async def open(self, url: str) -> str:
        """Go to an address; what the page says in plain text."""
        await self.call("Page.navigate", url=url)
        for _ in range(600):
            if await self.evaluate("document.readyState") == "complete":
                break
            await asyncio.sleep(0.1)
        return await self.evaluate("document.body.innerText")

    async def click(self, x: float, y: float) -> None:
        """Click somewhere, in pixels; what is clicked at gets the keys."""
        for kind in ("mousePressed", "mouseReleased"):
            place: dict[str, object] = {"x": x, "y": y, "button": "left", "clickCount": 1}
            await self.call("Input.dispatchMouseEvent", type=kind, **place)

    async def press(self, key: str) -> None:
        """Press a key that writes a character."""
        await self.call("Input.dispatchKeyEvent", type="keyDown", key=key, text=key)
        await self.call("Input.dispatchKeyEvent", type="keyUp", key=key)

    async def until(self, right: Callable[[str], bool]) -> str:
        """The terminal's text, once it is so."""
        shown = ""
        for _ in range(600):
            shown = await self.evaluate(SHOWN)
            if right(shown):
                return shown
            await asyncio.sleep(0.1)
        raise AssertionError(f"this was shown to the end:\n{shown}")


class Browser:
    """Chromium at work.

    Args:
        wire: speaks with it.
    """

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def page(self) -> Page:
        """An empty page of somebody who has no cookie of anybody else."""
        person = (await self._wire.call("Target.createBrowserContext"))["browserContextId"]
        made = await self._wire.call(
            "Target.createTarget", url="about:blank", browserContextId=person
        )
        attached = await self._wire.call(
            "Target.attachToTarget", targetId=made["targetId"], flatten=True
        )
        page = Page(self._wire, attached["sessionId"])
        self._wire.pages[page.session] = page
        for domain in ("Page", "Network", "Runtime"):
            await page.call(f"{domain}.enable")
        await page.call("Page.addScriptToEvaluateOnNewDocument", source=FOUND)
        return page


@asynccontextmanager
async def browser(*options: str) -> AsyncIterator[Browser]:
    """A browser with an empty profile, ended afterwards."""
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    assert program, f"none of {', '.join(PROGRAMS)} is installed; make setup-dev does that"
    with tempfile.TemporaryDirectory(prefix="browser-", ignore_cleanup_errors=True) as folder:
        with (Path(folder) / "said").open("wb") as said:
            process = await asyncio.create_subprocess_exec(
                *(program, *OPTIONS, *options, f"--user-data-dir={folder}/profile"),
                stdout=said,
                stderr=said,
            )
        try:
            told = Path(folder) / "profile" / "DevToolsActivePort"
            for _ in range(600):
                if told.exists() and len(lines := told.read_text().split("\n")) > 1:
                    break
                assert process.returncode is None, (Path(folder) / "said").read_text()
                await asyncio.sleep(0.1)
            url = f"ws://127.0.0.1:{lines[0]}{lines[1]}"
            async with ClientSession() as client, client.ws_connect(url, max_msg_size=0) as socket:
                wire = Wire(socket)
                yield Browser(wire)
                await wire.call("Browser.close")
            await asyncio.wait_for(process.wait(), 30)
        finally:
            if process.returncode is None:
                end_tree(process.pid)
                await process.wait()
