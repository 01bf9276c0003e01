from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ctconsole.agent import control
from ctconsole.agent.control import AgentSettings
from ctconsole.config import write_option

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SMALL = {
    "bpf-ct-global-tcp-max": "2048",
    "bpf-ct-global-any-max": "1024",
    "enable-ipv6": "false",
    "preallocate-bpf-maps": "false",
}


@pytest.fixture
def settings(bpffs: Path, tmp_path: Path) -> Iterator[AgentSettings]:
    """Settings of a small agent on a private bpffs, which is stopped afterwards."""
    for name, value in SMALL.items():
        write_option(tmp_path / "config", name, value)
    made = AgentSettings(tmp_path / "state", tmp_path / "config", bpffs)
    yield made
    control.stop(made)
