"""A larger table without the loss that the article describes: everything goes on and counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ctconsole.lab import look, resize_steps
from ctconsole.lab.tour import Case

if TYPE_CHECKING:
    from ctconsole.lab.folders import Lab
    from ctconsole.lab.tour import CaseReport


def run(lab: Lab, report: CaseReport) -> None:
    """Double the tables twice in a row beneath connections that talk."""
    with resize_steps.talking(lab, report, every_kind=True) as talkers:
        resize_steps.resized(lab, report, 131072)
        resize_steps.resized(lab, report, 32768, look.ANY_MAP)
        resize_steps.resized(lab, report, 262144)
        resize_steps.proved(lab, report, talkers, 262144)


CASE = Case(
    name="resize-up",
    summary="a larger table keeps every entry, counter and connection",
    section="",
    run=run,
    options=resize_steps.EVERY_KIND,
)
