"""Names of programs longer than the kernel keeps, out of the types that they carry along."""

from __future__ import annotations

import struct
import subprocess
from typing import TYPE_CHECKING

import pytest

from ctconsole.kernel import btf
from ctconsole.kernel.libbpf import BpfObject
from ctconsole.kernel.programs import program_info

if TYPE_CHECKING:
    from pathlib import Path

SOURCE = """
struct one { int a; long b[4]; };
enum two { X, Y };
static __attribute__((noinline)) int helper(struct one *o, enum two t) { return o->a + t; }
__attribute__((section("tc"))) int tail_handle_ipv4(void *ctx) { return ctx != 0; }
__attribute__((section("tc"))) int tail_handle_ipv4_cont(void *ctx)
{
    struct one o = { (int)(ctx != 0) };
    return helper(&o, Y);
}
char LICENSE[] __attribute__((section("license"))) = "GPL";
"""
HEADER = struct.pack("<HBBI", 0xEB9F, 1, 0, 24)
"""How a section of types begins, whose magic number that of lines and functions shares."""

NAMES = ["tail_handle_ipv4", "tail_handle_ipv4_cont"]


@pytest.fixture
def compiled(tmp_path: Path) -> Path:
    source, found = tmp_path / "long.c", tmp_path / "long.o"
    source.write_text(SOURCE, "utf-8")
    argv = ["clang", "-O2", "-g", "-target", "bpf", "-c", str(source), "-o", str(found)]
    subprocess.run(argv, check=True)
    return found


def test_programs_are_called_by_their_whole_names(compiled: Path) -> None:
    with BpfObject(compiled) as loaded:
        for _ in range(2):
            found = [program_info(loaded.program_fd(name)) for name in NAMES]
            assert [one.name for one in found] == ["tail_handle_ipv"] * 2
            assert [one.called for one in found] == NAMES


def test_what_is_no_function_has_no_name(compiled: Path) -> None:
    whole = compiled.read_bytes()
    begin = whole.index(HEADER)
    types, types_size, strings, strings_size = struct.unpack_from("<4I", whole, begin + 8)
    blob = whole[begin : begin + len(HEADER) + 16 + max(types + types_size, strings + strings_size)]
    named = [btf.name_in(blob, number) for number in range(100)]
    assert set(NAMES) <= set(named)
    assert named[0] == ""
    assert btf.name_in(b"", 1) == btf.name_in(bytes(64), 1) == ""
    for end in range(len(blob)):
        btf.name_in(blob[:end], len(named))
