"""Every numpy offset against the C header that programs are compiled with."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from ctconsole.model.ct.layout import KEY4, KEY6, CtFlag, Layout, TcpFlag, TupleFlag, value_dtype
from ctconsole.paths import bpf_sources

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np

STRUCTS = {
    "ipv4_ct_tuple": KEY4,
    "ipv6_ct_tuple": KEY6,
    "ct_entry": value_dtype(Layout.V1_9),
}
# One word of bit fields in C, which has no offset of its own; a union without a second name.
NO_MEMBER = {("ct_entry", "flags"), ("ct_entry", "backend_id")}
BITS = {
    "rx_closing": CtFlag.RX_CLOSING,
    "tx_closing": CtFlag.TX_CLOSING,
    "nat46": CtFlag.NAT46,
    "lb_loopback": CtFlag.LB_LOOPBACK,
    "seen_non_syn": CtFlag.SEEN_NON_SYN,
    "node_port": CtFlag.NODE_PORT,
    "proxy_redirect": CtFlag.PROXY_REDIRECT,
    "dsr": CtFlag.DSR,
}
CONSTANTS = {
    **{f"TUPLE_F_{name}": TupleFlag[f"TUPLE_F_{name}"] for name in ("IN", "RELATED", "SERVICE")},
    **{f"TCP_F_{flag.name}": flag for flag in (TcpFlag.FIN, TcpFlag.SYN, TcpFlag.RST)},
}


def members(struct: str, dtype: np.dtype[np.void]) -> list[str]:
    return [name for name in dtype.names or () if (struct, name) not in NO_MEMBER]


@pytest.fixture(scope="module")
def header(tmp_path_factory: pytest.TempPathFactory) -> dict[str, int]:
    """What a C compiler makes of the header: sizes, offsets, bits and constants by name."""
    prints = [f'P("{name}", sizeof(struct {name}));' for name in STRUCTS]
    for name, dtype in STRUCTS.items():
        for member in members(name, dtype):
            prints.append(f'P("{name}.{member}", offsetof(struct {name}, {member}));')
            prints.append(f'P("{name}.{member}:", sizeof(((struct {name} *)0)->{member}));')
    for bit in BITS:
        prints.append(f"memset(&e, 0, sizeof(e)); e.{bit} = 1;")
        prints.append(f'memcpy(&word, (char *)&e + 36, 2); P("{bit}", word);')
    prints += [f'P("{name}", {name});' for name in CONSTANTS]
    source = "\n".join(
        [
            "#include <stddef.h>",
            "#include <stdio.h>",
            "#include <string.h>",
            '#include "ctconsole_abi.h"',
            '#define P(name, value) printf("%s %ld\\n", name, (long)(value))',
            "int main(void)",
            "{ struct ct_entry e; unsigned short word;",
            *prints,
            "return 0; }",
        ]
    )
    return run(source, tmp_path_factory.mktemp("abi"))


def run(source: str, folder: Path) -> dict[str, int]:
    program, code = folder / "abi", folder / "abi.c"
    code.write_text(source)
    subprocess.run(
        ["clang", "-Wall", "-Werror", "-I", bpf_sources(), "-o", program, code], check=True
    )
    printed = subprocess.run([program], check=True, capture_output=True, text=True).stdout
    return {name: int(number) for name, number in map(str.split, printed.splitlines())}


@pytest.mark.parametrize("struct", STRUCTS)
def test_offsets_and_sizes(struct: str, header: dict[str, int]) -> None:
    dtype = STRUCTS[struct]
    fields = dtype.fields
    assert fields is not None
    assert dtype.itemsize == header[struct]
    for name in members(struct, dtype):
        field, offset = fields[name][:2]
        assert (name, offset) == (name, header[f"{struct}.{name}"])
        assert (name, field.itemsize) == (name, header[f"{struct}.{name}:"])


@pytest.mark.parametrize("bit", BITS)
def test_flag_bits(bit: str, header: dict[str, int]) -> None:
    fields = value_dtype(Layout.V1_9).fields
    assert fields is not None
    assert fields["flags"][1] == 36
    assert BITS[bit] == header[bit]


@pytest.mark.parametrize("name", CONSTANTS)
def test_constants(name: str, header: dict[str, int]) -> None:
    assert CONSTANTS[name] == header[name]
