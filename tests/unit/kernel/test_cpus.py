from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ctconsole.errors import MissingFeatureError
from ctconsole.kernel import cpus
from ctconsole.kernel.cpus import cpu_list, online_cpus, possible_cpus

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("text", "listed"),
    [("0\n", [0]), ("0-3\n", [0, 1, 2, 3]), ("0,2-4,8\n", [0, 2, 3, 4, 8]), ("\n", [])],
)
def test_a_list_of_cpus_is_read_as_the_kernel_writes_it(text: str, listed: list[int]) -> None:
    assert cpu_list(text) == listed


def test_no_more_cpus_are_online_than_there_may_be() -> None:
    assert 0 < len(online_cpus()) <= possible_cpus()


def test_where_sysfs_is_not_mounted_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cpus, "_FOLDER", tmp_path)
    for ask in (possible_cpus.__wrapped__, online_cpus):
        with pytest.raises(MissingFeatureError, match="how many CPUs there are: No such file"):
            ask()
