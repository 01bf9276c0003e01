from __future__ import annotations

import numpy as np
import pytest

from ctconsole.model.ct.guess import guess_layout
from ctconsole.model.ct.layout import KEY4, KEY6, LAYOUTS, VALUE_SIZE, Layout, Notation, value_dtype
from tests.support.captures import FOLDERS, layout_of, tables


@pytest.mark.parametrize("layout", Layout)
def test_every_layout_is_complete(layout: Layout) -> None:
    spec = LAYOUTS[layout]
    names = set(spec.value.names or ())
    assert spec.layout is layout
    assert spec.value.itemsize == VALUE_SIZE
    assert set(spec.counters) <= names
    assert set(spec.service_counters) <= set(spec.counters)
    assert {field.field for field in spec.text} <= names
    assert {field for _, field in spec.json} <= names
    assert {"backend_id", "lifetime", "flags"} <= names
    assert [field.form for field in spec.text].count(Notation.FLAGS) == 1


def test_key_sizes() -> None:
    assert (KEY4.itemsize, KEY6.itemsize) == (14, 38)


@pytest.mark.parametrize("folder", FOLDERS)
def test_guess_knows_the_captures(folder: str) -> None:
    guess = guess_layout(*(table.values for table in tables(folder)))
    assert (guess.layout, guess.certain) == (layout_of(folder), True)


def test_guess_of_nothing_is_not_certain() -> None:
    guess = guess_layout(np.empty((0, VALUE_SIZE), np.uint8))
    assert (guess.layout, guess.certain) == (Layout.V1_18, False)


def test_guess_from_one_direction_only_is_not_certain() -> None:
    values = np.zeros(2, value_dtype(Layout.V1_9))
    values["tx_packets"] = values["last_tx_report"] = 5
    guess = guess_layout(values)
    assert (guess.layout, guess.certain) == (Layout.V1_9, False)


def test_service_entries_do_not_mislead_the_guess() -> None:
    values = np.zeros(3, value_dtype(Layout.V1_18))
    values["backend_id"] = 7
    values["last_tx_report"][0] = values["last_rx_report"][0] = 9
    assert guess_layout(values).layout is Layout.V1_18
