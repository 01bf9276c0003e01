"""``ctconsole doctor``: what this node can and cannot do."""

from __future__ import annotations

from dataclasses import asdict

import click

from ctconsole.cli.printing import print_json
from ctconsole.cli.shown import json_option


@click.command("doctor")
@json_option
def command(as_json: bool) -> int:
    """Say what this node can and cannot do, one line each with the remedy.

    The exit code is 1 where the main job (show, recreate, run the lab) cannot run.

    \b
    Examples:
      ctconsole doctor
      ctconsole doctor --json
    """
    from ctconsole.kernel.probes import probe_all

    probes = probe_all()
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
