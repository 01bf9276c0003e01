"""The tour: the article's test cases for real, each step compared with what the article says.

A case is a module in `ctconsole.lab.cases` that exports a `Case` as ``CASE``. Each runs on a lab
of its own, so that none depends on what another left behind.
"""

from __future__ import annotations

import pkgutil
from dataclasses import dataclass, field
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, TypedDict

from ctconsole.errors import CtconsoleError, DeniedError, MissingFeatureError, UsageError
from ctconsole.lab import cases, lifecycle
from ctconsole.lab.server import ServerKind, best_kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from ctconsole.lab.folders import Lab


@dataclass(frozen=True, slots=True)
class Step:
    """One thing compared with the article.

    Attributes:
        name: what is compared, in a few words.
        ok: whether it is as the article says.
        seen: what was there; for people, may have several lines.
    """

    name: str
    ok: bool
    seen: str


class CaseReport:
    """The steps of one case as they happen.

    Args:
        on_step: told each step at once, so that a person can follow.
    """

    def __init__(self, on_step: Callable[[Step], None] = lambda _: None) -> None:
        self.steps: list[Step] = []
        self._on_step = on_step

    def step(self, name: str, ok: bool, seen: str) -> bool:  # noqa: FBT001 - reads as a table row
        """Record one comparison; returns ``ok``."""
        step = Step(name, ok, seen)
        self.steps.append(step)
        self._on_step(step)
        return ok

    @property
    def ok(self) -> bool:
        """Whether there were steps and each was as the article says."""
        return bool(self.steps) and all(step.ok for step in self.steps)


@dataclass(frozen=True, slots=True)
class Case:
    """One test case.

    Attributes:
        name: what ``lab tour CASE`` calls it.
        summary: one line: what it shows.
        section: the article's section, empty for cases beyond the article; cases run in this
            order.
        run: does it on a lab that is up, recording every comparison.
        options: agent options the lab starts with, beside the defaults.
    """

    name: str
    summary: str
    section: str
    run: Callable[[Lab, CaseReport], None]
    options: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


class StepJson(TypedDict):
    """`Step` in JSON."""

    name: str
    ok: bool
    seen: str


class CaseJson(TypedDict):
    """One case in JSON."""

    name: str
    ok: bool
    steps: list[StepJson]


class TourJson(TypedDict):
    """What ``lab tour --json`` prints."""

    ok: bool
    cases: list[CaseJson]


def registry() -> dict[str, Case]:
    """Every case by name, in the article's order, those beyond the article last."""
    modules = (
        import_module(f"{cases.__name__}.{found.name}")
        for found in pkgutil.iter_modules(cases.__path__)
    )
    found = [module.CASE for module in modules if isinstance(getattr(module, "CASE", None), Case)]
    found.sort(key=lambda case: (not case.section, case.section, case.name))
    return {case.name: case for case in found}


def choose(names: Iterable[str]) -> list[Case]:
    """The cases of these names, all of them where there is no name.

    Raises:
        UsageError: a name that is no case; lists the cases there are.
    """
    known = registry()
    wanted = list(names)
    for name in wanted:
        if name not in known:
            raise UsageError(f"There is no case {name!r}", hint=f"Cases: {', '.join(known)}")
    return [known[name] for name in wanted] if wanted else list(known.values())


def run(
    chosen: Sequence[Case],
    *,
    server: ServerKind | None = None,
    on_case: Callable[[Case], None] = lambda _: None,
    on_step: Callable[[Step], None] = lambda _: None,
    say: Callable[[str], None] = lambda _: None,
) -> TourJson:
    """Run the cases one after the other, each on a lab of its own.

    Args:
        chosen: which.
        server: the server in the pod; nginx where installed, if not said.
        on_case: told each case before it starts.
        on_step: told each step at once.
        say: told progress that is no result.

    Raises:
        MissingFeatureError, DeniedError: this node cannot build a lab.
    """
    results: list[CaseJson] = []
    for case in chosen:
        on_case(case)
        report = CaseReport(on_step)
        kind = server or best_kind()
        try:
            with lifecycle.owned("tour", config=case.options, server=kind, say=say) as (lab, _):
                case.run(lab, report)
        except (MissingFeatureError, DeniedError):
            raise
        except (CtconsoleError, OSError) as error:
            report.step("runs to its end", ok=False, seen=str(error))
        results.append(as_json(case, report))
    return {"ok": all(result["ok"] for result in results), "cases": results}


def as_json(case: Case, report: CaseReport) -> CaseJson:
    """A case and what was seen, as the JSON report has it."""
    steps: list[StepJson] = [
        {"name": step.name, "ok": step.ok, "seen": step.seen} for step in report.steps
    ]
    return {"name": case.name, "ok": report.ok, "steps": steps}
