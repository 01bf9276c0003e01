from __future__ import annotations

import pytest

from ctconsole.kernel.cpus import cpu_list, online_cpus, possible_cpus


@pytest.mark.parametrize(
    ("text", "cpus"),
    [("0\n", [0]), ("0-3\n", [0, 1, 2, 3]), ("0,2-4,8\n", [0, 2, 3, 4, 8]), ("\n", [])],
)
def test_a_list_of_cpus_is_read_as_the_kernel_writes_it(text: str, cpus: list[int]) -> None:
    assert cpu_list(text) == cpus


def test_no_more_cpus_are_online_than_there_may_be() -> None:
    assert 0 < len(online_cpus()) <= possible_cpus()
