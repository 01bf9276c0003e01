"""Fixtures every room shares, and the rule that a capable machine skips nothing."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from ctconsole.errors import BpfError
from ctconsole.kernel import mapwrite
from ctconsole.kernel.gate import Gate
from ctconsole.model.spec import MapSpec, MapType
from tests.support.mounts import private_bpffs

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from xdist.remote import Producer
    from xdist.scheduler import LoadScopeScheduling

# Both are held against the clock on the wall, which says nothing on a machine under load.
settings.register_profile("load", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("load")

# What the person who runs the tests has settled is no part of them.
os.environ["XDG_CONFIG_HOME"] = "/nonexistent"

pytest_plugins = ["tests.support.guard", "tests.support.leaks"]

PRIVILEGED_FOLDERS = ("kernel", "e2e")
"""Their tests need the machine's kernel."""

IN_A_ROW = "kernel"
"""The tests of one folder in it run one after the other."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--moments", type=int, default=10, help="at how many moments a resize is killed"
    )


@cache
def can_bpf() -> bool:
    """Whether this process may create maps, asked of the kernel."""
    gate = Gate.open()
    try:
        mapwrite.create(gate, MapSpec("probe", MapType.ARRAY, 4, 4, 1)).close()
    except BpfError:
        return False
    return os.geteuid() == 0


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if item.path.relative_to(here).parts[0] in PRIVILEGED_FOLDERS:
            item.add_marker(pytest.mark.privileged)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling:
    """Where tests run in parallel: each file is a row, and so is each wing of the kernel's."""
    from xdist.scheduler import LoadScopeScheduling

    class Rows(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
        def _split_scope(self, nodeid: str) -> str:
            file = Path(nodeid.partition("::")[0])
            _, room, *wings = file.parts
            return f"{room}/{wings[0]}" if room == IN_A_ROW else str(file)

    return Rows(config, log)


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("privileged") and not can_bpf():
        pytest.skip("needs root and BPF")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if (
        report.skipped
        and not hasattr(report, "wasxfail")
        and item.get_closest_marker("privileged")
        and (os.environ.get("CI") or can_bpf())
    ):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped where it must run: {report.longrepr}"
    return report


@pytest.fixture
def gate() -> Gate:
    """The write gate."""
    return Gate.open()


@pytest.fixture
def bpffs(gate: Gate) -> Iterator[Path]:
    """A private bpffs, unmounted afterwards with everything pinned in it."""
    with private_bpffs(gate) as root:
        yield root
