from __future__ import annotations

import subprocess
import sysconfig
from typing import TYPE_CHECKING

import pytest

from ctconsole.kernel import counts, fingerprint, slots, syscall
from ctconsole.kernel.syscall import Cmd, object_name
from ctconsole.paths import bpf_sources
from tests.support import hooks

if TYPE_CHECKING:
    import ctypes
    from pathlib import Path

    import numpy as np

# Which type of the kernel's header each structure mirrors, and the member its fields are in.
ATTRIBUTES: dict[type[ctypes.Structure], tuple[str, str]] = {
    syscall.MapCreateAttr: ("union bpf_attr", ""),
    syscall.ElemAttr: ("union bpf_attr", ""),
    syscall.BatchAttr: ("union bpf_attr", "batch."),
    syscall.ObjAttr: ("union bpf_attr", ""),
    syscall.InfoAttr: ("union bpf_attr", "info."),
    syscall.ProgLoadAttr: ("union bpf_attr", ""),
    syscall.TestRunAttr: ("union bpf_attr", "test."),
    syscall.ProgQueryAttr: ("union bpf_attr", "query."),
    hooks.ProgAttachAttr: ("union bpf_attr", ""),
    hooks.LinkCreateAttr: ("union bpf_attr", "link_create."),
    syscall.MapInfoStruct: ("struct bpf_map_info", ""),
    syscall.ProgInfoStruct: ("struct bpf_prog_info", ""),
}


WITHOUT_OFFSET = {"gpl_compatible", "pad", "link_ids", "link_attach_flags", "revision"}
"""Bits, holes, and what came after the headers of Debian 12 (Linux 6.1); their neighbours' offsets
hold them in place."""


def compile_c(text: str, folder: Path) -> subprocess.CompletedProcess[str]:
    source = folder / "check.c"
    source.write_text(text)
    include = f"-I/usr/include/{sysconfig.get_config_var('MULTIARCH')}"
    return subprocess.run(
        ["clang", "-target", "bpf", "-fsyntax-only", include, str(source)],
        capture_output=True,
        text=True,
        check=False,
    )


def offset_checks() -> list[str]:
    lines = []
    for structure, (owner, prefix) in ATTRIBUTES.items():
        for field in structure._fields_:
            name = field[0]
            if name in WITHOUT_OFFSET:
                continue
            offset = getattr(structure, name).offset
            lines.append(
                f"_Static_assert(__builtin_offsetof({owner}, {prefix}{name}) == {offset}, "
                f'"{structure.__name__}.{name}");'
            )
    return lines


def test_attributes_lie_where_the_kernels_header_has_them(tmp_path: Path) -> None:
    commands = [f'_Static_assert({cmd.name} == {cmd.value}, "{cmd.name}");' for cmd in Cmd]
    result = compile_c("\n".join(["#include <linux/bpf.h>", *commands, *offset_checks()]), tmp_path)
    assert result.returncode == 0, result.stderr


def test_the_count_record_lies_where_the_iterator_writes_it(tmp_path: Path) -> None:
    assert counts.RECORD.fields is not None
    checks = [
        f'_Static_assert(__builtin_offsetof(struct count_record, {name}) == {entry[1]}, "{name}");'
        for name, entry in counts.RECORD.fields.items()
    ]
    checks.append(
        f'_Static_assert(sizeof(struct count_record) == {counts.RECORD.itemsize}, "size");'
    )
    source = bpf_sources() / "iter_count.bpf.c"
    result = compile_c("\n".join([f'#include "{source}"', *checks]), tmp_path)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(
    ("state", "struct", "name"),
    [
        (fingerprint.STATE, "fingerprint_state", "iter_fingerprint.bpf.c"),
        (slots.STATE, "slots_state", "iter_slots.bpf.c"),
    ],
)
def test_a_state_begins_as_the_iterator_has_it(
    state: np.dtype[np.void], struct: str, name: str, tmp_path: Path
) -> None:
    assert state.fields is not None
    checks = [
        f'_Static_assert(__builtin_offsetof(struct {struct}, {name}) == {entry[1]}, "{name}");'
        for name, entry in state.fields.items()
    ]
    source = bpf_sources() / name
    result = compile_c("\n".join([f'#include "{source}"', *checks]), tmp_path)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("cilium_ct4_global", b"cilium_ct4_glob"),
        ("with-dash", b"with_dash"),
        ("dot.ted", b"dot.ted"),
        ("größe", b"gr__e"),
        ("", b""),
    ],
)
def test_names_become_what_the_kernel_accepts(given: str, kept: bytes) -> None:
    assert object_name(given) == kept
