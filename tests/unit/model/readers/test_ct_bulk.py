"""Lines that all look alike are read at once, and come out as they do line by line."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from ctconsole.model.cilium.ct_text import render_text
from ctconsole.model.ct.layout import KEY4, LAYOUTS, Layout, value_dtype
from ctconsole.model.ct.table import CtTable
from ctconsole.model.readers import ct_text
from ctconsole.model.readers.ct_bulk import alike
from ctconsole.model.readers.ct_shapes import SHAPES
from ctconsole.model.readers.ct_text import read_ct_text
from tests.support.captures import FOLDERS, printed
from tests.support.record_maps import info

if TYPE_CHECKING:
    from ctconsole.model.readers.ct_text import CtText

NOW = 400


def listing(layout: Layout, count: int = 400, *, remaining: bool = False) -> bytes:
    """Entries with numbers of up to nine digits, and the usual flags."""
    random = np.random.default_rng(count)
    keys = random.integers(0, 256, (count, KEY4.itemsize), "u1").view(KEY4).reshape(-1)
    keys["nexthdr"] = random.choice([1, 6, 17, 132], count)
    keys["flags"] &= 7
    if LAYOUTS[layout].service_direction:
        keys["flags"][keys["flags"] & 4 != 0] &= 6
    values = np.zeros(count, value_dtype(layout))
    for field in ("lifetime", *(part.field for part in LAYOUTS[layout].text)):
        width = values.dtype[field]
        most = min(np.iinfo(width).max, 10**9)
        values[field] = random.integers(0, most, count, width.newbyteorder("<"))
    # Bits without a name are printed with another "=" and read line by line.
    values["flags"] = random.choice([0, 1, 2, 3, 16, 18], count)
    table = CtTable(info("x"), layout, keys, values, now=NOW, taken_at=0.0)
    return b"".join(render_text(table, time_diff=remaining)).rstrip(b"\n") + b"\n"


def by_lines(text: bytes, monkeypatch: pytest.MonkeyPatch) -> CtText:
    with monkeypatch.context() as patched:
        patched.setattr(ct_text, "alike", lambda *_: None)
        return read_ct_text([text], "x")


def same(first: CtText, second: CtText) -> bool:
    def plain(one: CtText) -> list[Any]:
        maps = [
            (each.whose, each.layout, name, keys.tobytes(), values.tobytes())
            for each in one.listings
            for name, (keys, values) in each.maps.items()
        ]
        moments = {whose: clock.moment() for whose, clock in one.clocks.items()}
        return [maps, moments, one.told, one.untold, one.repeated, one.failed]

    return plain(first) == plain(second)


@pytest.mark.parametrize("remaining", [False, True])
@pytest.mark.parametrize("layout", Layout)
def test_every_release_is_read_at_once(
    layout: Layout, monkeypatch: pytest.MonkeyPatch, *, remaining: bool
) -> None:
    text = listing(layout, remaining=remaining)
    assert sum(alike(text, shape) is not None for shape in SHAPES) == 1
    assert same(read_ct_text([text], "x"), by_lines(text, monkeypatch))


@pytest.mark.parametrize("folder", FOLDERS)
def test_what_tools_printed_is_read_as_by_lines(
    folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = printed(folder, "ct-list.txt")
    assert same(read_ct_text([text], "x"), by_lines(text, monkeypatch))


ODD = (
    b"defaulted container out of: cilium-agent",
    b"",
    b"kube-system/cilium-bcdfg on node worker-1",
    b"TCP OUT 1.2.3.4:5 -> 6.7.8.9:10 expires=1 Pack",
    b"TCP OUT 1.2.3.4:99999 -> 6.7.8.9:10 expires=1",
    b"Error: Unable to open /sys/fs/bpf/tc/globals/cilium_ct_any4_global",
)


@pytest.mark.parametrize("odd", ODD)
def test_one_line_that_is_none_is_told_wherever_it_stands(
    odd: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = listing(Layout.V1_18, 900).splitlines()
    for place in (0, 1, 450, 899, 900):
        text = b"\n".join([*lines[:place], odd, *lines[place:], b""])
        assert same(read_ct_text([text], "x"), by_lines(text, monkeypatch))


def test_any_byte_that_is_changed_changes_what_it_does_line_by_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    random = np.random.default_rng(3)
    text = listing(Layout.V1_18, 4, remaining=True) + listing(Layout.V1_18, 5)
    for place in random.integers(0, len(text), 400):
        changed = bytearray(text)
        changed[place] = random.choice(np.frombuffer(b"0123456789 \n=:.-[]()xfIN", "u1"))
        assert same(read_ct_text([bytes(changed)], "x"), by_lines(bytes(changed), monkeypatch))


def test_blocks_of_any_size_are_the_same_text(monkeypatch: pytest.MonkeyPatch) -> None:
    text = listing(Layout.V1_19) + b"a notice\n" + listing(Layout.V1_18) + b"cut off"
    whole = by_lines(text, monkeypatch)
    for size in (1000, 4096, 100_000):
        blocks = [text[at : at + size] for at in range(0, len(text), size)]
        assert same(read_ct_text(blocks, "x"), whole)


@pytest.mark.parametrize(
    "number", [0, 7, 99_999_999, 100_000_000, 2**53 + 1, 9_999_999_999_999_999_999]
)
def test_numbers_of_any_length_are_read_exactly(
    number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = re.sub(rb" Bytes=[0-9]+", b" Bytes=%d" % number, listing(Layout.V1_18, 5))
    [columns] = [found for shape in SHAPES if (found := alike(text, shape)) is not None]
    assert columns.values["bytes"].tolist() == [number] * 5
    assert same(read_ct_text([text], "x"), by_lines(text, monkeypatch))


@pytest.mark.parametrize("byte", [b"/", b":", b" ", b"\xb5", b"\0", b"?", b"a"])
@pytest.mark.parametrize("place", range(11))
def test_a_byte_that_is_no_digit_is_seen_wherever_it_stands(byte: bytes, place: int) -> None:
    digits = b"12345678901"
    wrong = digits[:place] + byte + digits[place + 1 :]
    text = re.sub(rb" Bytes=[0-9]+", lambda _: b" Bytes=" + wrong, listing(Layout.V1_18, 5))
    assert not any(alike(text, shape) for shape in SHAPES)
