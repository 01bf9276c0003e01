"""The rules for Prometheus, held against series by its own tool."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import yaml

from ctconsole.exporter.families import FAMILIES
from ctconsole.fleet.looking import QUERIES, RULED, SLOW
from ctconsole.fleet.onenode import UP as ONE_UP
from ctconsole.fleet.pools import DOWN
from ctconsole.fleet.rolling.health import UP as HEALTH_UP
from tests.support.promtool import promtool

ROOT = Path(__file__).parents[3]
RULES = ROOT / "deploy" / "prometheus" / "ctconsole.rules.yml"
SCRAPE = RULES.with_name("scrape.yml")
DAEMON_SET = ROOT / "deploy" / "kubernetes" / "exporter.yaml"
README = (ROOT / "README.md").read_text()
TESTS = ROOT / "tests" / "data" / "prometheus" / "ctconsole.test.yml"


def test_the_rules_are_well_formed() -> None:
    code, said = promtool("check", "rules", RULES)
    assert (code, "SUCCESS: 20 rules found" in said) == (0, True), said


def test_what_scrapes_the_exporters_is_well_formed(tmp_path: Path) -> None:
    """Debian's promtool knows nothing of Kubernetes."""
    told = yaml.safe_load(SCRAPE.read_text())
    for job in told["scrape_configs"]:
        job.pop("kubernetes_sd_configs", None)
    (tmp_path / "scrape.yml").write_text(yaml.safe_dump(told))
    shutil.copy(RULES, tmp_path)
    code, said = promtool("check", "config", "--syntax-only", tmp_path / "scrape.yml")
    assert (code, "is valid prometheus config" in said) == (0, True), said


def test_a_job_that_scrapes_is_one_that_is_asked_for() -> None:
    """Who asks whether exporters answer knows them by the name of the job."""
    names = [job["job_name"] for job in yaml.safe_load(SCRAPE.read_text())["scrape_configs"]]
    for query in (QUERIES["up"], ONE_UP, HEALTH_UP, DOWN, RULES.read_text()):
        [pattern] = re.findall(r'up\{job=~"([^"]*)"', query)
        assert all(re.fullmatch(pattern, name) for name in names), query
    assert "has to hold `ctconsole`" in re.sub(r"\s+", " ", README)


def test_the_pods_that_are_scraped_are_the_daemon_sets() -> None:
    [job, *_] = yaml.safe_load(SCRAPE.read_text())["scrape_configs"]
    kept = {one["regex"] for one in job["relabel_configs"] if one.get("action") == "keep"}
    pods = yaml.safe_load(DAEMON_SET.read_text())["spec"]["template"]
    [port] = pods["spec"]["containers"][0]["ports"]
    assert kept == {pods["metadata"]["labels"]["app.kubernetes.io/name"], port["name"]}


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
