"""``ctconsole serve``: the console in a browser of this machine, only to look."""

from __future__ import annotations

import asyncio
import shlex
import signal
import sys
from typing import TYPE_CHECKING

import click

from ctconsole.cli.common import message
from ctconsole.cli.options import bpf_root_option, from_dump_option, state_dir_option
from ctconsole.errors import MissingFeatureError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ctconsole.ui.serving import ConsoleServer


@click.command(name="serve")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=0,
    metavar="PORT",
    help="Of the loopback address.  [default: a free one]",
)
@from_dump_option
@state_dir_option
@bpf_root_option
def command(port: int, dumps: tuple[Path, ...], state_dir: Path | None, bpf_root: Path) -> int:
    """Open the same console in a browser of this machine, until Ctrl-C; nothing can be changed.

    Only 127.0.0.1 is listened on. The link that is printed works once, for one browser: whoever
    comes later is refused, also by a reload of the link in another one. From another machine:
    ssh -L PORT:127.0.0.1:PORT NODE, with the same PORT on both sides.

    \b
    Examples:
      ctconsole serve
      ctconsole serve --port 8100 --lab lab
      ctconsole serve --from-dump cilium-sysdump.zip
    """
    given = [part for path in dumps for part in ("--from-dump", str(path))]
    if not dumps:
        given = ["--read-only", "--bpf-root", str(bpf_root)]
        given += ["--state-dir", str(state_dir)] if state_dir else []
    server = _server(given, port)
    click.echo(server.link)
    message("The link opens the console once, in one browser; Ctrl-C ends it")
    return asyncio.run(_serve(server))


def _server(given: Sequence[str], port: int) -> ConsoleServer:
    """What serves a console with these options.

    Raises:
        MissingFeatureError: textual-serve is not installed.
        UsageError: the port is taken.
    """
    try:
        from ctconsole.ui.serving import ConsoleServer
    except ImportError as error:
        raise MissingFeatureError(
            "A browser is served by textual-serve, which is not installed here",
            hint="pip install 'ctconsole[browser]'",
        ) from error
    argv = [sys.executable, "-m", "ctconsole", "console", *given]
    try:
        return ConsoleServer(f"exec {shlex.join(argv)}", port)
    except OSError as error:
        raise UsageError(f"Port {port} of 127.0.0.1 cannot be had: {error.strerror}") from error


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
