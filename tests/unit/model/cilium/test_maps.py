from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctconsole.errors import FormatError
from ctconsole.model.cilium.maps import api_maps, maps_text, maps_verbose

CAPTURE = Path(__file__).parents[3] / "data/captures/real-1.18-svc/map-list.json"


def test_a_real_agents_answer_becomes_the_tools_table() -> None:
    lines = maps_text(api_maps(json.loads(CAPTURE.read_text()), "capture")).splitlines()
    assert len(lines) == 32
    assert lines[0] == "Name                       Num entries   Num errors   Cache enabled"
    assert lines[1] == "cilium_lxc                 4             0            true"
    assert lines[-1] == "cilium_policystats         0             0            false"


def test_verbose_shows_what_the_caches_hold() -> None:
    text = maps_verbose(api_maps(json.loads(CAPTURE.read_text()), "capture"))
    assert text.count("## Map: ") == 31
    assert "## Map: cilium_ratelimit\nCache is empty\n\n\n" in text
    assert "## Map: cilium_auth_map\nCache is disabled\n\n\n" in text
    policy = text[text.index("## Map: cilium_policy_v2_00983\n") :].splitlines()[1:5]
    assert policy == [
        "Key              Value   State   Error",
        "Ingress: 0 ANY   0 0             ",
        "Egress: 0 ANY    0 0             ",
        "",
    ]


def test_errors_count_and_are_shown() -> None:
    entries = [None, {"key": "a", "value": "b", "desired-action": "sync", "last-error": "no room"}]
    maps = api_maps({"maps": [{"path": "/g/cilium_lxc", "cache": entries}]}, "answer")
    assert maps_text(maps).splitlines()[1] == "cilium_lxc   1             1            true"
    assert maps_verbose(maps).splitlines()[2] == "a     b       sync    no room"


@pytest.mark.parametrize("answer", [None, {}, {"maps": None}])
def test_no_maps_is_an_answer(answer: object) -> None:
    assert api_maps(answer, "answer") == ()


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ([], "no array 'maps'"),
        ({"maps": 3}, "no array 'maps'"),
        ({"maps": [3]}, "map 0 is no object"),
        ({"maps": [{"cache": {}}]}, "map 0 has a cache"),
        ({"maps": [{"path": 7}]}, "path that is no text"),
    ],
)
def test_another_shape_is_named(answer: object, words: str) -> None:
    with pytest.raises(FormatError, match=words):
        api_maps(answer, "answer")


@given(
    st.recursive(
        st.none() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner)
            | (st.dictionaries(st.sampled_from(["maps", "path", "cache", "key", "value"]), inner))
        ),
    )
)
def test_any_answer_is_read_or_refused(answer: object) -> None:
    try:
        maps = api_maps(answer, "answer")
    except FormatError:
        return
    assert len(maps_text(maps).splitlines()) >= 1 + len(maps)
    maps_verbose(maps)
