"""Connections of a test case: opened in a lab's host, left idle, spoken on again."""

from __future__ import annotations

import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ctconsole.agent import control
from ctconsole.config import write_option
from ctconsole.errors import LabError
from ctconsole.kernel import netns
from ctconsole.lab import look
from ctconsole.lab.server import PORT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ctconsole.lab.folders import Lab
    from ctconsole.lab.tour import CaseReport

PATIENCE = 5.0
"""Seconds to wait for a connection or an answer."""

BAD_REQUEST = "HTTP/1.1 400 Bad Request"
"""What a web server answers to something that is no HTTP: TCP is fine, then."""


def family_of(address: str) -> socket.AddressFamily:
    """``AF_INET`` or ``AF_INET6``."""
    return socket.AF_INET6 if ":" in address else socket.AF_INET


@contextmanager
def connected(
    lab: Lab, host: str, address: str, port: int = PORT, *, own_port: int = 0
) -> Iterator[socket.socket]:
    """A TCP connection opened in one of the lab's hosts.

    Args:
        lab: whose hosts.
        host: which of them connects.
        address: where to.
        port: where to.
        own_port: the port it comes from; 0: one the kernel picks.

    Raises:
        LabError: nobody answers there.
    """
    with netns.inside(lab.namespace(host)):
        client = socket.socket(family_of(address), socket.SOCK_STREAM)
    with client:
        client.settimeout(PATIENCE)
        try:
            client.bind(("", own_port))
            client.connect((address, port))
        except OSError as error:
            raise LabError(f"{host} cannot connect to {address} port {port}: {error}") from error
        yield client


@contextmanager
def accepted(
    lab: Lab, client_host: str, server_host: str, address: str, port: int, *, own_port: int = 0
) -> Iterator[tuple[socket.socket, socket.socket]]:
    """Both ends of a TCP connection from one host to another, the client's first.

    Raises:
        LabError: the connection does not come about.
    """
    with netns.inside(lab.namespace(server_host)):
        listener = socket.socket(family_of(address), socket.SOCK_STREAM)
    with listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("", port))
        listener.listen()
        with connected(lab, client_host, address, port, own_port=own_port) as client:
            listener.settimeout(PATIENCE)
            server, _ = listener.accept()
            with server:
                server.settimeout(PATIENCE)
                yield client, server


def answer_head(client: socket.socket) -> list[str]:
    """Type ``aaaaa`` as the article does: the head of the answer, or what went wrong."""
    try:
        client.sendall(b"aaaaa\r\n")
        head = client.recv(4096).decode("latin-1").split("\r\n\r\n")[0]
    except OSError as error:
        return [str(error)]
    return head.splitlines() or ["closed without an answer"]


def is_alive(client: socket.socket) -> bool:
    """Whether the server answers what is typed with 400."""
    return answer_head(client)[0] == BAD_REQUEST


def heard(end: socket.socket, seconds: float) -> bytes:
    """What arrives within so many seconds; nothing where nothing does."""
    end.settimeout(seconds)
    try:
        return end.recv(4096)
    except TimeoutError:
        return b""
    except OSError as error:
        return str(error).encode()
    finally:
        end.settimeout(PATIENCE)


def wait_for_entry(lab: Lab, flow: look.Flow, name: str) -> str:
    """The flow's entries as Cilium prints them, once there is one; else ``nothing found``."""
    look.until(lambda: len(look.entries(lab, flow, name)) > 0)
    return look.text(look.entries(lab, flow, name))


def restart_with(lab: Lab, report: CaseReport, **options: int | str) -> None:
    """Edit options in the config folder and restart the agent, as one step.

    Args:
        lab: whose agent.
        report: gets the step.
        options: by name, with ``_`` for ``-``.
    """
    seen = []
    for field, value in options.items():
        name = field.replace("_", "-")
        was = (lab.config_dir / name).read_text("ascii").strip()
        write_option(lab.config_dir, name, str(value))
        seen.append(f"{name}: {was} -> {value}")
    after = control.restart(lab.settings)
    report.step("the agent is restarted with other options", ok=after.ready, seen="\n".join(seen))


def resize(lab: Lab, report: CaseReport) -> None:
    """Double the TCP table by a restart, so that it is deleted with every entry in it."""
    name = "bpf-ct-global-tcp-max"
    old = int((lab.config_dir / name).read_text("ascii"))
    before = look.map_info(lab, look.TCP_MAP)
    restart_with(lab, report, bpf_ct_global_tcp_max=old * 2)
    now = look.map_info(lab, look.TCP_MAP)
    report.step(
        "the table is another one",
        ok=before.id != now.id and now.max_entries == old * 2,
        seen=f"{look.TCP_MAP}: id {before.id} with {before.max_entries} -> "
        f"id {now.id} with {now.max_entries}",
    )
