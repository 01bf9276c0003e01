"""Cilium's text read back into the entries it was printed from."""

from __future__ import annotations

import numpy as np
import pytest

from ctconsole.model.cilium.ct_text import render_text
from ctconsole.model.ct.layout import KEY4, KEY6, LAYOUTS, Layout, value_dtype
from ctconsole.model.ct.table import CtTable
from ctconsole.model.readers.ct_text import looks_like_ct_text, read_ct_text
from tests.support.captures import FOLDERS, layout_of, printed, tables
from tests.support.record_maps import info


def rendered(one: CtTable) -> bytes:
    return b"".join(render_text(one))


def random_table(layout: Layout, *, ipv6: bool, tcp: bool) -> CtTable:
    """Entries with random bytes in all that is printed."""
    random = np.random.default_rng(5)
    dtype = KEY6 if ipv6 else KEY4
    keys = random.integers(0, 256, (300, dtype.itemsize), "u1").view(dtype).reshape(-1)
    keys["nexthdr"] = 6 if tcp else np.where(keys["nexthdr"] == 6, 17, keys["nexthdr"])
    keys["flags"] &= 5 if not tcp else 7
    if LAYOUTS[layout].service_direction:
        keys["flags"][keys["flags"] & 4 != 0] &= 6
    values = np.zeros(300, value_dtype(layout))
    for field in ("lifetime", *(part.field for part in LAYOUTS[layout].text)):
        width = values.dtype[field]
        values[field] = random.integers(0, np.iinfo(width).max, 300, width.newbyteorder("<"))
    return CtTable(info("x"), layout, keys, values, now=0, taken_at=0.0)


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_captured_listing_is_printed_again_as_it_was(folder: str) -> None:
    found = read_ct_text([printed(folder, "ct-list.txt")], "x")
    layout = layout_of(folder)
    assert (found.layout, found.damage) == (layout, ())
    again = b"".join(
        rendered(CtTable.from_raw(info(name), layout, keys, values)).rstrip(b"\n") + b"\n"
        for name, (keys, values) in found.maps.items()
    )
    lines = [line for line in printed(folder, "ct-list.txt").splitlines() if line]
    assert again.splitlines() == lines


@pytest.mark.parametrize("folder", FOLDERS)
def test_keys_are_those_of_the_dump(folder: str) -> None:
    found = read_ct_text([printed(folder, "ct-list.txt")], "x")
    for one in tables(folder):
        if len(one):
            keys, _ = found.maps[one.info.label]
            assert {bytes(key) for key in keys} == {bytes(key) for key in one.keys}


@pytest.mark.parametrize("tcp", [True, False])
@pytest.mark.parametrize("ipv6", [False, True])
@pytest.mark.parametrize("layout", Layout)
def test_every_field_that_is_printed_is_read(layout: Layout, *, ipv6: bool, tcp: bool) -> None:
    one = random_table(layout, ipv6=ipv6, tcp=tcp)
    found = read_ct_text([rendered(one)], "x")
    assert found.damage == ()
    assert found.layout is not None
    [(keys, values)] = found.maps.values()
    again = CtTable.from_raw(one.info, found.layout, keys, values)
    assert rendered(again) == rendered(one)


def test_remaining_seconds_and_markdown_are_no_damage() -> None:
    text = b"# cilium bpf ct list global -d\n\n```\n" + printed(
        "real-1.18-a", "ct-list-timediff.txt"
    )
    found = read_ct_text([text + b"```\n"], "x")
    assert (found.layout, found.damage) == (Layout.V1_18, ())


def test_blocks_may_end_anywhere() -> None:
    text = printed("handmade-1.18", "ct-list.txt")
    whole = read_ct_text([text], "x")
    pieces = read_ct_text([text[at : at + 7] for at in range(0, len(text), 7)], "x")
    assert {name: len(keys) for name, (keys, _) in pieces.maps.items()} == {
        name: len(keys) for name, (keys, _) in whole.maps.items()
    }


def test_damage_names_the_offset_and_the_rest_is_read() -> None:
    first, second, *rest = printed("handmade-1.18", "ct-list.txt").splitlines(keepends=True)
    broken = second.replace(b"expires=", b"expres=")
    out_of_range = rest[0].replace(b":", b":9", 1)
    found = read_ct_text([first + broken + out_of_range + rest[1]], "x")
    assert [damage.offset for damage in found.damage] == [len(first), len(first) + len(broken)]
    assert sum(len(keys) for keys, _ in found.maps.values()) == 2


def test_a_cut_last_line_is_damage() -> None:
    text = printed("real-1.18-a", "ct-list.txt").rstrip()[:-40]
    found = read_ct_text([text], "x")
    assert [damage.offset for damage in found.damage] == [text.rindex(b"\n") + 1]


def test_listings_are_told_from_other_text() -> None:
    assert looks_like_ct_text(printed("handmade-1.9", "ct-list.txt"))
    assert not looks_like_ct_text(b"TCP 10.0.0.1:80\nexpires=4\n")
