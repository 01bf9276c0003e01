from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctconsole.model.readers.dump_show import read_show
from ctconsole.model.spec import MapInfo, MapType

PLAIN = b"""\
549: lru_hash  name cilium_ct4_glob  flags 0x0
\tkey 14B  value 56B  max_entries 32768  memlock 4458496B
\tbtf_id 12
\tpids cilium-agent(1)
550: lpm_trie  flags 0x1
\tkey 24B  value 24B  max_entries 512000
"""
ONE = {
    "id": 549,
    "type": "lru_hash",
    "name": "cilium_ct4_glob",
    "flags": 0,
    "bytes_key": 14,
    "bytes_value": 56,
    "max_entries": 32768,
    "bytes_memlock": 4458496,
    "frozen": 0,
}
CT4 = MapInfo(549, "cilium_ct4_glob", MapType.LRU_HASH, 14, 56, 32768, 0, 4458496)


def test_what_bpftool_shows_is_read() -> None:
    assert read_show(PLAIN) == (CT4, MapInfo(550, "", MapType.LPM_TRIE, 24, 24, 512000, 1))
    annotated = b"# bpftool map show\n\n```\n" + PLAIN + b"\n```\n"
    assert read_show(annotated) == read_show(PLAIN)


@pytest.mark.parametrize("document", [ONE, [ONE], [ONE, {"id": 5}, None, {**ONE, "id": -1}]])
def test_what_bpftool_shows_as_json_is_read(document: object) -> None:
    assert read_show(json.dumps(document).encode()) == (CT4,)


def test_a_type_nobody_knows_is_unspecified() -> None:
    assert read_show(json.dumps({**ONE, "type": "new"}).encode())[0].type is MapType.UNSPEC


@given(st.binary(max_size=200), st.integers(0, len(PLAIN)))
def test_no_damage_makes_the_reader_fail(noise: bytes, at: int) -> None:
    read_show(noise)
    assert len(read_show(PLAIN[:at] + noise + PLAIN[at:])) <= 3
