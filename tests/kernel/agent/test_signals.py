"""A table that calls is collected at once, not at the end of the interval."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from ctconsole.agent import control
from ctconsole.agent.state import StateDir
from ctconsole.history import History
from ctconsole.kernel import mapwrite
from ctconsole.kernel.maps import BpfMap
from ctconsole.kernel.programs import load_program, run_program
from ctconsole.model.event import EventKind
from ctconsole.paths import GLOBALS
from tests.support.bpf_insns import emitting
from tests.support.ct_entries import ct4_rows

if TYPE_CHECKING:
    from ctconsole.agent.state import AgentSettings
    from ctconsole.kernel.gate import Gate
    from ctconsole.model.event import Event

SIGNAL_SIZE = 8
"""The program's record, the number 1 in 8 bytes, is SIGNAL_CT_FILL_UP for IPv4."""


def passes(settings: AgentSettings, reason: str) -> list[Event]:
    """The GC passes made for a reason; waits for the first."""
    end = time.monotonic() + 10
    while True:
        with History(StateDir(settings.state_dir).history) as history:
            found = [event for _, event in history.read(kinds=frozenset({EventKind.GC_PASS}))]
        made = [event for event in found if event.fields["reason"] == reason]
        if made or time.monotonic() > end:
            return made
        time.sleep(0.05)


def call(gate: Gate, settings: AgentSettings, times: int) -> None:
    """Signal as the programs do."""
    with BpfMap.open(settings.bpf_root / GLOBALS / "cilium_signals") as live:
        program = load_program(gate, emitting(live.writable_fd(gate), SIGNAL_SIZE))
    try:
        run_program(program, bytes(64), repeat=times)
    finally:
        os.close(program)


def test_a_full_table_is_collected_when_it_calls(gate: Gate, settings: AgentSettings) -> None:
    control.start(settings)
    assert passes(settings, "start")
    with BpfMap.open(settings.bpf_root / GLOBALS / "cilium_ct4_global") as live:
        mapwrite.update_batch(gate, live, *ct4_rows(500, lifetime=1))
        call(gate, settings, 100)
        (made, *_) = passes(settings, "signal")
        assert made.fields["deleted"] == 500
        assert live.count() == 0
    full = EventKind.MAP_FULL
    with History(StateDir(settings.state_dir).history) as history:
        (event,) = [event for _, event in history.read(kinds=frozenset({full}))]
    assert (event.subject, event.fields["count"]) == ("conntrack", 100)


def test_a_table_that_goes_on_calling_is_not_collected_all_the_time(
    gate: Gate, settings: AgentSettings
) -> None:
    control.start(settings)
    assert passes(settings, "start")
    end = time.monotonic() + 3
    while time.monotonic() < end:
        call(gate, settings, 1)
        time.sleep(0.1)
    assert 1 <= len(passes(settings, "signal")) <= 4
