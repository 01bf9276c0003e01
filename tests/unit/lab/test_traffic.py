from __future__ import annotations

import pytest

from ctconsole.errors import UsageError
from ctconsole.lab.traffic import MAX_CONNECTIONS, Budget, TrafficPlan


@pytest.mark.parametrize(
    ("wish", "flag"),
    [
        ({"connections": 0}, "--connections"),
        ({"connections": MAX_CONNECTIONS + 1}, "--connections"),
        ({"rate": 0.0}, "--rate"),
        ({"rate": 1e9}, "--rate"),
        ({"duration": 0.0}, "--duration"),
    ],
)
def test_a_plan_is_bounded_and_says_by_which_flag(wish: dict[str, float], flag: str) -> None:
    with pytest.raises(UsageError, match=flag):
        TrafficPlan("10.5.5.5", ["x"], **wish)  # type: ignore[arg-type]  # values are whole


def test_a_budget_loses_nothing_to_rounding() -> None:
    budget = Budget(10.0, 1.0, 0.0)
    taken = [budget.take(0.03) for _ in range(100)]
    assert [sum(column) for column in zip(*taken, strict=True)] == pytest.approx([30, 3, 0], abs=1)
    assert max(map(max, taken)) == 1
