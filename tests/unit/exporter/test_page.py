"""What Prometheus reads: names, labels, both forms, and nothing where nothing is known."""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING

import pytest
from prometheus_client.openmetrics import parser as openmetrics_parser
from prometheus_client.parser import text_string_to_metric_families as text_families

from ctconsole.exporter.families import FAMILIES
from ctconsole.exporter.figures import NOTHING, Totals
from ctconsole.exporter.page import Exposition, Pages, page
from tests.support.exported import map_info, whole_node
from tests.support.promtool import promtool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from prometheus_client import Metric

# Its reference parser, which refuses whatever is not in the form; it has no types.
openmetrics_families: Callable[[str], Iterator[Metric]] = (
    openmetrics_parser.text_string_to_metric_families
)


def text(form: Exposition = Exposition.TEXT, *names: str) -> str:
    return page(whole_node(*names), form).decode()


def series(written: str) -> list[str]:
    return [line for line in written.splitlines() if line and not line.startswith("#")]


def test_promtool_has_nothing_to_say_of_the_text_form() -> None:
    assert promtool("check", "metrics", given=text().encode()) == (0, "")
    assert promtool("check", "metrics", given=page(NOTHING, Exposition.TEXT)) == (0, "")


def test_of_the_openmetrics_form_it_only_misses_what_that_form_forbids() -> None:
    """It reads the text form alone, in which a counter's help stands under its full name."""
    _, said = promtool("check", "metrics", given=text(Exposition.OPENMETRICS).encode())
    counters = {f"ctconsole_{one.name}_total" for one in FAMILIES if one.counter}
    lines = said.splitlines()
    assert {line.split()[0] for line in lines} == counters
    assert all(line.endswith("no help text") or "non-counter" in line for line in lines)


def test_both_forms_say_the_same() -> None:
    openmetrics, plain = text(Exposition.OPENMETRICS), text()
    told = {
        (one.name, *sorted(one.labels.items())): one.value
        for family in openmetrics_families(openmetrics)
        for one in family.samples
    }
    assert told == {
        (one.name, *sorted(one.labels.items())): one.value
        for family in text_families(plain)
        for one in family.samples
    }
    assert openmetrics.endswith("# EOF\n")
    assert all(value is not None for value in told.values())


def test_pages_one_after_the_other_say_what_single_ones_say() -> None:
    """What does not change is not written anew, and what does is."""
    one, pages = whole_node(), Pages()
    [known] = one.maps
    fuller = dataclasses.replace(one, maps=(dataclasses.replace(known, entries=6000),))
    gone = dataclasses.replace(one, maps=())
    for form in Exposition:
        for node in (one, one, fuller, gone, NOTHING, one):
            assert pages.page(node, form) == page(node, form)


def test_every_family_of_a_node_that_is_known_has_series() -> None:
    written = text()
    for family in FAMILIES:
        name = f"ctconsole_{family.name}{'_total' if family.counter else ''}"
        assert re.search(rf"^{name}[{{ ]", written, re.MULTILINE), name


def test_the_label_is_that_of_ciliums_own_metrics() -> None:
    assert 'ctconsole_map_entries{map_name="ct4_global"} 5886.0' in series(text())
    assert 'ctconsole_map_capacity_entries{map_name="ct4_global"} 524288.0' in series(text())


def test_a_map_has_fewer_than_50_series() -> None:
    """Even one in which every protocol comes in every direction."""
    one, two = (
        text(Exposition.TEXT),
        text(Exposition.TEXT, "cilium_ct4_global", "cilium_ct_any4_global"),
    )
    more = len(series(two)) - len(series(one))
    assert 30 < more < 50


def test_what_is_not_known_has_no_series() -> None:
    node = whole_node()
    [known] = node.maps
    unknown = dataclasses.replace(
        known, entries=None, census=None, split=None, next_start=None, totals=Totals()
    )
    written = series(page(dataclasses.replace(node, maps=(unknown,)), Exposition.TEXT).decode())
    assert sorted(line.split("{")[0] for line in written if "ct4_global" in line) == [
        "ctconsole_map_capacity_entries",
        "ctconsole_map_generation_id",
        "ctconsole_map_memory_bytes",
        "ctconsole_map_recreation_lost_entries_total",
        "ctconsole_map_recreations_total",
    ]
    empty = series(page(NOTHING, Exposition.TEXT).decode())
    assert not [line for line in empty if "_map_" in line or "_ct_" in line]
    assert "ctconsole_agent_up" not in "".join(empty)


def test_numbers_are_whole_as_far_as_they_are_counted() -> None:
    """The library writes floats, which are whole up to 2^53; ids and sizes have 32 bits."""
    node = whole_node()
    [one] = node.maps
    largest = dataclasses.replace(map_info(), id=2**32 - 1, memlock=2**53 - 1)
    node = dataclasses.replace(node, maps=(dataclasses.replace(one, info=largest),))
    found = {
        sample.name: sample.value
        for family in text_families(page(node, Exposition.TEXT).decode())
        for sample in family.samples
    }
    assert found["ctconsole_map_generation_id"] == 2**32 - 1
    assert found["ctconsole_map_memory_bytes"] == 2**53 - 1


def test_no_counter_brings_a_series_of_its_birth() -> None:
    for form in Exposition:
        assert "_created" not in text(form)


@pytest.mark.parametrize(
    "name",
    ['cilium_"} 1\nx{y="', "cilium_\\", "cilium_\udcff\udcfe", "cilium_\u202e", "cilium_# EOF"],
)
def test_a_hostile_name_stays_a_label(name: str) -> None:
    usual = len(series(text()))
    for form, families in (
        (Exposition.TEXT, text_families),
        (Exposition.OPENMETRICS, openmetrics_families),
    ):
        written = text(form, name)
        assert len(series(written)) == usual
        assert list(families(written))


@pytest.mark.parametrize(
    ("header", "form"),
    [
        ("", Exposition.TEXT),
        ("*/*", Exposition.TEXT),
        ("text/plain", Exposition.TEXT),
        ("application/openmetrics-text", Exposition.OPENMETRICS),
        (
            "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
            Exposition.OPENMETRICS,
        ),
        ("application/openmetrics-text;version=;;=,,", Exposition.OPENMETRICS),
        ("\udcff, text/plain; version=a.b", Exposition.TEXT),
    ],
)
def test_a_form_is_chosen_by_what_is_accepted(header: str, form: Exposition) -> None:
    assert Exposition.accepted(header) is form
