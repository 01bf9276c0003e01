from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from ctconsole.model.ct.layout import Layout
from ctconsole.observe.agents import RUNTIME_CONFIG
from ctconsole.observe.discovery import NodeFacts
from ctconsole.observe.families import Families, families_of

if TYPE_CHECKING:
    from pathlib import Path


def facts(folder: Path, **options: str) -> NodeFacts:
    named = {name.replace("_", "-"): value for name, value in options.items()}
    return NodeFacts(folder, folder, options=named)


def test_the_agents_options_tell(tmp_path: Path) -> None:
    told = families_of(facts(tmp_path, enable_ipv4="true", enable_ipv6="false"))
    assert told == Families(ipv4=True, ipv6=False)


def test_an_agent_that_ended_left_its_configuration(tmp_path: Path) -> None:
    file = tmp_path / RUNTIME_CONFIG
    file.parent.mkdir()
    file.write_text(json.dumps({"EnableIPv4": False, "EnableIPv6": True}))
    found = families_of(facts(tmp_path), (tmp_path / "none", tmp_path))
    assert found == Families(ipv4=False, ipv6=True)


@pytest.mark.parametrize(
    ("name", "ipv6"), [("cilium_lb6_services_v2", True), ("cilium_lb4_services_v2", False)]
)
def test_where_nobody_tells_the_maps_do(tmp_path: Path, name: str, *, ipv6: bool) -> None:
    (tmp_path / name).touch()
    assert families_of(facts(tmp_path), ()) == Families(ipv4=True, ipv6=ipv6)


@pytest.mark.parametrize(
    ("layout", "asked"),
    [(Layout.V1_10, (True, True)), (Layout.V1_11, (True, False)), (Layout.V1_16, (False, False))],
)
def test_earlier_tools_take_families_for_on_without_asking(
    layout: Layout, asked: tuple[bool, bool]
) -> None:
    assert Families(ipv4=False, ipv6=False).asked_by(layout) == asked
