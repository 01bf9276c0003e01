"""The web server inside a lab pod: the small one of `httpd`, or the machine's nginx."""

from __future__ import annotations

import os
import shutil
import socket
import sys
import time
from contextlib import ExitStack, suppress
from enum import StrEnum
from pathlib import Path

from ctconsole import private
from ctconsole.errors import LabError, MissingFeatureError
from ctconsole.kernel import netns
from ctconsole.kernel.files import write_whole
from ctconsole.lab.limits import raise_open_files
from ctconsole.lab.spawn import spawn

PORT = 80
ECHO_PORT = 7

READY_SECONDS = 60.0
"""A server that runs may take so long on a busy machine; for one that ended nobody waits."""

# Idle connections must outlive any test: what breaks one is to be the datapath alone.
_NGINX_CONF = """\
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{ worker_connections {connections}; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    client_header_timeout 1d;
    keepalive_timeout 1d;
    keepalive_requests 1000000000;
    server {{
        listen {listen} backlog=4096;
        default_type text/html;
        location / {{ return 200 "<p>This pod is alive.</p>\\n"; }}
    }}
}}
"""


class ServerKind(StrEnum):
    """Which program answers in the server pod."""

    SMALL = "small"
    NGINX = "nginx"
    NONE = "none"


def find_nginx() -> str | None:
    """Path of the installed nginx, None where there is none; sbin is searched too."""
    return shutil.which("nginx", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")


def best_kind() -> ServerKind:
    """nginx, the article's server, where it is installed; the small server elsewhere."""
    return ServerKind.NGINX if find_nginx() else ServerKind.SMALL


def start(kind: ServerKind, namespace: str, folder: Path) -> None:
    """Start a server in a pod's namespace and wait until it answers a request.

    UDP port 7 is echoed by the small server in any case.

    Args:
        kind: which program; nothing happens for `ServerKind.NONE`.
        namespace: the pod's network namespace.
        folder: private folder for configuration, temporary files and ``server.log``.

    Raises:
        MissingFeatureError: nginx is wanted and not installed.
        LabError: the server does not answer.
    """
    if kind is ServerKind.NONE:
        return
    private.make_folder(folder)
    log = folder / "server.log"
    if kind is ServerKind.NGINX:
        _start_nginx(namespace, folder, log)
    _start_small(namespace, log, http=kind is ServerKind.SMALL)
    _wait_until_it_answers(kind, namespace, log)


def _start_small(namespace: str, log: Path, *, http: bool) -> None:
    """Start `httpd` on sockets made here, so that they are there before it is."""
    with ExitStack() as sockets:
        with netns.inside(namespace):
            echo = sockets.enter_context(_both_families(socket.SOCK_DGRAM))
            listener = sockets.enter_context(_both_families(socket.SOCK_STREAM))
        echo.bind(("", ECHO_PORT))
        passed = {"--echo-fd": echo.fileno()}
        if http:
            listener.bind(("", PORT))
            listener.listen(4096)
            passed["--listen-fd"] = listener.fileno()
        flags = [part for flag, fd in passed.items() for part in (flag, str(fd))]
        argv = [sys.executable, "-m", "ctconsole.lab.httpd", *flags]
        spawn(namespace, argv, log, pass_fds=tuple(passed.values()))


def _both_families(kind: socket.SocketKind) -> socket.socket:
    """A socket for IPv6 and IPv4, for IPv4 alone where the kernel has nothing else."""
    if not socket.has_dualstack_ipv6():
        return socket.socket(socket.AF_INET, kind)
    made = socket.socket(socket.AF_INET6, kind)
    made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    return made


def _start_nginx(namespace: str, folder: Path, log: Path) -> None:
    program = find_nginx()
    if program is None:
        raise MissingFeatureError(
            "nginx is not installed", hint="apt install nginx-light, or use the small server"
        )
    # One descriptor for each connection and some for nginx itself; it takes over our limit.
    connections = raise_open_files(65_536) - 64
    listen = f"[::]:{PORT} ipv6only=off" if socket.has_dualstack_ipv6() else str(PORT)
    conf = folder / "nginx.conf"
    write_whole(conf, _NGINX_CONF.format(folder=folder, listen=listen, connections=connections))
    # Before it reads the configuration nginx logs to a compiled-in file; -e moves that too.
    spawn(namespace, [program, "-p", f"{folder}/", "-c", str(conf), "-e", "stderr"], log)


def _runs(kind: ServerKind, namespace: str) -> bool:
    """Whether the server is in its namespace, or is just about to be."""
    pids = netns.pids(namespace)
    if kind is ServerKind.SMALL:
        return bool(pids)
    names = set()
    for pid in pids:
        with suppress(OSError):
            names.add(Path(f"/proc/{pid}/comm").read_text("ascii", "replace").strip())
    return not names.isdisjoint({"nginx", "setsid"})


def _wait_until_it_answers(kind: ServerKind, namespace: str, log: Path) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while not _answers(namespace):
        if not _runs(kind, namespace) or time.monotonic() > deadline:
            said = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
            raise LabError(
                f"The server in {namespace} does not answer on port {PORT}",
                hint=said[0] if said else f"Its log {log} is empty",
            )
        time.sleep(0.02)


def _answers(namespace: str) -> bool:
    """Ask over the pod's own loopback, which no tc program sees."""
    with netns.inside(namespace):
        client = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    with client:
        client.settimeout(1.0)
        try:
            client.connect(("127.0.0.1", PORT))
            client.sendall(b"GET / HTTP/1.1\r\nHost: pod\r\nConnection: close\r\n\r\n")
            return client.recv(64).startswith(b"HTTP/1.1 200 ")
        except OSError:
            return False
