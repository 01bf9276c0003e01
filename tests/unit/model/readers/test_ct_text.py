"""Cilium's text read back into the entries it was printed from."""

from __future__ import annotations

import re
import textwrap
from typing import TYPE_CHECKING

import numpy as np
import pytest

from ctconsole.model.cilium.ct_text import render_text
from ctconsole.model.ct.layout import KEY4, KEY6, LAYOUTS, Layout, value_dtype
from ctconsole.model.ct.table import CtTable
from ctconsole.model.readers.ct_text import looks_like_ct_text, read_ct_text
from tests.support.captures import FOLDERS, layout_of, printed, tables
from tests.support.record_maps import info

if TYPE_CHECKING:
    from collections.abc import Callable


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


LINES = printed("real-1.18-a", "ct-list.txt").decode().split("\n")[:3]


def wrapped(line: str, width: int, prefix: str = "") -> str:
    pieces = (line[at : at + width] for at in range(0, len(line), width))
    return "\n".join(prefix + piece for piece in pieces)


OTHERS_TOOLS: dict[str, Callable[[str], str]] = {
    "grep": lambda line: f"a/b.md:118:{line}",
    "grep -A": lambda line: f"a/b.md-118-{line}",
    "kubectl": lambda line: f"[pod/cilium-4zq7p/cilium-agent] {line}",
    "stern": lambda line: f"cilium-4zq7p cilium-agent {line}",
    "pdsh": lambda line: f"node-a: {line}",
    "a container's log": lambda line: f"2025-03-01T10:11:10.123456789Z stdout F {line}",
    "a journal": lambda line: f"Mar  3 04:07:22 node-b cilium[18812]: {line}",
    "a mail": lambda line: f"> > {line}",
    "cat -n": lambda line: f"     7\t{line}",
    "quotes": lambda line: f'    "{line}",',
    "an escaped end": lambda line: f"{line}\\n",
    "indentation": lambda line: f"\t\t{line}",
    "wide blanks": lambda line: line.replace(" ", "   ", 5),
    "80 columns": lambda line: wrapped(line, 80),
    "40 columns": lambda line: wrapped(line, 40),
    "80 columns without blanks at their ends": lambda line: "\n".join(
        piece.rstrip() for piece in wrapped(line, 80).split("\n")
    ),
    "a mail that wraps": lambda line: wrapped(line, 78, "> "),
    "lines broken at blanks": lambda line: textwrap.fill(line, 72),
}


@pytest.mark.parametrize("tool", OTHERS_TOOLS)
def test_what_other_tools_do_to_a_line_is_undone(tool: str) -> None:
    plain = read_ct_text([f"{line}\n".encode() for line in LINES], "x")
    text = "".join(f"{OTHERS_TOOLS[tool](line)}\n" for line in LINES)
    found = read_ct_text([text.encode()], "x")
    assert found.told == ()
    [once], [again] = (
        [{name: (keys.tolist(), values.tolist()) for name, (keys, values) in one.maps.items()}]
        for one in (plain, found)
    )
    assert again == once


def test_each_line_tells_its_own_node() -> None:
    text = "".join(f"[pod/cilium-{pod}/cilium-agent] {LINES[0]}\n" for pod in ("4zq7p", "9vv2m"))
    found = read_ct_text([text.encode()], "x")
    assert [one.whose.pod for one in found.listings] == ["cilium-4zq7p", "cilium-9vv2m"]


def test_an_entry_that_comes_twice_counts_once_and_the_later_one() -> None:
    later = re.sub(r"expires=\d+", "expires=7", LINES[0])
    found = read_ct_text([f"{LINES[0]}\n{LINES[1]}\n{later}\n".encode()], "x")
    lifetimes = [
        int.from_bytes(value[32:36].tobytes(), "little")
        for _, values in found.maps.values()
        for value in values
    ]
    assert found.repeated == 1
    assert (len(lifetimes), 7 in lifetimes) == (2, True)
