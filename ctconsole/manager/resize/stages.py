"""How long the stages of a resize took, also of one that broke off in them."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class StageTimes(dict[str, float]):
    """Seconds of wall time by stage, in the order they ended."""

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Measure the block, whether it ends well or not."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self[stage] = time.perf_counter() - started
