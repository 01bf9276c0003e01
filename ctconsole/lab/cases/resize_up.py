"""A larger table without the loss that the article describes: everything goes on and counts."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from ctconsole.lab import resize_steps
from ctconsole.lab.tour import Case

if TYPE_CHECKING:
    from ctconsole.lab.folders import Lab
    from ctconsole.lab.tour import CaseReport


def run(lab: Lab, report: CaseReport) -> None:
    """Double the tables twice in a row beneath connections that talk."""
    with resize_steps.talking(lab, report) as talkers:
        resize_steps.resized(lab, report, 131072)
        resize_steps.resized(lab, report, 262144)
        resize_steps.proved(lab, report, talkers, 262144)


CASE = Case(
    name="resize-up",
    summary="a larger table keeps every entry, counter and connection",
    section="",
    run=run,
    options=MappingProxyType({"bpf-ct-global-tcp-max": "65536"}),
)
