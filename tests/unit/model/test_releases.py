from __future__ import annotations

from ctconsole.model.ct.layout import LAYOUTS
from ctconsole.model.releases import HELD, RELEASES


def test_every_layout_says_how_it_is_known() -> None:
    assert [one.layout for one in RELEASES] == list(LAYOUTS)
    assert {one.conntrack for one in RELEASES} == {HELD}
    assert {one.layout.value for one in RELEASES if one.lists.startswith(HELD)} == {
        *("1.10", "1.11", "1.12", "1.13", "1.14", "1.15", "1.16", "1.17", "1.18", "1.19", "1.20"),
    }
