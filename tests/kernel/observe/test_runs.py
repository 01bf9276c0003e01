"""Runs are counted by the real kernel, and only while somebody looks."""

from __future__ import annotations

import os
from contextlib import closing
from typing import TYPE_CHECKING

from ctconsole.kernel.programs import load_program, program_info, run_program
from ctconsole.model.runs import NOT_LOOKED_AT
from ctconsole.observe.runs import RunMeter
from tests.support.bpf_insns import returning

if TYPE_CHECKING:
    from ctconsole.kernel.gate import Gate


def counts(meter: RunMeter) -> bool:
    return meter.counting


def test_a_program_is_counted_between_two_looks(gate: Gate) -> None:
    now = [10.0]
    program = load_program(gate, returning(0))
    try:
        with closing(RunMeter(lambda: now[0])) as meter:
            assert meter.look(wanted=False) == NOT_LOOKED_AT
            assert not counts(meter)
            assert meter.look(wanted=True).why == "runs are counted from now on"
            assert counts(meter)
            run_program(program, bytes(64), repeat=5000)
            now[0] += 2
            number = program_info(program).id
            [ran] = [one for one in meter.look(wanted=True).programs if one.id == number]
            assert ran.rate == 2500
            assert ran.nanoseconds
            assert ran.cpu == ran.rate * ran.nanoseconds / 1e9
            now[0] += 2
            [rests] = [one for one in meter.look(wanted=True).programs if one.id == number]
            assert (rests.rate, rests.nanoseconds, rests.cpu) == (0, None, 0)
            assert meter.look(wanted=False) == NOT_LOOKED_AT
            assert not counts(meter)
    finally:
        os.close(program)
