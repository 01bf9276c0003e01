"""A console's modules are loaded without a look for garbage; afterwards there is one again."""

from __future__ import annotations

import gc

import pytest

from ctconsole.cli.loading import loading


def test_garbage_is_looked_for_again_when_all_is_loaded() -> None:
    before = gc.get_freeze_count()
    with loading():
        assert not gc.isenabled()
        kept = [[number] for number in range(1000)]
    assert gc.isenabled()
    assert gc.get_freeze_count() >= before + len(kept)
    gc.unfreeze()


def test_also_where_a_module_cannot_be_loaded() -> None:
    with pytest.raises(ImportError), loading():
        raise ImportError("no module of that name")
    assert gc.isenabled()
    gc.unfreeze()
