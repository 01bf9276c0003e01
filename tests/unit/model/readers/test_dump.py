from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ctconsole.model.readers.dump import read_dump
from ctconsole.model.readers.dump_forms import is_missing, map_name_of, tool_error
from tests.support import bugtool
from tests.support.captures import CAPTURES

if TYPE_CHECKING:
    from pathlib import Path

FILES = sorted(CAPTURES.glob("*/*.bpftool.json"))
SAMPLE = CAPTURES / "real-1.18-a" / "cilium_ct_any4_global.bpftool.json"


def expected(data: bytes) -> tuple[list[list[int]], list[list[int]]]:
    entries = json.loads(data)
    keys = [[int(byte, 16) for byte in entry["key"]] for entry in entries]
    return keys, [[int(byte, 16) for byte in entry["value"]] for entry in entries]


def plain(data: bytes) -> bytes:
    """The same entries as bpftool prints them without -j."""
    return bugtool.plain(bugtool.entries_of(data)).encode()


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.name}")
@pytest.mark.parametrize("block", [7, 1000, 1 << 20])
def test_reads_what_bpftool_wrote(path: Path, block: int) -> None:
    data = path.read_bytes()
    keys, values = expected(data)
    for text in (data, json.dumps(json.loads(data), indent=8).encode(), plain(data)):
        dump = read_dump((text[at : at + block] for at in range(0, len(text), block)), "file")
        assert not dump.damage
        assert dump.keys.tolist() == keys
        assert dump.values.tolist() == values


def test_annotated_text_of_bugtool() -> None:
    text = b"# bpftool map dump pinned /x\n\n```\n" + plain(SAMPLE.read_bytes()) + b"```\n"
    dump = read_dump([text], "x.md")
    assert (len(dump.keys), dump.damage) == (10, ())


def test_decoded_copies_of_maps_with_btf_are_passed_over() -> None:
    entries = json.loads(SAMPLE.read_bytes())
    for entry in entries:
        entry["formatted"] = {"key": {"daddr": 1}, "value": {"nested": {"x": 2}}}
    dump = read_dump([json.dumps(entries).encode()], "file")
    assert (len(dump.keys), dump.damage) == (10, ())


def test_entries_that_vanished_while_bpftool_read() -> None:
    data = SAMPLE.read_bytes()
    gone = data.replace(b'"value":[', b'"value":{"error":"No such file"}},{"key":["0x00"],"x":[', 1)
    first = re.match(rb'\[\{"key":\[[^]]*\],"value":\{"error":"No such file"\}\}', gone)
    assert first
    dump = read_dump([first.group() + b"," + data[1:]], "file")
    assert (dump.vanished, len(dump.keys), dump.damage) == (1, 10, ())


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (b"Error: bpf obj get (/x): Operation not permitted\n", "Operation not permitted"),
        (b'{"error":"bpf obj get (/x): No such file or directory"}', "No such file or directory"),
        (b"# bpftool map dump pinned /x\n\n```\nError: no\n\n```\n", "no"),
        (b"bash: line 1: bpftool: command not found\n", "bash: line 1: bpftool: command not found"),
        (b"> Error while running 'bpftool x':  signal: killed\n", "signal: killed"),
    ],
)
def test_a_tools_error_is_told_from_entries(text: bytes, error: str) -> None:
    told = tool_error(text)
    assert told
    assert told.endswith(error)
    assert is_missing(told) is ("No such file" in error)


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_entries_are_no_error(path: Path) -> None:
    data = path.read_bytes()
    assert tool_error(data) is tool_error(plain(data)) is None


@pytest.mark.parametrize("text", [b"", b"hello", b"{}", b'{"error":"no map"}', b"\0" * 100])
def test_other_files_are_no_dumps(text: bytes) -> None:
    error = read_dump([text], "a/other").error()
    assert "a/other is damaged at byte 0: this is no output of bpftool" in str(error)


def test_truncation_names_file_and_offset() -> None:
    data = SAMPLE.read_bytes()
    dump = read_dump([data[: data.rindex(b'{"key"') + 100]], "cut.json")
    assert len(dump.keys) == 9
    assert str(dump.error()) == (
        f"cut.json is damaged at byte {data.rindex(b'{')}: the last entry is broken or cut "
        "short; 9 entries could be read"
    )


def test_truncation_between_entries() -> None:
    data = SAMPLE.read_bytes()
    dump = read_dump([data[: data.rindex(b',{"key"')]], "cut.json")
    assert len(dump.keys) == 9
    assert "the dump is cut short" in str(dump.error())


def test_damage_in_the_middle_costs_one_entry() -> None:
    data = SAMPLE.read_bytes()
    second = data.index(b'{"key"', 10)
    broken = data[: second + 30] + b"@@@@" + data[second + 34 :]
    dump = read_dump([broken], "file")
    keys, _ = expected(data)
    assert dump.keys.tolist() == keys[:1] + keys[2:]
    assert [damage.offset for damage in dump.damage] == [second]


def test_an_entry_of_another_size_is_damage() -> None:
    data = SAMPLE.read_bytes()
    dump = read_dump([data.replace(b'["0x0a",', b"[", 1)], "file")
    assert len(dump.keys) == 1  # the sizes of the first entry are the map's
    assert "14 and 56 bytes among entries of 13 and 56" in str(dump.error())


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("cilium_ct4_global.bpftool.json", "cilium_ct4_global"),
        (
            "bpftool-map-dump-pinned--sys-fs-bpf-tc-globals-cilium_ct_any6_global.md",
            "cilium_ct_any6_global",
        ),
        ("cilium_ct4_00010.json", "cilium_ct4_00010"),
        ("dump.json", "dump"),
    ],
)
def test_map_names(file: str, name: str) -> None:
    assert map_name_of(file) == name


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_damaged_files_never_crash_and_never_invent(data: st.DataObject) -> None:
    sound = SAMPLE.read_bytes()
    text = data.draw(st.sampled_from([sound, plain(sound)]))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(text)))
        cut = data.draw(st.integers(0, 300))
        put = data.draw(st.one_of(st.binary(max_size=20), st.just(text[at // 2 : at // 2 + 90])))
        text = text[:at] + put + text[at + cut :]
    block = data.draw(st.sampled_from([50, 4096, 1 << 20]))
    dump = read_dump((text[i : i + block] for i in range(0, len(text), block)), "file")
    assert len(dump.keys) == len(dump.values)
    assert all(0 <= damage.offset <= len(text) for damage in dump.damage)
    if len(dump.keys) < 10 and dump.keys.shape[1] == 14:
        assert dump.damage or text.count(b"key") < 10 or dump.vanished


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(['{"key":', "[", '"0x00"', ",", "]", "}", " ", "key:", "00 "])))
def test_pieces_of_dumps_in_any_order(pieces: list[str]) -> None:
    dump = read_dump([piece.encode() for piece in pieces], "file")
    assert isinstance(dump.keys, np.ndarray)
