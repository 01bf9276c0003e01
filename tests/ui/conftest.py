"""The console on a node that exists only in memory."""

from __future__ import annotations

import pytest

from ctconsole.ui.app import ConsoleApp
from tests.support.fake_actions import FakeActions
from tests.support.fakes import EPOCH, FakeSource


@pytest.fixture
def source() -> FakeSource:
    return FakeSource()


@pytest.fixture
def actions(source: FakeSource) -> FakeActions:
    return FakeActions(source)


@pytest.fixture
def console(source: FakeSource, actions: FakeActions) -> ConsoleApp:
    """Samples once, and then only when `tests.support.pilots.resample` asks."""
    return ConsoleApp(source, actions, interval=3600, clock=lambda: EPOCH)


@pytest.fixture
def read_only(source: FakeSource) -> ConsoleApp:
    return ConsoleApp(source, interval=3600, clock=lambda: EPOCH)
