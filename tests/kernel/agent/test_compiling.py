"""Work of the agent that has to compile first: alive all the while, and to be ended in between."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

import pytest

from ctconsole.agent import startup, uplink
from ctconsole.config import AgentConfig
from ctconsole.datapath import loader, netdev
from ctconsole.errors import EndedEarlyError
from ctconsole.model.plane.endpoint import Endpoint
from ctconsole.model.plane.uplink import Uplink

if TYPE_CHECKING:
    from collections.abc import Callable

    from ctconsole.kernel.gate import Gate

POD = Endpoint(10, "pod10", "lo", 1, "02:00:00:00:00:01", "02:00:00:00:00:01", "10.77.0.1")


def compiling(*_: object, meanwhile: Callable[[], None]) -> NoReturn:
    """A compilation that takes as long as it is let."""
    while True:
        meanwhile()


class Impatient:
    """Hears of it three times, then has enough."""

    def __init__(self) -> None:
        self.said: list[object] = []

    def __call__(self, *said: object) -> None:
        self.said.append(said)
        if len(self.said) > 2:
            raise EndedEarlyError("enough")


def test_a_switch_says_that_it_lives_while_programs_are_compiled(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loader, "load", compiling)
    step = Impatient()
    with pytest.raises(EndedEarlyError, match="enough"):
        startup.regenerate(gate, AgentConfig(), {}, [POD], lambda _: None, step=step)
    assert step.said == [(0, 1, "loading the programs of endpoint 10")] * 3


def test_so_does_masquerading(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(netdev, "load_netdev", compiling)
    monkeypatch.setattr(uplink, "find_uplink", lambda _: Uplink("lo", 1, "10.77.0.1", ""))
    step = Impatient()
    config = AgentConfig(enable_ipv4_masquerade=True)
    with pytest.raises(EndedEarlyError, match="enough"):
        uplink.masquerade(gate, config, {}, lambda _: None, step)
    assert len(step.said) == 3
