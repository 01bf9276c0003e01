from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pytest

from ctconsole.model.text.chunks import in_order

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ctconsole.model.text.chunks import Job


def jobs(number: int, *, then_fails: bool = False) -> Iterator[Job]:
    for one in range(number):
        yield partial(np.full, 1, one, np.uint8)
    if then_fails:
        raise OSError("it was cut off")


@pytest.mark.parametrize("number", [0, 1, 2, 3, 50])
def test_what_jobs_return_comes_in_their_order(number: int) -> None:
    assert [int(text[0]) for text in in_order(jobs(number))] == list(range(number))


@pytest.mark.parametrize("number", [0, 1, 2, 3, 4, 5, 50])
def test_nothing_is_lost_where_there_is_no_next_job(number: int) -> None:
    seen: list[int] = []
    texts = (int(text[0]) for text in in_order(jobs(number, then_fails=True)))
    with pytest.raises(OSError, match="cut off"):
        # A list's extend() keeps what came before the exception.
        seen.extend(texts)
    assert seen == list(range(number))
