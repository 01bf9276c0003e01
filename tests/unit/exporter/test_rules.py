"""The rules for Prometheus, held against series by its own tool."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from ctconsole.exporter.families import FAMILIES
from ctconsole.fleet.looking import QUERIES, RULED, SLOW
from tests.support.promtool import promtool

ROOT = Path(__file__).parents[3]
RULES = ROOT / "deploy" / "prometheus" / "ctconsole.rules.yml"
TESTS = ROOT / "tests" / "data" / "prometheus" / "ctconsole.test.yml"


def test_the_rules_are_well_formed() -> None:
    code, said = promtool("check", "rules", RULES)
    assert (code, "SUCCESS: 20 rules found" in said) == (0, True), said


def run(folder: Path, rules: str) -> tuple[int, str]:
    shutil.copy(TESTS, folder)
    (folder / RULES.name).write_text(rules)
    return promtool("test", "rules", folder / TESTS.name)


def test_each_alert_comes_when_it_should_and_says_what_it_should(tmp_path: Path) -> None:
    code, said = run(tmp_path, RULES.read_text())
    assert code == 0, said


ALERTS = re.findall(r"- alert: (\w+)", RULES.read_text())


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_that_never_comes_is_noticed(alert: str, tmp_path: Path) -> None:
    """So each of them has a test."""
    text = re.sub(
        rf"(- alert: {alert}\n\s+expr: ).*?(\n\s+(?:for|labels):)",
        r"\1vector(0) > 1\2",
        RULES.read_text(),
        flags=re.DOTALL,
    )
    assert text != RULES.read_text()
    code, said = run(tmp_path, text)
    assert (code, alert in said) == (1, True)


def test_the_rules_name_only_metrics_there_are() -> None:
    known = {f"ctconsole_{one.name}{'_total' if one.counter else ''}" for one in FAMILIES}
    lines = [line for line in RULES.read_text().splitlines() if "#" not in line]
    text = re.sub(r"\w+:\w+:\w+", "", "\n".join(lines).replace("ctconsole.*", ""))
    assert set(re.findall(r"\bctconsole_\w+", text)) <= known


@pytest.mark.parametrize("name", sorted(RULED))
def test_a_fleet_is_asked_for_records_that_the_rules_make(name: str) -> None:
    """Of the same metrics that are asked for where there are no rules."""
    asked = RULED[name]
    [record] = re.findall(r"\w+:\w+:\w+", asked)
    [made] = re.findall(rf"- record: {record}\n +expr: (.*?)(?:\n\n|\n +#|\Z)", text(), re.DOTALL)
    assert metrics(made) == metrics({**QUERIES, **SLOW}[name])


def text() -> str:
    return RULES.read_text()


def metrics(query: str) -> set[str]:
    return set(re.findall(r"\bctconsole_\w+", query))
