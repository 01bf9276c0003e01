"""A real Prometheus beside labs, where its binary is installed (Debian's package prometheus)."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
import urllib.parse
import urllib.request
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from ctconsole.errors import LabError, MissingFeatureError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

PATIENCE: Final = 60.0
"""Seconds until it is ready, and for what comes at its next scrape."""

_LISTENING: Final = re.compile(r'msg="Listening on" address=(127\.0\.0\.1:\d+)')
_TOLD: Final = 2000
"""Characters of its log that are told where it does not start."""


def require_prometheus() -> None:
    """See that there is one.

    Raises:
        MissingFeatureError: there is none.
    """
    if shutil.which("prometheus") is None:
        raise MissingFeatureError(
            "There is no Prometheus on this machine", hint="apt-get install prometheus"
        )


@contextmanager
def prometheus(folder: Path, config: Mapping[str, Any]) -> Iterator[str]:
    """One with its data in a folder, on loopback; its address.

    Args:
        folder: empty.
        config: of it; what is JSON is YAML.

    Raises:
        MissingFeatureError: there is none.
        LabError: it does not start.
    """
    require_prometheus()
    (folder / "prometheus.yml").write_text(json.dumps(config))
    log = folder / "log"
    argv = [
        "prometheus",
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        "--web.listen-address=127.0.0.1:0",
    ]
    with log.open("wb") as told, subprocess.Popen(argv, stdout=told, stderr=told) as child:
        try:
            yield _address(log, child)
        finally:
            child.terminate()


def wait_for_nodes(url: str, query: str, nodes: int) -> None:
    """Wait until as many series answer a query as there are nodes: the first scrape is spread.

    Args:
        url: of the Prometheus.
        query: one series a node.
        nodes: how many there are.

    Raises:
        LabError: they do not within `PATIENCE`.
    """
    end = time.monotonic() + PATIENCE
    asked = f"{url}/api/v1/query?{urllib.parse.urlencode({'query': query})}"
    while True:
        with urllib.request.urlopen(asked, timeout=PATIENCE) as answer:  # noqa: S310 - ours, on loopback
            found = len(json.load(answer)["data"]["result"])
        if found >= nodes:
            return
        if time.monotonic() > end:
            raise LabError(f"Prometheus has scraped {found} of {nodes} nodes")
        time.sleep(0.1)


def _address(log: Path, child: subprocess.Popen[bytes]) -> str:
    """Where it listens, once it is ready to be asked."""
    end = time.monotonic() + PATIENCE
    while True:
        said = log.read_text("utf-8", "replace")
        found = _LISTENING.search(said)
        if found and "Server is ready" in said:
            return f"http://{found[1]}"
        if child.poll() is not None or time.monotonic() > end:
            raise LabError(f"Prometheus does not start: {said[-_TOLD:]}")
        time.sleep(0.1)
