"""A few moments of the crash suite (``make crash``), others in every run."""

from __future__ import annotations

import os
import random
import time
from typing import TYPE_CHECKING

import pytest

from tests.crash import deeds, hostile
from tests.crash.node import node

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.crash.node import Node

ELSEWHERE = {"demo", "labs"}
"""Ends of a demo and builders of one lab: tests/e2e/test_lifecycle.py."""

DEEDS = {**deeds.DEEDS, **hostile.DEEDS}


@pytest.fixture(scope="module")
def lab_node() -> Iterator[Node]:
    with node(f"crash-{os.getpid()}") as made:
        yield made


@pytest.mark.parametrize("deed", [name for name in DEEDS if name not in ELSEWHERE])
def test_a_node_is_whole_after(deed: str, lab_node: Node) -> None:
    seed = time.time_ns() % 1_000_000
    tried = DEEDS[deed](lab_node, random.Random(seed))  # noqa: S311 - nothing secret
    print(f"{tried.what}: make crash ARGS='--tries 1 --seed {seed} {deed}' tries it again")
    assert tried.faults == []
