"""A resize is killed while programs are being moved; the agent's next start ends it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from ctconsole.agent import control
from ctconsole.lab import look, resize_steps
from ctconsole.lab.tour import Case

if TYPE_CHECKING:
    from ctconsole.lab.folders import Lab
    from ctconsole.lab.tour import CaseReport

_SIZE: Final = 131072
_MOVING: Final = "switch: "


def run(lab: Lab, report: CaseReport) -> None:
    """Kill the command with -9 as soon as it says that programs are being moved."""
    with resize_steps.talking(lab, report) as talkers:
        said = _resize_until_killed(lab)
        report.step("the command is killed in the middle", ok=_MOVING in said, seen=said.strip())
        after = control.restart(lab.settings)
        info = look.map_info(lab, look.TCP_MAP)
        option = (lab.config_dir / "bpf-ct-global-tcp-max").read_text("ascii").strip()
        report.step(
            "the agent's next start ends it, one way or the other",
            ok=after.ready and str(info.max_entries) == option,
            seen=f"map {info.id} with {info.max_entries}, option {option}",
        )
        resize_steps.proved(lab, report, talkers, info.max_entries)


def _resize_until_killed(lab: Lab) -> str:
    """What the command said before it was killed."""
    pin = str(lab.globals / look.TCP_MAP)
    command = [sys.executable, "-m", "ctconsole", "map", "resize", pin, str(_SIZE), "--yes"]
    command += ["--bpf-root", str(lab.bpf_root)]
    said = []
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr  # noqa: S101 - asked for in the line above
        for line in process.stderr:
            said.append(line)
            if line.startswith(_MOVING):
                os.kill(process.pid, signal.SIGKILL)
    return "".join(said)


CASE = Case(
    name="kill-during-resize",
    summary="a resize that is killed is ended by the agent's next start, and loses nothing",
    section="",
    run=run,
    options=MappingProxyType({"bpf-ct-global-tcp-max": "65536"}),
)
