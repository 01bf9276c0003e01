from __future__ import annotations

import pytest

from ctconsole.errors import MissingFeatureError
from ctconsole.kernel.numbers import NUMBERS, Call, number_of


@pytest.mark.parametrize("machine", sorted(NUMBERS))
def test_a_machine_has_all_numbers_and_no_two_alike(machine: str) -> None:
    found = {number_of(call, machine) for call in Call}
    assert len(found) == len(Call)


def test_a_machine_that_was_never_looked_up_is_named_with_those_that_were() -> None:
    with pytest.raises(MissingFeatureError, match=r"perf_event_open .* on vax .*x86_64"):
        number_of(Call.PERF_EVENT_OPEN, "vax")
