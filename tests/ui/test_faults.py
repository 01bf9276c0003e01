"""A fault in a worker is shown by the status line, whichever screen started the worker."""

from __future__ import annotations

import ast
import importlib
import inspect
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ctconsole.ui import screens
from ctconsole.ui.screens import entries, faults, forecast, top
from tests.support.pilots import first_sample, status, until

if TYPE_CHECKING:
    from types import ModuleType

    from ctconsole.ui.app import ConsoleApp


def fail(*_: object, **__: object) -> None:
    raise ZeroDivisionError


@dataclass
class Broken:
    """A screen's worker, what it calls that will fail, and the keys that lead there."""

    worker: str
    where: ModuleType
    calls: str
    keys: str


@pytest.mark.parametrize(
    "broken",
    [
        Broken("_count", top, "talkers", "3"),
        Broken("_arrange", entries, "arrange", "2"),
        Broken("_judge", forecast, "forecast", "2f"),
    ],
    ids=lambda broken: broken.worker,
)
async def test_a_fault_reaches_the_status_line(
    console: ConsoleApp, monkeypatch: pytest.MonkeyPatch, broken: Broken
) -> None:
    monkeypatch.setattr(broken.where, broken.calls, fail)
    async with console.run_test(size=(160, 40)) as pilot:
        await first_sample(pilot)
        for key in broken.keys:
            await pilot.press(key)
            await until(pilot, lambda: console.sample.table is not None)
        await until(pilot, lambda: f"internal error in {broken.worker}" in status(pilot).error)


def test_every_screen_that_starts_workers_tells_of_their_faults() -> None:
    found = set()
    for path in Path(inspect.getfile(screens)).parent.glob("*.py"):
        module = importlib.import_module(f"{screens.__name__}.{path.stem}")
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ClassDef) and starts_workers(node):
                found.add(node.name)
                assert issubclass(getattr(module, node.name), faults.TellsFaults), node.name
    assert {"ConfirmScreen", "EntriesScreen", "ForecastScreen", "TopScreen"} <= found


def starts_workers(screen: ast.ClassDef) -> bool:
    """Whether it names Textual's decorator or its method."""
    names = {one.id for one in ast.walk(screen) if isinstance(one, ast.Name)}
    called = {one.attr for one in ast.walk(screen) if isinstance(one, ast.Attribute)}
    return "work" in names or "run_worker" in called
