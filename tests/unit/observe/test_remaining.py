"""Listings with the seconds that remain, as every release prints them with ``--time-diff``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ctconsole.observe.offline import read_offline
from tests.support.captures import CAPTURES, dump

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

TABLES = ("ct4_global", "ct_any4_global", "ct6_global", "ct_any6_global")


def keys(found: Iterable[npt.NDArray[np.uint8]]) -> list[bytes]:
    """Addresses, ports and protocols; of the flags behind them a text does not show all."""
    return sorted(key.tobytes()[:-1] for keys in found for key in keys)


@pytest.mark.parametrize("release", ["1.12", "1.16-rc", "1.18.3"])
def test_they_have_every_entry_and_tell_the_clock(release: str, tmp_path: Path) -> None:
    folder = CAPTURES / release
    text = (folder / "tool" / "ct-d.txt").read_text("utf-8")
    file = tmp_path / "output.txt"
    file.write_text(text)
    found = read_offline([file])
    held = keys(dump(folder / "dump" / f"cilium_{name}.json").keys for name in TABLES)
    listed = keys(one.keys for one in found.maps)
    told = sum(one.problem.count("\n  line ") for one in found.maps)
    assert len(listed) + told == sum("expires=" in one for one in text.splitlines())
    assert set(listed) <= set(held)
    now = int((folder / "tool" / "ct-d.now").read_text("ascii"))
    assert {found.timed(one).at.stamp for one in found.maps} == {now}
