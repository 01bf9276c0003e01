"""A real Prometheus that scrapes what a test serves, and is asked over its API."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.parse
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ctconsole.lab.prometheus import PATIENCE
from ctconsole.lab.prometheus import prometheus as running

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path


@dataclass(frozen=True)
class Prometheus:
    """One that runs; ``url`` is its address."""

    url: str

    def ask(self, path: str, **given: str) -> Any:  # noqa: ANN401 - whatever the API answers
        """The data of an answer of its API; an error is its own sentence."""
        url = f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(given)}"
        try:
            with urllib.request.urlopen(url, timeout=30) as answer:  # noqa: S310 - of a test's own
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{given}: {error.read().decode()}") from error

    def value(self, query: str) -> list[tuple[Mapping[str, str], float]]:
        """Labels and number of each series that a query finds now."""
        found = self.ask("query", query=query)["result"]
        return [(one["metric"], float(one["value"][1])) for one in found]

    def until(self, query: str) -> list[tuple[Mapping[str, str], float]]:
        """The same, once it finds something."""
        end = time.monotonic() + PATIENCE
        while not (found := self.value(query)):
            assert time.monotonic() < end, f"{query} finds nothing: {self.ask('targets')}"
            time.sleep(0.2)
        return found


@contextmanager
def prometheus(
    folder: Path, targets: Mapping[str, Sequence[str]], rules: Sequence[Path] = ()
) -> Iterator[Prometheus]:
    """One with its data in a folder, scraping the targets of each job every second.

    Args:
        folder: empty.
        targets: addresses by job.
        rules: rule files that it evaluates every second.
    """
    jobs = [
        {"job_name": job, "static_configs": [{"targets": list(some)}]}
        for job, some in targets.items()
    ]
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(one.absolute()) for one in rules],
        "scrape_configs": jobs,
    }
    with running(folder, config) as url:
        yield Prometheus(url)
