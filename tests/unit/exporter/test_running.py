"""The exporter at work: what it adds to a sample."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, cast

import pytest

from ctconsole.exporter.page import Exposition, Pages
from ctconsole.exporter.running import Exporter
from ctconsole.web.door import Door
from tests.support.exported import whole_node
from tests.support.web import USERS, written

if TYPE_CHECKING:
    from pathlib import Path

    from ctconsole.exporter.figures import NodeFigures
    from ctconsole.exporter.sampling import NodeSampler


class Sampler:
    notes = ()
    newest: NodeFigures = whole_node("cilium_ct4_global")

    def __init__(self) -> None:
        self.samples = 0

    def sample(self) -> None:
        self.samples += 1

    def close(self) -> None:
        pass


def page(door: Door) -> str:
    with Exporter(cast("NodeSampler", Sampler()), 60.0, print, door=door) as exporter:
        exporter.start()
        assert exporter.wait(30)
        return exporter.body(Exposition.TEXT).decode()


def test_a_scrape_takes_no_sample_and_looks_at_nothing() -> None:
    sampler = Sampler()
    with Exporter(cast("NodeSampler", sampler), 3600.0, print) as exporter:
        exporter.start()
        assert exporter.wait(30)
        for form in Exposition:
            assert all(b"ctconsole_map_entries{" in exporter.body(form) for _ in range(100))
            # Not even the numbers are written anew.
            assert exporter.body(form) is exporter.body(form)
    assert sampler.samples == 1


def test_a_page_that_cannot_be_written_is_not_answered_with_an_old_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object) -> bytes:
        raise ValueError("a state that is none")

    with Exporter(cast("NodeSampler", Sampler()), 3600.0, print) as exporter:
        exporter.start()
        assert exporter.wait(30)
        assert exporter.body(Exposition.TEXT)
        monkeypatch.setattr(Pages, "page", fail)
        for call in (lambda: exporter._take(whole_node()), lambda: exporter.body(Exposition.TEXT)):
            with pytest.raises(ValueError, match="a state"):
                call()


def test_a_web_configuration_that_is_not_in_force_is_told(tmp_path: Path) -> None:
    path = written(tmp_path, USERS)
    door = Door(path, print)
    door.taken_at = 12.5
    assert "ctconsole_web_config_last_reload_successful 1.0" in page(door)
    path.write_text("")
    written_then = page(door)
    assert "ctconsole_web_config_last_reload_successful 0.0" in written_then
    assert re.search(r"_reload_success_timestamp_seconds 12\.5$", written_then, re.MULTILINE)
