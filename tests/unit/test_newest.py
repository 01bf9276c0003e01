"""One thing at a time, and of what is asked for meanwhile only the newest."""

from __future__ import annotations

from ctconsole.ui.newest import Newest


def test_what_is_asked_for_meanwhile_waits_and_the_newest_supersedes() -> None:
    begun: list[int | None] = []
    work = Newest[int](lambda: begun.append(work.wanted))
    for number in (1, 2, 3):
        work.ask(number)
    assert begun == [1]
    work.ended()
    assert begun == [1, 3]
    work.ended()
    work.ask(4)
    assert begun == [1, 3, 4]
