"""The exporter at work: what it adds to a sample."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, cast

from ctconsole.exporter.page import Exposition
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

    def sample(self) -> None:
        pass

    def close(self) -> None:
        pass


def page(door: Door) -> str:
    with Exporter(cast("NodeSampler", Sampler()), 60.0, print, door=door) as exporter:
        exporter.start()
        assert exporter.wait(30)
        return exporter.body(Exposition.TEXT).decode()


def test_a_web_configuration_that_is_not_in_force_is_told(tmp_path: Path) -> None:
    path = written(tmp_path, USERS)
    door = Door(path, print)
    door.taken_at = 12.5
    assert "ctconsole_web_config_last_reload_successful 1.0" in page(door)
    path.write_text("")
    written_then = page(door)
    assert "ctconsole_web_config_last_reload_successful 0.0" in written_then
    assert re.search(r"_reload_success_timestamp_seconds 12\.5$", written_then, re.MULTILINE)
