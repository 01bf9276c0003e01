"""What the nodes of a fleet can be asked for, of rows as ``fleet show -o json`` has them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from ctconsole.model.filter import rules
from ctconsole.model.filter.asking import NODES
from ctconsole.model.filter.parse import NONE_SAVED
from ctconsole.model.filter.query import Filter
from ctconsole.model.filter.rows import Listed
from ctconsole.model.filter.rules import Fields, FilterRule, Test, UnmeantError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from ctconsole.model.filter.asking import Asked
    from ctconsole.model.filter.syntax import Compare, Value

    Rule: TypeAlias = FilterRule[Listed]

NodeFilter: TypeAlias = Filter[Listed]

_FILL_TAKES = "a number of percent, 80 or 80%, or a share below 1, 0.8"
_YES = frozenset({"yes", "true"})
_NO = frozenset({"no", "false"})


def node_fields() -> Fields[Listed]:
    """What can be asked of nodes."""
    return Fields(
        "nodes",
        (
            _text(NODES["node"], "node", rules.text_has, rules.TEXT_TAKES),
            _up(),
            _text(NODES["map"], "fullest", rules.name_is, rules.NAME_TAKES),
            _fill(),
            _number(NODES["full_in"], rules.SECONDS, rules.TIME_TAKES),
            *(
                _number(NODES[name], rules.COUNTS, rules.COUNT_TAKES)
                for name in ("entries", "living", "evicted", "refused", "lost", "split", "alerts")
            ),
            _text(NODES["alert"], "firing", rules.text_has, rules.TEXT_TAKES),
            _number(NODES["age"], rules.SECONDS, rules.TIME_TAKES),
            _number(NODES["agent_up_for"], rules.SECONDS, rules.TIME_TAKES),
            _text(NODES["release"], "release", rules.text_has, rules.TEXT_TAKES),
        ),
    )


def parse_nodes(text: str, saved: Mapping[str, str] = NONE_SAVED) -> NodeFilter:
    """A filter for nodes.

    Raises:
        FilterError: points at what cannot be meant, and says what could be.
    """
    return Filter.parse(text, node_fields(), saved)


def _text(
    asked: Asked, name: str, matcher: Callable[[Value], Callable[[str], bool]], takes: str
) -> Rule:
    """A field that is a text, or several."""

    def texts(value: object) -> Iterable[str]:
        return map(str, value) if isinstance(value, list) else (str(value),)

    def read(_compare: Compare, value: Value) -> Test[Listed]:
        matches = matcher(value)
        return Test(
            lambda listed: np.array(
                [
                    row.get(name) is not None and any(map(matches, texts(row[name])))
                    for row in listed.rows
                ],
                np.bool_,
            ),
            known=lambda listed: listed.known(name),
        )

    def occurring(listed: Listed) -> Iterable[str]:
        told = (row[name] for row in listed.rows if row.get(name) is not None)
        return dict.fromkeys(text for value in told for text in texts(value))

    return FilterRule(asked, read, takes, cost=1, occurring=occurring)


def _up() -> Rule:
    takes = "yes or no"

    def read(_compare: Compare, value: Value) -> Test[Listed]:
        word = value.text.lower()
        if word not in _YES | _NO:
            raise UnmeantError(takes)
        return Test(
            lambda listed: np.array(
                [row.get("up") is (word in _YES) for row in listed.rows], np.bool_
            ),
            known=lambda listed: listed.known("up"),
        )

    return FilterRule(NODES["up"], read, takes, words=("yes", "no"), cost=1)


def _number(asked: Asked, units: Mapping[str, int], takes: str) -> Rule:
    return rules.measured(
        asked,
        lambda listed: listed.numbers(asked.name),
        units,
        takes,
        known=lambda listed: listed.known(asked.name),
    )


def _fill() -> Rule:
    def read(compare: Compare, value: Value) -> Test[Listed]:
        matched = re.fullmatch(r"([0-9]{1,6}(\.[0-9]{1,6})?)(%?)", value.text, re.ASCII)
        if matched is None:
            raise UnmeantError(_FILL_TAKES)
        wanted = float(matched[1])
        if matched[2] and not matched[3] and wanted < 1:
            wanted *= 100
        return Test(
            lambda listed: compare.holds(listed.numbers("fill") * 100, wanted),
            known=lambda listed: listed.known("fill"),
        )

    return FilterRule(NODES["fill"], read, _FILL_TAKES, ordered=True)
