"""``ctconsole serve``: the console in a browser, only to look."""

from __future__ import annotations

import asyncio
import shlex
import signal
import sys
from typing import TYPE_CHECKING

import click

from ctconsole.cli.common import message
from ctconsole.cli.options import (
    bpf_root_option,
    from_dump_option,
    state_dir_option,
    web_config_option,
)
from ctconsole.errors import MissingFeatureError, UsageError
from ctconsole.web.address import Address

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ctconsole.ui.serving import ConsoleServer


@click.command(name="serve")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    metavar="PORT",
    help="Of the loopback address.  [default: a free one]",
)
@click.option(
    "--listen",
    metavar="HOST:PORT",
    help="Another address to serve on; beyond the loopback with --web-config.",
)
@web_config_option
@click.option(
    "--unprotected",
    is_flag=True,
    help="Serve beyond the loopback also without TLS or passwords: whoever sees the traffic can "
    "look at the node.",
)
@from_dump_option
@state_dir_option
@bpf_root_option
def command(
    *,
    port: int | None,
    listen: str | None,
    web_config: Path | None,
    unprotected: bool,
    dumps: tuple[Path, ...],
    state_dir: Path | None,
    bpf_root: Path,
) -> int:
    """Open the same console in a browser, until Ctrl-C; nothing can be changed.

    Only 127.0.0.1 is listened on unless --listen says otherwise. The link that is printed works
    once, for one browser: whoever comes later is refused, also by a reload of the link in another
    one. From another machine: ssh -L PORT:127.0.0.1:PORT NODE, with the same PORT on both sides.
    What listens beyond the loopback needs TLS and passwords, which are asked for beside the link.
    In a browser nothing is written on the node: no export, no recording.

    \b
    Examples:
      ctconsole serve
      ctconsole serve --port 8100 --lab lab
      ctconsole serve --listen :8100 --web-config /etc/ctconsole/web.yml
      ctconsole serve --from-dump cilium-sysdump.zip
    """
    given = [part for path in dumps for part in ("--from-dump", str(path))]
    if not dumps:
        given = ["--read-only", "--bpf-root", str(bpf_root)]
        given += ["--state-dir", str(state_dir)] if state_dir else []
    server = _server(given, _where(port, listen), web_config, unprotected=unprotected)
    click.echo(server.link)
    message("The link opens the console once, in one browser; Ctrl-C ends it")
    return asyncio.run(_serve(server))


def _where(port: int | None, listen: str | None) -> Address:
    """What to listen on.

    Raises:
        UsageError: two are named, or what is no address.
    """
    if listen is None:
        return Address("127.0.0.1", port or 0)
    if port is not None:
        raise UsageError("--port and --listen name two addresses", hint="Give --listen HOST:PORT")
    return Address.parse(listen)


def _server(
    given: Sequence[str], where: Address, web_config: Path | None, *, unprotected: bool
) -> ConsoleServer:
    """What serves a console with these options.

    Raises:
        MissingFeatureError: textual-serve, or what a web configuration needs, is not installed.
        UsageError: the address cannot be had, or others would reach it who may not.
    """
    try:
        from ctconsole.ui.serving import ConsoleServer
    except ImportError as error:
        raise MissingFeatureError(
            "A browser is served by textual-serve, which is not installed here",
            hint="pip install 'ctconsole[browser]'",
        ) from error
    from ctconsole.web.door import Door

    door = Door(web_config, message) if web_config else None
    lacking = sorted({"TLS", "passwords"} - (door.locks if door else frozenset()))
    if lacking and not where.is_loopback and not unprotected:
        raise UsageError(
            f"{where} is reached from elsewhere, and there are no {' and no '.join(lacking)}",
            hint="Give --web-config FILE with both, or --unprotected if that is meant",
        )
    argv = [sys.executable, "-m", "ctconsole", "console", *given]
    try:
        return ConsoleServer(f"exec {shlex.join(argv)}", where, door=door)
    except OSError as error:
        reason = error.strerror or error
        raise UsageError(f"{where} cannot be listened on: {reason}") from error


async def _serve(server: ConsoleServer) -> int:
    """Serve until a signal ends it.

    Returns:
        The exit code: 128 and the signal's number.
    """
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[int] = loop.create_future()

    def end(number: int) -> None:
        if not ended.done():
            ended.set_result(number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, end, number)
    await server.serve_until_ended(ended)
    return 128 + ended.result()
