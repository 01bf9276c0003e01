"""A smaller table that loses nothing that lives: what does not fit is chosen, the expired first."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from ctconsole.lab import resize_steps
from ctconsole.lab.tour import Case

if TYPE_CHECKING:
    from ctconsole.lab.folders import Lab
    from ctconsole.lab.tour import CaseReport


def run(lab: Lab, report: CaseReport) -> None:
    """Halve the tables beneath connections that talk."""
    with resize_steps.talking(lab, report) as talkers:
        resize_steps.resized(lab, report, 32768)
        resize_steps.proved(lab, report, talkers, 32768)


CASE = Case(
    name="resize-down",
    summary="a smaller table keeps every entry, counter and connection",
    section="",
    run=run,
    options=MappingProxyType({"bpf-ct-global-tcp-max": "65536"}),
)
