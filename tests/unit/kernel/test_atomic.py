from __future__ import annotations

import ctypes
import platform
from ctypes.util import find_library
from typing import TYPE_CHECKING

import pytest

from ctconsole.errors import MissingFeatureError
from ctconsole.kernel import atomic

if TYPE_CHECKING:
    from collections.abc import Callable

needs_libatomic = pytest.mark.skipif(
    find_library("atomic") is None, reason="this machine's order needs no libatomic"
)


@pytest.mark.parametrize(
    "kind", [atomic.PlainWord, pytest.param(atomic.AtomicWord, marks=needs_libatomic)]
)
def test_a_word_is_read_and_written_where_it_lies(kind: Callable[[int], atomic.Word64]) -> None:
    memory = (ctypes.c_uint64 * 3)(1, 2**64 - 1, 3)
    word = kind(ctypes.addressof(memory) + 8)
    assert word.load() == 2**64 - 1
    word.store(2**63 + 5)
    assert list(memory) == [1, 2**63 + 5, 3]


@pytest.mark.parametrize("machine", ["aarch64", "riscv64", "loongarch64", "ppc64le"])
def test_a_machine_that_reorders_is_never_read_without_barriers(
    machine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = ctypes.c_uint64(7)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setattr(atomic, "LIBRARY", "libatomic-of-no-machine.so")
    atomic._functions.cache_clear()
    try:
        with pytest.raises(MissingFeatureError, match=f"{machine} needs .*libatomic1"):
            atomic.word_at(ctypes.addressof(memory))
    finally:
        atomic._functions.cache_clear()
