"""`ctconsole serve` in a real browser: what somebody there sees, and what he cannot do."""

from __future__ import annotations

import signal
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import pytest

from ctconsole.kernel import mapwrite, pins
from ctconsole.model.ct.layout import Layout, value_dtype
from ctconsole.paths import GLOBALS
from tests.support.browser import browser
from tests.support.ct_entries import CT4, ct4_rows
from tests.support.web import TLS, USERS, certify, written

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ctconsole.kernel.gate import Gate

pytestmark = pytest.mark.timeout(240)

ENTRIES = 200
MOST, LEAST = f" 0.0.0.{ENTRIES - 1}:", " 0.0.0.0:"
"""Sources of the entries that stand first and last: those with most and fewest bytes."""


@pytest.fixture
def node(gate: Gate, bpffs: Path) -> Path:
    with mapwrite.create(gate, CT4) as live:
        pins.pin(gate, live, bpffs / GLOBALS / CT4.name)
        keys, values = ct4_rows(ENTRIES, lifetime=2**31)
        values.view(value_dtype(Layout.V1_9))["rx_bytes"][:, 0] = np.arange(ENTRIES)
        mapwrite.update_batch(gate, live, keys, values)
    return bpffs


@contextmanager
def served(node: Path, *options: str) -> Iterator[str]:
    """A console of a node; its link."""
    argv = [sys.executable, "-m", "ctconsole", "serve", "--bpf-root", str(node), *options]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 128 + signal.SIGINT


async def test_the_console_is_there_and_is_only_looked_at(node: Path) -> None:
    with served(node) as link:
        async with browser() as chromium:
            page, other = await chromium.page(), await chromium.page()
            await page.open(link)
            await page.until(lambda shown: "READ-ONLY" in shown and "200" in shown)
            address = await page.evaluate("location.href")
            assert link.startswith(address), "the token is not in the address any more"

            assert "The link was used already" in await other.open(link)
            assert "The link was used already" in await other.open(address)

            await page.click(640, 250)
            await page.press("2")
            await page.until(lambda shown: MOST in shown and LEAST not in shown)
            await page.press("G")
            await page.until(lambda shown: LEAST in shown and MOST not in shown)

            for key, says in (
                ("D", "read-only: drop --read-only"),
                ("e", "in a browser nothing is written"),
                ("o", "in a browser nothing is written"),
            ):
                await page.press(key)
                await page.until(lambda shown, says=says: says in shown)  # type: ignore[misc]
            assert page.faults == []
            elsewhere = [url for url in page.asked.values() if not url.startswith(address)]
            assert elsewhere == [
                address.replace("http", "ws") + "ws?" + elsewhere[0].partition("?")[2]
            ]


async def test_over_tls_with_a_password(node: Path, tmp_path: Path) -> None:
    certify(tmp_path)
    config = written(tmp_path, TLS + USERS)
    with served(node, "--listen", "127.0.0.1:0", "--web-config", str(config)) as link:
        async with browser("--ignore-certificate-errors") as chromium:
            page = await chromium.page()
            await page.open(link)
            assert "READ-ONLY" not in await page.evaluate("document.body.innerText")
            assert link.startswith("https://")
            await page.open(link.replace("https://", "https://prometheus:secret@"))
            await page.until(lambda shown: "READ-ONLY" in shown and "200" in shown)
            assert page.faults == []
