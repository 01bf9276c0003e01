"""The console on a node that exists only in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ctconsole.ui.app import ConsoleApp
from tests.support.fake_actions import FakeActions
from tests.support.fakes import EPOCH, FakeSource
from tests.support.pressed import listen

if TYPE_CHECKING:
    from collections.abc import Iterator


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


@pytest.fixture(autouse=True)
def _keys_are_pressed(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """Hold a test that is marked with keys to pressing each of them."""
    claims = {key for mark in request.node.iter_markers("key") for key in mark.args}
    if not claims:
        yield
        return
    heard = listen(monkeypatch)
    yield
    assert claims <= heard, f"never pressed: {sorted(claims - heard)}"
