"""A field of an entry is one row of one table, and its words are the filter's words."""

from __future__ import annotations

import csv
import io
import json
from collections import defaultdict
from typing import TYPE_CHECKING, Final

import numpy as np
import pytest
from click.testing import CliRunner

from ctconsole.cli.main import root as cli
from ctconsole.errors import UsageError
from ctconsole.model.ct import filters, listed, show, shown
from ctconsole.model.ct.field import Field, InDetails, OnScreen, Section
from ctconsole.model.ct.layout import KEY4, Layout, value_dtype
from ctconsole.model.ct.order import sort_rows
from ctconsole.model.ct.query import Query, entry_fields
from ctconsole.model.ct.stats import stats_of
from ctconsole.model.ct.table import CtTable
from ctconsole.model.filter import asking
from ctconsole.model.filter.asking import ASKED, Asked
from ctconsole.model.filter.complete import completions
from ctconsole.model.listing.ct import render_listing_csv, render_listing_ndjson
from ctconsole.model.listing.ct_table import render_listing_table
from ctconsole.model.spec import MapInfo, MapType
from ctconsole.model.text.columns import decimal
from ctconsole.ui.screens.details import entry_facts
from ctconsole.ui.widgets.ct_rows import CtRows, Sorting, arrange, columns_for
from tests.support.captures import CAPTURES
from tests.support.ct_tables import NOW, Entry, ct_table

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import numpy.typing as npt

SIZE: Final = "size-of-a-packet"


def _sizes(table: CtTable) -> npt.NDArray[np.uint64]:
    return table.bytes // np.maximum(table.packets, 1).astype(np.uint64)


WORDS: Final = Asked(("mean",), "1M", "bytes of a packet", ">")
MEAN: Final = Field(
    SIZE,
    lambda table: (_sizes(table),),
    (filters.sizes(WORDS, _sizes),),
    lambda table, _style: [("mean_size", decimal(_sizes(table)))],
    listed.number("MEAN", 8, lambda table: decimal(_sizes(table))),
    OnScreen("MEAN", 6, shown.numbers(_sizes), right=True, after="bytes"),
    InDetails(Section.COUNTED, lambda one, _: [("mean size", f"{_sizes(one)[0]} bytes")]),
)
"""A field that nothing in the package knows of, and what a filter calls it."""


def ended(text: str) -> list[str]:
    return [one.text for one in completions(text, entry_fields())]


def test_one_addition_is_found_by_all_that_sorts_filters_lists_and_shows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(show, "FIELDS", (*show.FIELDS, MEAN))
    monkeypatch.setattr(asking, "PLACES", {"entries": {**ASKED, "mean": WORDS}})
    table = ct_table(Entry(bytes=400), Entry(source="10.0.1.2:1", bytes=200))
    assert list(sort_rows(table, SIZE).order) == [1, 0]
    assert list(Query.parse("mean>60").rows(table)) == [True, False]
    lines = joined(render_listing_ndjson([table])).splitlines()
    assert [json.loads(line)["mean_size"] for line in lines] == [100, 50]
    assert "mean_size" in joined(render_listing_csv([table])).splitlines()[0]
    _, titles, first, *_ = joined(render_listing_table(table)).splitlines()
    assert titles.index("MEAN") < titles.index("FLAGS")
    assert first[: titles.index("MEAN") + 4].endswith(" 100")
    names = [column.name for column in columns_for(ipv6=False)]
    assert names[names.index("bytes") + 1] == SIZE
    rows = CtRows(arrange(table, Sorting(SIZE, descending=False)))
    assert [rows.cells(row, {})[SIZE][0][0] for row in (0, 1)] == ["50", "100"]
    assert ("mean size", "100 bytes") in (entry_facts(table, table.keys[0].tobytes()) or [])
    assert ended("proto:tcp me") == ["proto:tcp mean>"]
    told = CliRunner().invoke(cli, ["ct", "list", "--help"], standalone_mode=False).stdout
    assert "mean>1M" in told


def test_what_is_told_of_filters_is_what_the_fields_can_be_asked_for() -> None:
    assert list(ASKED.values()) == [rule.asked for field in show.FIELDS for rule in field.rules]


def test_the_help_names_every_field_with_an_example_that_is_a_filter() -> None:
    told = CliRunner().invoke(cli, ["ct", "list", "--help"], standalone_mode=False).stdout
    for rule in show.rules():
        assert f"{rule.asked.sample} " in told
        assert Query.parse(rule.asked.sample)
        assert rule.asked.about in told


def test_a_filter_that_is_being_typed_is_completed() -> None:
    assert ended("sta") == ["state:"]
    assert ended("!flag:rx") == ["!flag:rx-closing"]
    assert ended("dport:443 state:one") == ["dport:443 state:one-way"]
    assert ended("proto:tcp,u") == ["proto:tcp,udp"]
    assert ended("dport:") == []
    assert ended("colour:r") == []
    for rule in show.rules():
        for text in ended(f"{rule.asked.name}:"):
            assert Query.parse(text)


@pytest.mark.parametrize("field", show.FIELDS, ids=lambda field: field.name)
def test_a_field_of_an_empty_table_is_shown_and_listed(field: Field) -> None:
    table = strange_table(0)
    for rule in field.rules:
        assert not Query.parse(rule.asked.sample).rows(table).any()
    if field.on_screen:
        assert not field.on_screen.texts(table, None)
    if field.numbers:
        assert len(sort_rows(table, field.name).order) == 0


def joined(parts: Iterable[memoryview]) -> str:
    return b"".join(parts).decode()


def strange_table(rows: int = 400) -> CtTable:
    """Entries of every protocol, direction, state and flag, with and without a meaning."""
    random = np.random.default_rng(5)
    keys = random.integers(0, 256, (rows, 14), np.uint8)
    values = random.integers(0, 256, (rows, 56), np.uint8)
    key = keys.view(KEY4).reshape(-1)
    key["nexthdr"] = random.choice([0, 1, 2, 6, 6, 6, 17, 58, 112, 132, 200], rows)
    key["flags"] = random.choice([0, 1, 2, 3, 4], rows)
    value = values.view(value_dtype(Layout.V1_18)).reshape(-1)
    value["lifetime"] = random.integers(0, 2 * NOW, rows)
    value["flags"] &= random.choice([0, 0x10, 0x14, 0x18, 0xFFFF], rows).astype(np.uint16)
    for way in ("rx", "tx"):
        value[f"last_{way}_report"] = random.choice([0, NOW - 2], rows)
    info = MapInfo(7, "cilium_ct4_global", MapType.LRU_HASH, 14, 56, 4096)
    return CtTable.from_raw(info, Layout.V1_18, keys, values, now=NOW, taken_at=1000.0)


Words = defaultdict[str, set[int]]
"""The rows that each word was shown for."""


def assert_taken(table: CtTable, rule: str, shown_for: Mapping[str, set[int]]) -> None:
    assert shown_for
    for word, rows in shown_for.items():
        chosen = Query.parse(f"{rule}:{word}").rows(table)
        assert set(np.flatnonzero(chosen).tolist()) == rows, (rule, word)


def test_words_of_the_console_are_words_the_filter_takes() -> None:
    table = strange_table()
    rows = CtRows(arrange(table, Sorting("proto", descending=False)))
    for rule, column in (
        ("proto", "proto"), ("dir", "dir"), ("state", "state"), ("risk", "risk"), ("flag", "flags"),
    ):  # fmt: skip
        words = Words(set)
        for row in range(len(rows)):
            for word in rows.cells(row, {})[column][0][0].split():
                words[word].add(int(rows.arrangement.order[row]))
        assert_taken(table, rule, words)


def test_words_of_the_details_are_words_the_filter_takes() -> None:
    table = strange_table()
    words: dict[str, Words] = defaultdict(lambda: Words(set))
    for row in range(len(table)):
        facts = dict(entry_facts(table, table.keys[row].tobytes()) or [])
        words["proto"][facts["connection"].split()[0]].add(row)
        words["dir"][facts["direction"].split(",")[0]].add(row)
        state, *related = facts["state"].split(", ")
        words["state"][state].add(row)
        for word in related:
            words["dir"][word].add(row)
        words["risk"][facts["if recreated"].split(":")[0]].add(row)
        for word in facts["flags"].split(" (")[0].split(", "):
            words["flag"][word].add(row)
    for rule, found in words.items():
        assert_taken(table, rule, found)


def test_words_of_the_listings_are_words_the_filter_takes() -> None:
    table = strange_table()
    words: dict[str, Words] = defaultdict(lambda: Words(set))
    _, titles, *lines = joined(render_listing_table(table)).splitlines()[:-1]
    before_flags = len(titles.split()) - 1
    for row, line in enumerate(lines):
        protocol, way, _, _, state, *_ = shown_words = line.split()
        words["proto"][protocol].add(row)
        words["dir"][way].add(row)
        words["state"][state].add(row)
        for word in shown_words[before_flags:]:
            words["flag"][word].add(row)
    for row, entry in enumerate(csv.DictReader(io.StringIO(joined(render_listing_csv([table]))))):
        words["direction"][entry["direction"]].add(row)
        words["state"][entry["state"]].add(row)
        for word in entry["flags"].split("|") if entry["flags"] else []:
            words["flag"][word].add(row)
    for rule, found in words.items():
        assert_taken(table, rule, found)


def test_words_of_the_statistics_are_words_the_filter_takes() -> None:
    source = ("--from-dump", str(CAPTURES / "real-1.18-svc"), "--now", "4325", "--json")
    [*maps] = json.loads(CliRunner().invoke(cli, ["ct", "stats", *source]).stdout)
    names = ("alive", "expired", "closing", "established", "opening", "one_way")

    def counted(where: str) -> list[int]:
        run = CliRunner().invoke(cli, ["ct", "stats", "--filter", where, *source])
        return [one["entries"] for one in json.loads(run.stdout)]

    for name in names:
        assert counted(f"state:{name}") == [one[name] for one in maps]
    for share in maps[0]["shares"]:
        where = f"proto:{share['protocol']} dir:{share['direction']}"
        assert counted(where)[0] == share["entries"]
    table = strange_table()
    unanswered = stats_of(table).kinds.unanswered
    assert np.count_nonzero(Query.parse("state:unanswered").rows(table)) == unanswered


def test_words_of_the_forecast_are_words_the_filter_takes() -> None:
    files = ("--from-dump", str(CAPTURES / "handmade-1.18"))
    told = CliRunner().invoke(cli, ["ct", "risk", "cilium_ct4_global", *files]).stdout
    _, heading, recreate, *_ = told.splitlines()
    for word, number in zip(heading.split(), recreate.split()[1:], strict=True):
        listed = CliRunner().invoke(
            cli, ["ct", "list", *files, "-o", "csv", "--filter", f"risk:{word}"]
        )
        rows = csv.DictReader(io.StringIO(listed.stdout))
        assert sum(row["map"] == "cilium_ct4_global" for row in rows) == int(number)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("state:Alive", "alive"),
        ("State:ONE-WAY", "state:one_way"),
        ("flag:RxClosing", "flag:rx-closing"),
        ("flag:Nat64", "flag:nat46"),
        ("flag:loopback", "flag:LB-Loopback"),
        ("flag:proxy", "flag:ProxyRedirect"),
        ("Expired", "dead"),
        ("TCP", "proto:6"),
        ("dir:service", "SVC"),
        ("RISK:At_Risk", "risk:at-risk"),
        ("flag:0x0800", "flag:0X800"),
    ],
)
def test_case_and_dashes_do_not_matter(one: str, other: str) -> None:
    table = strange_table()
    found = Query.parse(one).rows(table)
    assert found.any()
    assert (found == Query.parse(other).rows(table)).all()


@pytest.mark.parametrize("term", ["flag:0x", "flag:0x0", "flag:0x10000", "flag:loop", "risk:-"])
def test_what_is_no_word_is_refused(term: str) -> None:
    with pytest.raises(UsageError):
        Query.parse(term)


@pytest.mark.parametrize(
    ("text", "judges"),
    [("risk:breaks", True), ("!RISK:dead", True), ("state:dead !risk:ok", True), ("dead", False)],
)
def test_a_filter_says_itself_that_it_judges(text: str, judges: bool) -> None:  # noqa: FBT001 - a parameter of cases
    assert Query.parse(text).judges is judges
