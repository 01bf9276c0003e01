"""What a test drops unclosed is found in that test: a handle's warning is an error here."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator


def pytest_collection_finish() -> None:
    """Leave what was imported out of the collections to come, which makes each a cheap one."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True, scope="module")
def _what_stays_is_passed_over() -> None:
    """The same for what the modules before this one have loaded since."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _nothing_is_dropped_unclosed() -> Iterator[None]:
    """Have what a test left in circles told before the next one begins."""
    yield
    gc.collect()
