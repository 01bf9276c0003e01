"""Two hours of use compressed: the memory of a console after 10,000 samples of changing tables."""

from __future__ import annotations

import asyncio
from typing import Any, Final

from tests.support.soaking import soak

SAMPLES: Final = {"full": 10_000, "small": 300}
GOAL: Final = 1.05


def run(size: str) -> list[dict[str, Any]]:
    """The rows of this module; see tests/bench/__main__.py."""
    found = asyncio.run(soak(SAMPLES[size]))
    wrong = sorted(found.troubles) + [f"thread {name} is left" for name in sorted(found.threads)]
    if wrong:
        raise RuntimeError("; ".join(wrong))
    half = len(found.memory) // 2
    value, peer = max(found.memory[half:]) / 1e6, max(found.memory[1:half]) / 1e6
    return [
        {
            "name": f"memory over {SAMPLES[size]:,} samples, last half",
            "value": value,
            "unit": "MB",
            "peer": "the first half",
            "peer_value": peer,
            "ratio": value / peer,
            "goal": f"<= {GOAL:g}",
            "ok": value <= GOAL * peer,
        }
    ]
