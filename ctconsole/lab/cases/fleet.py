"""Three nodes, a cluster's API and a real Prometheus: the tables of all are resized, one by one.

The run is killed in the middle and resumed; then one node has trouble, and those that were done
are led back.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from ctconsole.errors import MissingFeatureError
from ctconsole.lab import lifecycle, look, topology
from ctconsole.lab.kube.fleet import CONFIG_MAP, LABELS, OPTION, lab_fleet
from ctconsole.lab.owner import Owner
from ctconsole.lab.prometheus import require_prometheus
from ctconsole.lab.talkers import NODE2_V4, Talkers
from ctconsole.lab.tour import Case

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ctconsole.lab.folders import Lab
    from ctconsole.lab.kube.fleet import LabFleet
    from ctconsole.lab.tour import CaseReport

_BEFORE: Final = 32768
_SIZE: Final = 65536
_LARGER: Final = 131072
_CONNECTIONS: Final = {NODE2_V4: 10, (topology.CLIENT, topology.SERVER_IPV4): 4}
_QUICK: Final = ("--watch", "1", "--patience", "60")
_NEW: Final = ("--selector", LABELS, "--yes", *_QUICK)
_OPTIONS: Final = MappingProxyType({OPTION: str(_BEFORE), "bpf-ct-global-any-max": "16384"})


def run(lab: Lab, report: CaseReport) -> None:
    """Resize three nodes under traffic, through a crash, and lead them back from trouble."""
    try:
        _require()
    except MissingFeatureError as error:
        report.step("left out: something is not installed here", ok=True, seen=str(error))
        return
    with ExitStack() as stack:
        labs = [lab, *(stack.enter_context(_another()) for _ in range(2))]
        talkers = [stack.enter_context(Talkers(one, _CONNECTIONS)) for one in labs]
        fleet = stack.enter_context(lab_fleet(labs, _BEFORE))
        look.until(lambda: all(one.answers > len(one.all) for one in talkers), 30.0)
        report.step(
            "three nodes have connections that talk",
            ok=fleet.sizes() == [_BEFORE] * len(labs),
            seen=f"{sum(len(one.all) for one in talkers)} connections, tables of {_BEFORE}",
        )
        _planned(fleet, report)
        _killed_and_resumed(fleet, report)
        _led_back(fleet, report)
        _gone_on(labs, talkers, report)


def _require() -> None:
    require_prometheus()
    if find_spec("kubernetes") is None:
        raise MissingFeatureError(
            "The Python client of Kubernetes is not installed",
            hint="pip install 'ctconsole[fleet]'",
        )


@contextmanager
def _another() -> Iterator[Lab]:
    lab = lifecycle.up(base="tour", config=_OPTIONS, owner=Owner.me())
    try:
        yield lab
    finally:
        lifecycle.down(lab)


def _run(argv: Sequence[str]) -> tuple[int, dict[str, Any], str]:
    """What a command's JSON tells, and what it says beside."""
    done = subprocess.run([*argv, "-o", "json"], capture_output=True, text=True, check=False)
    return done.returncode, json.loads(done.stdout or "{}"), done.stderr


def _planned(fleet: LabFleet, report: CaseReport) -> None:
    argv = fleet.argv("--selector", LABELS, "--entries", str(_SIZE), "--plan")
    code, plan, said = _run(argv)
    due = [one["node"] for one in plan.get("nodes", []) if not one["skipped"]]
    report.step(
        "the plan asks each node, and changes none",
        ok=code == 0 and len(due) == len(fleet.labs) and set(fleet.sizes()) == {_BEFORE},
        seen=f"{len(due)} nodes would be resized; {plan.get('configmap', {}).get('patch')}"
        if due
        else said,
    )


def _killed_and_resumed(fleet: LabFleet, report: CaseReport) -> None:
    """Kill the command while the second node is at work, and have another go on."""
    second = fleet.labs[1].name
    argv = fleet.argv(*_NEW, "--entries", str(_SIZE), "--patch-configmap")
    said = []
    quiet, heard = subprocess.DEVNULL, subprocess.PIPE
    with subprocess.Popen(argv, stdout=quiet, stderr=heard, text=True) as child:
        assert child.stderr  # noqa: S101 - asked for in the line above
        for line in child.stderr:
            said.append(line)
            if line.startswith(f"{second}: ") and f"to {_SIZE} entries" in line:
                os.kill(child.pid, signal.SIGKILL)
    option = fleet.api.objects.config_map(CONFIG_MAP)[OPTION]
    report.step(
        "the run is killed while the second node is at work",
        ok=child.returncode == -signal.SIGKILL and option == str(_SIZE),
        seen=f"tables of {', '.join(map(str, fleet.sizes()))}; {OPTION} is {option}; "
        + "".join(said[-1:]).strip(),
    )
    code, told, said_then = _run(fleet.argv("--resume", "--yes", *_QUICK))
    states = {one["state"] for one in told.get("nodes", [])}
    report.step(
        "resumed, it asks that node and goes on with the others",
        ok=code == 0 and states == {"done"} and set(fleet.sizes()) == {_SIZE},
        seen="\n".join(f"{one['node']}: {one['note']}" for one in told.get("nodes", []))
        or said_then,
    )


def _led_back(fleet: LabFleet, report: CaseReport) -> None:
    """The second node cannot be resized; the first, which was, gets the size before."""
    second = fleet.api.objects.pods[f"ctconsole-{fleet.labs[1].name}"]
    usual = second.argv

    def failing(argv: Sequence[str]) -> Sequence[str]:
        if "--yes" in argv and "--undo" not in argv:
            return ["/bin/sh", "-c", "echo 'ctconsole: the disk is full' >&2; exit 1"]
        return usual(argv)

    second.argv = failing
    argv = fleet.argv(*_NEW, "--entries", str(_LARGER), "--undo-on-trouble")
    code, told, said = _run(argv)
    second.argv = usual
    seen = {one["node"]: one["state"] for one in told.get("nodes", [])}
    third = fleet.labs[2].name
    report.step(
        "trouble on the second node keeps the third from being begun, and leads the first back",
        ok=code == 1 and seen.get(third) == "to do" and set(fleet.sizes()) == {_SIZE},
        seen=f"{told.get('failure') or said}\n"
        + ", ".join(f"{name}: {state}" for name, state in seen.items()),
    )


def _gone_on(labs: Sequence[Lab], talkers: Sequence[Talkers], report: CaseReport) -> None:
    before = [one.answers for one in talkers]
    goes_on = look.until(
        lambda: all(one.answers > old for one, old in zip(talkers, before, strict=True)), 30.0
    )
    broken = [f"{one.flow}: {one.broke}" for some in talkers for one in some.broken]
    pages = sum(one.answers for one in talkers)
    report.step(
        "every connection on every node goes on",
        ok=goes_on and not broken,
        seen="\n".join(broken) or f"{pages} pages on {len(labs)} nodes, none missing",
    )


CASE = Case(
    name="fleet",
    summary="three nodes are resized one by one, through a crash and trouble, seen by Prometheus",
    section="",
    run=run,
    options=_OPTIONS,
)
