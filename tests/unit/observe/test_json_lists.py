"""Several lists in JSON in one file, as a script prints them one behind the other."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest

from ctconsole.errors import FormatError
from ctconsole.model.readers.lines import Gap
from ctconsole.model.records.spec import RecordKind
from ctconsole.node import records
from ctconsole.observe import sections
from ctconsole.observe.offline import read_offline
from tests.support.captures import CAPTURES

if TYPE_CHECKING:
    from pathlib import Path

    from ctconsole.observe.offline import Offline

TOOL = CAPTURES / "1.18.3" / "tool"
NAMES = ("ipcache", "lb", "nat", "policy", "ct", "endpoint", "metrics")


def document(name: str) -> str:
    return (TOOL / f"{name}.json").read_text("utf-8")


def read(folder: Path, text: str) -> Offline:
    file = folder / "output.json"
    file.write_text(text, "utf-8")
    return read_offline([file])


def held(found: Offline) -> list[tuple[str, str, int]]:
    """What there is of each list: its node, kind or map, and how many rows or entries."""
    maps = [(one.whose.node, one.info.label, len(one.keys)) for one in found.maps]
    return sorted([*maps, *((one.whose.node, one.kind, len(one.rows)) for one in found.printed)])


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[tuple[str, str, int]]]:
    """What each list holds where it stands alone."""
    folder = tmp_path_factory.mktemp("alone")
    return {name: held(read(folder, document(name))) for name in NAMES}


@pytest.mark.parametrize(
    "between", ["", "{}\n", "[]\n", "null\n", "$ cilium bpf lb list -o json\n"]
)
@pytest.mark.parametrize("names", [NAMES, NAMES[::-1]], ids=["forwards", "backwards"])
def test_every_list_is_read_whole(
    tmp_path: Path,
    alone: dict[str, list[tuple[str, str, int]]],
    names: tuple[str, ...],
    between: str,
) -> None:
    found = read(tmp_path, between.join(document(name) for name in names))
    assert held(found) == sorted(itertools.chain(*alone.values()))
    assert found.problems == ()
    assert not any(one.problem for one in found.maps)


def test_a_list_in_text_between_two_in_json_is_read(tmp_path: Path) -> None:
    text = (TOOL / "nat.txt").read_text("utf-8")
    found = read(tmp_path, document("ipcache") + text + document("endpoint"))
    assert {one.kind for one in found.printed} == {
        RecordKind.IPCACHE,
        RecordKind.NAT,
        RecordKind.ENDPOINT,
    }
    assert found.problems == ()


def test_the_lists_of_two_nodes_are_told_apart(
    tmp_path: Path, alone: dict[str, list[tuple[str, str, int]]]
) -> None:
    names = ("ct", "nat", "ipcache")
    parts = [
        f"=== node: {node} ===\n{document(name)}" for node in ("node-a", "node-b") for name in names
    ]
    found = read(tmp_path, "".join(parts))
    one_node = [one[1:] for name in names for one in alone[name]]
    assert sorted(held(found)) == sorted(
        (node, *one) for node in ("node-a", "node-b") for one in one_node
    )


def test_a_damaged_line_behind_other_lists_keeps_its_number(tmp_path: Path) -> None:
    before = document("ipcache") + document("nat")
    lines = document("endpoint").split("\n")
    lines[4] = lines[4].replace("[", "")
    broken = "\n".join(lines)
    found = read(tmp_path, before + broken + document("lb"))
    [problem] = found.problems
    assert f"line {before.count(chr(10)) + 5}: {lines[4].strip()}" in problem
    assert {one.kind for one in found.printed} == {
        RecordKind.IPCACHE,
        RecordKind.ENDPOINT,
        RecordKind.SERVICE,
    }


def test_what_a_document_is_may_be_told_in_the_next_block() -> None:
    text = (document("ipcache") + document("ct")).encode()
    kinds = [
        sections.Kind(lambda head: "encryptkey" in head[:200], document=True),
        sections.Kind(lambda head: '"Key"' in head[:40], document=True),
    ]
    for size in (1, 7, 1000, 1 << 20):
        blocks = (text[at : at + size] for at in range(0, len(text), size))
        parts = sections.Sections(blocks, kinds, 0)
        first = b"".join(one for one in parts.main() if not isinstance(one, Gap))
        assert first.decode() == document("ipcache")
        others = [(number, b"".join(blocks).decode()) for number, _, blocks in parts.others()]
        assert others == [(1, document("ct"))]


@pytest.mark.parametrize("text", ["{}\n", "[]\n", "null\n"])
def test_an_empty_list_says_that_it_does_not_say_of_what(tmp_path: Path, text: str) -> None:
    file = tmp_path / "output.json"
    file.write_text(text)
    with pytest.raises(FormatError, match=r"output\.json holds an empty list, which does not say"):
        records.from_files([file], {RecordKind.IPCACHE}, 0)
