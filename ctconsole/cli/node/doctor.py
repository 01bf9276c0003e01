"""``ctconsole doctor``: what this node can and cannot do."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from ctconsole.cli.options import lab_option
from ctconsole.cli.printing import print_json
from ctconsole.cli.shown import json_option

if TYPE_CHECKING:
    from ctconsole.kernel.probes import Probe


@click.command("doctor")
@lab_option
@json_option
def command(lab_name: str | None, as_json: bool) -> int:
    """Say what this node can and cannot do, one line each with the remedy.

    The exit code is 1 where the main job (show, recreate, run the lab) cannot run. With --lab it
    also says whether that lab's agent runs and its maps are pinned, and is 1 where not.

    \b
    Examples:
      ctconsole doctor
      ctconsole doctor --json
      ctconsole doctor --lab lab
    """
    from ctconsole.kernel.probes import probe_all

    probes = [*probe_all(), *(_of_lab(lab_name) if lab_name is not None else ())]
    ready = all(probe.ok for probe in probes if probe.needed)
    if as_json:
        print_json({"ok": ready, "probes": [asdict(probe) for probe in probes]})
    else:
        width = max(len(probe.name) for probe in probes)
        for probe in probes:
            mark = "ok  " if probe.ok else ("FAIL" if probe.needed else "miss")
            remedy = "" if probe.ok or not probe.remedy else f" -> {probe.remedy}"
            click.echo(f"{mark}  {probe.name:{width}}  {probe.detail}{remedy}")
    return 0 if ready else 1


def _of_lab(name: str) -> list[Probe]:
    """Whether a lab is what it should be.

    Raises:
        LabError: there is none of the name.
    """
    from ctconsole.agent.state import StateDir
    from ctconsole.kernel.bpffs import pinned_maps
    from ctconsole.kernel.probes import Probe
    from ctconsole.lab import folders

    lab = folders.find(name)
    number = StateDir(lab.state_dir).running_pid()
    told: list[str] = []
    pinned = len(pinned_maps(lab.bpf_root, told.append))
    start = f"ctconsole agent start --lab {name}"
    return [
        Probe(
            "agent of the lab",
            number is not None,
            f"process {number}" if number is not None else "does not run",
            start,
            needed=True,
        ),
        Probe(
            "maps of the lab",
            pinned > 0 and not told,
            f"{pinned} pinned below {lab.bpf_root}" + "".join(f"; {one}" for one in told),
            start,
            needed=True,
        ),
    ]
