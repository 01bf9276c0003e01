"""What the article's case 2 does not show: services with several backends.

After a restart that deletes the table, a connection's next packet picks a backend again. Picked
at random it may be another one, which knows nothing of the connection and resets it. With
session affinity, or with Maglev (where the flow's addresses and ports decide), it is the same.
"""

from __future__ import annotations

from contextlib import ExitStack
from types import MappingProxyType
from typing import TYPE_CHECKING

from ctconsole.agent import wire
from ctconsole.agent.state import StateDir
from ctconsole.lab import talk, topology
from ctconsole.lab.server import PORT
from ctconsole.lab.talkers import serve_in_more_pods
from ctconsole.lab.tour import Case

if TYPE_CHECKING:
    import socket

    from ctconsole.lab.folders import Lab
    from ctconsole.lab.tour import CaseReport

FRONTENDS = {"random": "10.96.0.20", "affinity": "10.96.0.21", "single": "10.96.0.22"}

MORE_BACKENDS = ("web2", "web3", "web4")

CONNECTIONS = 24
"""Through each service. That all of 24 find one of four backends again by chance has the
probability 4 to the power of -24."""

AFFINITY_SECONDS = 600


def run(lab: Lab, report: CaseReport) -> None:
    """Open connections through each kind of service, restart, see which live on."""
    backends = [f"{topology.SERVER_IPV4}:{PORT}", *serve_in_more_pods(lab, MORE_BACKENDS)]
    report.step(
        "four pods serve", ok=len(backends) == len(MORE_BACKENDS) + 1, seen=", ".join(backends)
    )
    _add(lab, "random", backends)
    _add(lab, "affinity", backends, affinity=AFFINITY_SECONDS)
    _add(lab, "single", backends[:1])
    with ExitStack() as stack:
        opened = {name: _open(lab, stack, address) for name, address in FRONTENDS.items()}
        count = sum(map(len, opened.values()))
        report.step("connections are opened and left idle", ok=True, seen=f"{count} in all")
        talk.resize(lab, report)
        alive = {name: sum(map(talk.is_alive, clients)) for name, clients in opened.items()}
    report.step(
        "picked at random, some reach another backend and break",
        ok=alive["random"] < CONNECTIONS,
        seen=_tally(alive["random"]),
    )
    for name, why in (("affinity", "with session affinity"), ("single", "with one backend")):
        report.step(f"{why} all live on", ok=alive[name] == CONNECTIONS, seen=_tally(alive[name]))
    _maglev(lab, report)


def _maglev(lab: Lab, report: CaseReport) -> None:
    """The same with the service that broke, on a node that picks by Maglev."""
    talk.restart_with(lab, report, bpf_lb_algorithm="maglev")
    with ExitStack() as stack:
        clients = _open(lab, stack, FRONTENDS["random"])
        talk.resize(lab, report)
        alive = sum(map(talk.is_alive, clients))
    report.step("with Maglev all live on", ok=alive == CONNECTIONS, seen=_tally(alive))


def _add(lab: Lab, name: str, backends: list[str], affinity: int = 0) -> None:
    wish = {
        "name": name,
        "frontend": f"{FRONTENDS[name]}:{PORT}",
        "backends": backends,
        "affinity": affinity,
    }
    wire.request(StateDir(lab.state_dir).socket, "service-add", service=wish)


def _open(lab: Lab, stack: ExitStack, address: str) -> list[socket.socket]:
    return [
        stack.enter_context(talk.connected(lab, topology.CLIENT, address))
        for _ in range(CONNECTIONS)
    ]


def _tally(alive: int) -> str:
    return f"{alive} of {CONNECTIONS} connections got an answer, {CONNECTIONS - alive} broke"


CASE = Case(
    name="service-random",
    summary="with several backends picked at random, connections break",
    section="",
    run=run,
    options=MappingProxyType({"bpf-ct-global-tcp-max": "131072"}),
)
