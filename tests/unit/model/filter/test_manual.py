from __future__ import annotations

from typing import Any

import pytest

from ctconsole.cli.filters import fields_of
from ctconsole.model.filter.asking import PLACES
from ctconsole.model.filter.manual import EXAMPLES, LANGUAGE, WIDTH, manual
from ctconsole.model.filter.query import Filter


def parse(what: str, text: str) -> Filter[Any]:
    return Filter.parse(text, fields_of(what))


@pytest.mark.parametrize(
    ("what", "text"),
    [(what, text) for what, text, _ in EXAMPLES] + [("entries", text) for text, _ in LANGUAGE],
)
def test_every_example_is_a_filter(what: str, text: str) -> None:
    assert parse(what, text)


@pytest.mark.parametrize("what", PLACES)
def test_every_field_is_told_with_an_example_that_is_a_filter(what: str) -> None:
    told = manual([fields_of(place) for place in PLACES])
    fields = fields_of(what)
    assert [rule.asked for rule in fields.rules] == list(PLACES[what].values())
    for rule in fields.rules:
        assert f"  {rule.asked.sample}" in told
        assert rule.asked.about in told
        assert parse(what, rule.asked.sample)
    assert max(map(len, told.splitlines())) <= WIDTH
