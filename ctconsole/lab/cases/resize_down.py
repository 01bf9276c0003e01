"""A smaller table that loses nothing that lives: what does not fit is chosen, the expired first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ctconsole.lab import look, resize_steps
from ctconsole.lab.tour import Case

if TYPE_CHECKING:
    from ctconsole.lab.folders import Lab
    from ctconsole.lab.tour import CaseReport


def run(lab: Lab, report: CaseReport) -> None:
    """Halve the tables twice in a row beneath connections that talk."""
    with resize_steps.talking(lab, report, every_kind=True) as talkers:
        resize_steps.resized(lab, report, 32768)
        resize_steps.resized(lab, report, 8192, look.ANY_MAP)
        resize_steps.resized(lab, report, 16384)
        resize_steps.proved(lab, report, talkers, 16384)


CASE = Case(
    name="resize-down",
    summary="a smaller table keeps every entry, counter and connection",
    section="",
    run=run,
    options=resize_steps.EVERY_KIND,
)
