"""Decoders and renderers on bytes nobody wrote: every entry is a case of its own."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from ctconsole.errors import FormatError
from ctconsole.model.cilium.ct_json import render_json
from ctconsole.model.cilium.ct_text import render_text
from ctconsole.model.cilium.ipcache import ipcache_text
from ctconsole.model.cilium.lists import endpoints_text
from ctconsole.model.cilium.metrics import metrics_text
from ctconsole.model.cilium.nat import nat_json, nat_text
from ctconsole.model.cilium.policy import policy_text
from ctconsole.model.cilium.services import services_text
from ctconsole.model.ct.guess import guess_layout
from ctconsole.model.ct.layout import Layout
from ctconsole.model.ct.table import CtTable
from ctconsole.model.listing.ct import render_listing_csv, render_listing_json
from ctconsole.model.listing.ct_table import render_listing_table
from ctconsole.model.listing.records import render_records_json, render_records_table
from ctconsole.model.names import names_of_maps
from ctconsole.model.records.data import RECORDS
from ctconsole.model.records.spec import RecordKind, RecordSpec
from ctconsole.model.records.table import RecordTable
from tests.support.record_maps import info

if TYPE_CHECKING:
    from collections.abc import Iterable

ROWS = 1000


def random_bytes(*shape: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.random.default_rng(7).integers(0, 256, shape, "u1")


def text(parts: Iterable[memoryview]) -> bytes:
    return b"".join(parts)


@pytest.mark.parametrize("key_size", [14, 38])
@pytest.mark.parametrize("layout", Layout)
def test_conntrack_entries(layout: Layout, key_size: int) -> None:
    table = CtTable.from_raw(
        info("x"), layout, random_bytes(ROWS, key_size), random_bytes(ROWS, 56), now=9
    )
    assert len(json.loads(text(render_listing_json([table])))) == ROWS
    assert len(json.loads(text(render_json([table])))) == ROWS
    named = int(np.count_nonzero(table.keys["nexthdr"]))
    assert text(render_text(table, time_diff=True)).count(b"\n") == named + 1
    assert text(render_listing_csv([table])).count(b"\n") == ROWS + 1
    assert text(render_listing_table(table)).count(b"\n") == ROWS + 3
    assert guess_layout(table.values).layout in Layout


@pytest.mark.parametrize("spec", RECORDS, ids=lambda spec: f"{spec.names}-{spec.since}")
def test_other_entries(spec: RecordSpec) -> None:
    table = RecordTable(
        info("cilium_lb6_x" if "6" in spec.names else "cilium_x"),
        spec,
        random_bytes(ROWS, spec.key.itemsize).view(spec.key).reshape(-1),
        random_bytes(ROWS, spec.value.itemsize).view(spec.value).reshape(-1),
        now=100,
    )
    assert len(json.loads(text(render_records_json([table])))) == ROWS
    assert text(render_records_table(table)).count(b"\n") == ROWS + 3
    for layout in Layout:
        match spec.kind:
            case RecordKind.NAT:
                assert len(json.loads(text(nat_json([table], layout)))) == ROWS
                assert text(nat_text(table, layout)).count(b"\n") <= ROWS + 1
            case RecordKind.IPCACHE:
                assert text(ipcache_text(table, layout)).count(b"\n") == ROWS + 1
            case RecordKind.POLICY:
                assert policy_text(table, layout).count("\n") >= ROWS
            case RecordKind.METRICS:
                assert metrics_text(table, layout).count("\n") == ROWS + 1
            case RecordKind.ENDPOINT:
                assert endpoints_text(table, layout)
            case RecordKind.SERVICE | RecordKind.BACKEND:
                assert services_text([table], layout)
            case _:
                pass
    names = names_of_maps([table])
    assert len(names.addresses(random_bytes(ROWS, 4))) == ROWS


@settings(max_examples=300, deadline=None)
@given(
    name=st.sampled_from([spec.names.split("|")[0] for spec in RECORDS] + ["cilium_policy_00001"]),
    keys=arrays.arrays(np.uint8, st.tuples(st.integers(0, 3), st.integers(1, 64))),
    width=st.integers(1, 64),
)
def test_sizes_that_are_not_known_are_our_own_error(
    name: str, keys: np.ndarray[tuple[int, int], np.dtype[np.uint8]], width: int
) -> None:
    values = np.zeros((len(keys), width), np.uint8)
    for shaped in (values, values[:, np.newaxis]):
        try:
            assert len(RecordTable.from_raw(info(name), keys, shaped)) == len(keys)
        except FormatError:
            continue
