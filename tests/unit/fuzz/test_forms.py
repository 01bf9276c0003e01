"""Every form in which operators have files, damaged: our own errors only, no hang."""

from __future__ import annotations

import random
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ctconsole.errors import CtconsoleError
from ctconsole.model.readers import documents, node_text
from ctconsole.model.readers.ct_items import read_ct_items
from ctconsole.model.readers.ct_text import read_ct_text
from ctconsole.model.readers.lines import Sort, plain, unprefixed, whose_section
from ctconsole.model.readers.printed import read_printed
from ctconsole.model.readers.printed_lists import LISTS
from ctconsole.observe.offline import read_offline
from ctconsole.observe.offline_maps import told_maps
from tests.support.mutations import mutations

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

CASES = sorted((Path(__file__).parents[2] / "data" / "cases").iterdir())
TEXTS = [path.read_bytes() for path in CASES if path.suffix in {".txt", ".md", ".prom"}]
JSON = [path.read_bytes() for path in CASES if path.suffix == ".json"]
YAML = (
    b"- Key:\n    DestAddr:\n    - 10\n    - 0\n    - 0\n    - 1\n    SourceAddr: [10, 0, 0, 2]\n"
    b"    DestPort: 36895\n    Flags: 0\n  Value:\n    Lifetime: 9\n"
) * 3
SLOWEST = 2.0


def each(seeds: list[bytes], count: int, read: Callable[[bytes], None]) -> None:
    each_of(mutations(seeds, count), read)


def each_of(texts: Iterable[bytes], read: Callable[[bytes], None]) -> None:
    """Every text is read, none in more than `SLOWEST` seconds."""
    for text in texts:
        started = time.process_time()
        read(text)
        assert time.process_time() - started < SLOWEST, text[:200]


@pytest.mark.parametrize("name", sorted({path.suffix for path in CASES}))
def test_files(name: str, tmp_path: Path) -> None:
    path = tmp_path / "from-the-chat"

    def read(text: bytes) -> None:
        path.write_bytes(text)
        try:
            offline = read_offline([path])
        except CtconsoleError:
            return
        assert len({one.label for one in told_maps(offline)}) <= len(told_maps(offline))
        for one in offline.maps:
            assert len(one.keys) == len(one.values)
            if one.is_conntrack:
                assert len(offline.timed(one).table()) == len(one.keys)

    each([one.read_bytes() for one in CASES if one.suffix == name], 300, read)


def with_runs(seeds: list[bytes], count: int) -> Iterator[bytes]:
    """Texts with a long run of one thing in a line of theirs, blanks more often than others."""
    chance = random.Random(1)  # noqa: S311 - reproducible damage, no secret
    others = [b"\t", b"-", b"0", b"a", b"a.", b" a", b":", b"[", b'"', b"\\n", b"k8s:", b"x="]
    for _ in range(count):
        text, unit = chance.choice(seeds), chance.choice([b" ", chance.choice(others)])
        at = chance.randrange(len(text))
        yield (text[:at] + unit * (3500 // len(unit)) + text[at:]) * 4


def test_long_runs(tmp_path: Path) -> None:
    path = tmp_path / "from-the-chat"

    def read(text: bytes) -> None:
        path.write_bytes(text)
        with suppress(CtconsoleError):
            read_offline([path])

    each_of(with_runs(TEXTS, 300), read)


def test_listings_account_for_every_line() -> None:
    listings = [text for text in TEXTS if b"expires=" in text and b"\0" not in text]

    def read(text: bytes) -> None:
        found = read_ct_text([text], "x")
        entries = sum(len(keys) for one in found.listings for keys, _ in one.maps.values())
        blank = sum(not line.strip() for line in text.decode("utf-8", "replace").split("\n"))
        lines = text.count(b"\n") + 1
        # A wrapped entry has several lines, an overlong line is told in pieces.
        assert entries + found.repeated + len(found.told) + found.untold + blank >= lines or (
            b"\n0 RxFlagsSeen" in text or len(max(text.split(b"\n"))) > 0
        )
        assert all(one.reason for one in found.told if one.sort is Sort.DAMAGE)

    each(listings, 1_500, read)


def test_documents() -> None:
    def read(text: bytes) -> None:
        for items in (documents.stream, documents.rows, documents.yaml_stream):
            found = read_ct_items(items([text[:50], text[50:]]))
            for one in found.listings:
                assert all(len(keys) == len(values) for keys, values in one.maps.values())

    each([*JSON, YAML, b"map,protocol,direction,related,source\na,b\n"], 1_000, read)


def test_a_document_may_be_cut_anywhere() -> None:
    def read(text: bytes) -> None:
        whole = read_ct_items(documents.stream([text]))
        pieces = read_ct_items(documents.stream(text[at : at + 7] for at in range(0, len(text), 7)))
        assert len(pieces.listings) == len(whole.listings)

    each(JSON, 300, read)


def test_lists_and_texts_of_a_node() -> None:
    def read(text: bytes) -> None:
        words = text.decode("utf-8", "replace")
        for one in LISTS:
            for found in read_printed([text], one, "x"):
                assert all(set(row) <= {*found.columns, "endpoint"} for row in found.rows)
        node_text.read_status(words)
        node_text.read_map_list(words)
        node_text.read_metrics(words)
        for line in words.splitlines():
            unprefixed(line)
            whose_section(line)
        b"".join(plain([text[:9], text[9:]]))

    each(TEXTS, 600, read)
