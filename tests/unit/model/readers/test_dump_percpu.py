"""Dumps of per-CPU maps, as bpftool writes them."""

from __future__ import annotations

import json

from ctconsole.model.readers.dump_percpu import is_per_cpu, read_per_cpu

ENTRIES = [((0, 1), ((1, 2), (3, 4))), ((5, 6), ((7, 8), (9, 255)))]


def listed(numbers: tuple[int, ...]) -> list[str]:
    return [f"0x{number:02x}" for number in numbers]


def as_json(indent: int | None = None) -> bytes:
    entries = [
        {
            "key": listed(key),
            "values": [{"cpu": cpu, "value": listed(value)} for cpu, value in enumerate(values)],
        }
        for key, values in ENTRIES
    ]
    return json.dumps(entries, indent=indent).encode()


PLAIN = b"""key:
00 01
value (CPU 00): 01 02
value (CPU 01): 03 04
key:
05 06
value (CPU 00): 07 08
value (CPU 01): 09 ff
Found 2 elements
"""


def test_all_three_forms_say_the_same() -> None:
    for text in (as_json(), as_json(8), PLAIN, b"# bpftool\n\n```\n" + PLAIN + b"```\n"):
        assert is_per_cpu(text)
        dump = read_per_cpu(text, "dumps/cilium_metrics.md")
        assert dump.error() is None
        assert dump.map_name == "cilium_metrics"
        assert dump.keys.tolist() == [[0, 1], [5, 6]]
        assert dump.values.tolist() == [[[1, 2], [3, 4]], [[7, 8], [9, 255]]]


def test_a_damaged_entry_is_named_and_the_others_read() -> None:
    text = as_json()
    broken = text.replace(b'"0x01"', b'"0xzz"', 1)
    dump = read_per_cpu(broken, "x.json")
    assert dump.keys.tolist() == [[5, 6]]
    assert "x.json is damaged at byte 1:" in str(dump.error())


def test_a_cut_file_keeps_its_whole_entries() -> None:
    dump = read_per_cpu(PLAIN[:-40], "x")
    assert dump.keys.tolist() == [[0, 1]]
    assert dump.error()


def test_other_sizes_among_the_entries_are_damage() -> None:
    text = PLAIN.replace(b"value (CPU 01): 09 ff", b"value (CPU 01): 09 ff 00")
    dump = read_per_cpu(text, "x")
    assert (len(dump.keys), dump.damage[0].reason) == (
        1,
        "an entry of other sizes than the ones before",
    )
