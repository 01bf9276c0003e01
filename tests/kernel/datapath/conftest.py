from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.wire import Wire, wire

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ctconsole.kernel.gate import Gate


@pytest.fixture
def pod(gate: Gate, bpffs: Path) -> Iterator[Wire]:
    """Programs and tables of a pod with the address 10.5.5.5."""
    with wire(gate, bpffs) as opened:
        yield opened
