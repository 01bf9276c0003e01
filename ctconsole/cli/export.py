"""``ctconsole export``: a node's maps as metrics for Prometheus."""

from __future__ import annotations

import signal
import threading
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import click

from ctconsole.cli.common import message
from ctconsole.cli.options import (
    GivenPath,
    bpf_root_option,
    for_option,
    interval_option,
    web_config_option,
)
from ctconsole.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import FrameType

    from ctconsole.exporter.sampling import NodeSampler

DEFAULT_ADDRESS = "127.0.0.1:9965"

_SUFFIX = ".prom"
"""node_exporter reads no other files."""


@click.command(name="export")
@click.option(
    "--listen",
    metavar="HOST:PORT",
    help="Where to serve /metrics; port 0 takes a free one.  "
    f"[default: {DEFAULT_ADDRESS}, or nowhere with --textfile]",
)
@web_config_option
@click.option(
    "--textfile",
    type=GivenPath(),
    metavar="FILE.prom",
    help="Write the metrics into this file after each sample, for node_exporter.",
)
@interval_option("samples", default=15.0, least=1.0)
@for_option
@bpf_root_option
@click.option(
    "--state-dir",
    type=GivenPath(),
    metavar="DIR",
    help="State folder whose history tells of resizes; without it that of the agent of ours "
    "which looks after the maps, else the one that consoles write.",
)
def command(
    *,
    listen: str | None,
    web_config: Path | None,
    textfile: Path | None,
    interval: float,
    seconds: float | None,
    bpf_root: Path,
    state_dir: Path | None,
) -> int:
    """Export this node's maps as metrics: fill, memory, what lives, comes and goes, restarts.

    The node is sampled at its own pace, whoever asks: a scrape is answered with the newest
    sample and reads nothing. What is not known has no series. Nothing is told of single
    connections. Ctrl-C or SIGTERM ends it.

    \b
    Examples:
      ctconsole export
      ctconsole export --listen :9965 --web-config /etc/ctconsole/web.yml
      ctconsole export --textfile /var/lib/prometheus/node-exporter/ctconsole.prom
      ctconsole export --textfile ctconsole.prom --for 0      one sample, and no more
    """
    if textfile is not None and textfile.suffix != _SUFFIX:
        raise UsageError(f"{textfile} does not end in {_SUFFIX}", hint="node_exporter ignores it")
    from ctconsole.exporter.running import Exporter
    from ctconsole.exporter.server import MetricsServer
    from ctconsole.web.address import Address
    from ctconsole.web.door import Door

    address = Address.parse(listen or DEFAULT_ADDRESS) if listen or not textfile else None
    door = Door(web_config, _say) if web_config else None
    locks = door.locks if door else ()
    with ended_by_signals() as ended, ExitStack() as opened:
        exporter = opened.enter_context(
            Exporter(_sampler(bpf_root, state_dir), interval, _say, textfile=textfile, door=door)
        )
        if address is not None:
            server = opened.enter_context(MetricsServer(address, exporter.body, door))
            server.start()
            scheme = "https" if "TLS" in locks else "http"
            message(f"Serving {scheme}://{server.address}/metrics; Ctrl-C ends")
            if "passwords" not in locks and not server.address.is_loopback:
                message("Whoever reaches this port may read the metrics; --web-config asks who")
        exporter.start()
        exporter.wait(None if textfile and seconds is not None else 0.0)
        ended.wait(seconds)
        return 1 if exporter.state.error else 0


def _sampler(bpf_root: Path, state_dir: Path | None) -> NodeSampler:
    from ctconsole.agent.state import StateDir, default_state_dir
    from ctconsole.exporter.sampling import NodeSampler
    from ctconsole.node.owner import agent_of
    from ctconsole.paths import GLOBALS

    settings = agent_of(bpf_root / GLOBALS / "any", state_dir)
    folder = state_dir or (settings.state_dir if settings else default_state_dir())
    return NodeSampler(bpf_root, StateDir(folder).history)


def _say(text: str) -> None:
    message(f"ctconsole: {text}")


@contextmanager
def ended_by_signals() -> Iterator[threading.Event]:
    """An event that SIGINT and SIGTERM set while the block runs."""
    ended = threading.Event()

    def end(_number: int, _frame: FrameType | None) -> None:
        ended.set()

    before = {one: signal.signal(one, end) for one in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield ended
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
