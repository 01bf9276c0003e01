"""Test case 1 of the article (sections 2.2, 4.1 and 4.2): an inbound connection.

A connection from another node to a pod is left idle; both CT sizes are doubled and the agent is
restarted. The tables are deleted with all entries, the connection lives on, and the first packet
brings its entry back with counters that start again.
"""

from __future__ import annotations

import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ctconsole.agent import control
from ctconsole.config import write_option
from ctconsole.errors import LabError
from ctconsole.kernel import netns
from ctconsole.lab import look, topology
from ctconsole.lab.server import PORT
from ctconsole.lab.tour import Case

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ctconsole.lab.folders import Lab
    from ctconsole.lab.tour import CaseReport
    from ctconsole.model.spec import MapInfo

# Option, its map, the article's old and new size.
SIZES = (
    ("bpf-ct-global-tcp-max", look.TCP_MAP, 524288, 1048576),
    ("bpf-ct-global-any-max", look.ANY_MAP, 262144, 524288),
)

PATIENCE = 5.0
"""Seconds to wait for the server's answer."""


def run(lab: Lab, report: CaseReport) -> None:
    """Do what the article does, step by step."""
    with _telnet(lab) as client:
        flow = look.Flow.of(client)
        report.step("a connection is opened from node2 and left idle", ok=True, seen=str(flow))
        _entry_is_created(lab, report, flow, client)
        sent_before = look.segments_sent(client)
        maps_before = {name: look.map_info(lab, name) for _, name, _, _ in SIZES}
        _sizes_are_edited(lab, report)
        _agent_restarts(lab, report)
        _maps_are_replaced(lab, report, maps_before)
        found = look.entries(lab, flow)
        report.step("the CT entry disappeared", ok=len(found) == 0, seen=look.text(found))
        _connection_is_alive(report, client)
        _server_answers_400(report, client)
        _entry_came_back(lab, report, flow, client, sent_before)


@contextmanager
def _telnet(lab: Lab) -> Iterator[socket.socket]:
    """A connection to the pod, opened on node2."""
    with netns.inside(lab.namespace(topology.NODE2)):
        client = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    with client:
        client.settimeout(PATIENCE)
        try:
            client.connect((topology.SERVER_IPV4, PORT))
        except OSError as error:
            raise LabError(f"node2 cannot connect to {topology.SERVER_IPV4}:{PORT}") from error
        yield client


def _entry_is_created(lab: Lab, report: CaseReport, flow: look.Flow, client: socket.socket) -> None:
    """The entry is there, inbound, and has counted every segment of the handshake."""
    counted = look.until(lambda: _rx_packets(lab, flow) == look.segments_sent(client))
    found = look.entries(lab, flow)
    seen = look.text(found)
    inbound = len(found) == 1 and seen.startswith(f"TCP IN {flow} ")
    report.step("its CT entry is created", ok=counted and inbound, seen=seen)


def _sizes_are_edited(lab: Lab, report: CaseReport) -> None:
    """``sed -i 's/524288/1048576/g' mount/configmap/bpf-ct-global-tcp-max``, and the other."""
    seen = []
    ok = True
    for option, _, old, new in SIZES:
        was = (lab.config_dir / option).read_text(encoding="ascii").strip()
        write_option(lab.config_dir, option, was.replace(str(old), str(new)))
        now = (lab.config_dir / option).read_text(encoding="ascii").strip()
        ok &= (was, now) == (str(old), str(new))
        seen.append(f"{option}: {was} -> {now}")
    report.step("both sizes are doubled in the config folder", ok=ok, seen="\n".join(seen))


def _agent_restarts(lab: Lab, report: CaseReport) -> None:
    """A new process runs, and its log has the article's two warnings for each map."""
    size = look.log_size(lab)
    before = control.status(lab.settings).pid
    after = control.restart(lab.settings).pid
    report.step(
        "the agent is restarted",
        ok=after is not None and after != before,
        seen=f"process {before} -> {after}",
    )
    lines = look.log_since(lab, size)
    for _, name, old, new in SIZES:
        path = f"file-path={lab.globals / name}"
        about = [line for line in lines if path in line and "level=warning" in line]
        wanted = (
            ('msg="Max entries mismatch for BPF map"', f"old={old}", f"new={new}"),
            ('msg="Removing map to allow for property upgrade (expect map data loss)"',),
        )
        ok = len(about) == len(wanted) and all(
            part in line for line, parts in zip(about, wanted, strict=True) for part in parts
        )
        report.step(f"it warns that {name} is removed", ok=ok, seen="\n".join(about) or "no line")


def _maps_are_replaced(lab: Lab, report: CaseReport, before: dict[str, MapInfo]) -> None:
    """The pins hold other maps now, with the new sizes."""
    for _, name, old, new in SIZES:
        was, now = before[name], look.map_info(lab, name)
        ok = was.id != now.id and (was.max_entries, now.max_entries) == (old, new)
        report.step(
            f"{name} is another map",
            ok=ok,
            seen=f"id {was.id} with {was.max_entries} -> id {now.id} with {now.max_entries}",
        )


def _connection_is_alive(report: CaseReport, client: socket.socket) -> None:
    """Nothing arrived on the connection: no FIN, no RST."""
    client.settimeout(0)
    try:
        data = client.recv(1)
    except BlockingIOError:
        ok, seen = True, "still connected, nothing received"
    except OSError as error:
        ok, seen = False, str(error)
    else:
        ok, seen = False, f"received {data!r}" if data else "closed by the server"
    client.settimeout(PATIENCE)
    report.step("the connection is not disconnected", ok=ok, seen=seen)


def _server_answers_400(report: CaseReport, client: socket.socket) -> None:
    """``aaaaa`` is no HTTP: an answer 400 shows that TCP is fine."""
    try:
        client.sendall(b"aaaaa\r\n")
        head = client.recv(4096).decode("latin-1").split("\r\n\r\n")[0].splitlines()
    except OSError as error:
        head = [str(error)]
    shown = [line for line in head[1:] if line.lower().startswith("server:")]
    ok = head[:1] == ["HTTP/1.1 400 Bad Request"] and len(shown) == 1
    seen = "\n".join(["> aaaaa", *head[:1], *shown])
    report.step("the server answers what is typed with 400", ok=ok, seen=seen)


def _entry_came_back(
    lab: Lab, report: CaseReport, flow: look.Flow, client: socket.socket, sent_before: int
) -> None:
    """The entry is inbound again and counts only what was sent after the restart.

    How many segments that is only TCP itself knows: an acknowledgement may go alone or not.
    """

    def sent_since() -> int:
        return look.segments_sent(client) - sent_before

    counted = look.until(lambda: _rx_packets(lab, flow) == sent_since() > 0)
    found = look.entries(lab, flow)
    seen = look.text(found)
    inbound = len(found) == 1 and seen.startswith(f"TCP IN {flow} ")
    report.step('the CT entry "came back"', ok=inbound, seen=seen)
    total = look.segments_sent(client)
    report.step(
        "its counters were reset",
        ok=counted and sent_before > 0,
        seen=f"RxPackets={_rx_packets(lab, flow)}; node2 sent {total} packets in all, "
        f"{sent_before} of them before the restart",
    )


def _rx_packets(lab: Lab, flow: look.Flow) -> int:
    """What the flow's entry counts as received by the pod; -1 without exactly one entry."""
    found = look.entries(lab, flow)
    return int(found.values["rx_packets"][0]) if len(found) == 1 else -1


CASE = Case(
    name="inbound",
    summary="an inbound connection survives a restart that deletes its CT entry",
    section="2.2",
    run=run,
)
