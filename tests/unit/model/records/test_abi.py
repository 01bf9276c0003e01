"""The other maps' numpy layouts of 1.9 against the C header that programs are compiled with."""

from __future__ import annotations

import subprocess

import pytest

from ctconsole.model.ct.layout import KEY4, KEY6
from ctconsole.model.records.data import RECORDS
from ctconsole.paths import bpf_sources

RECORD = {name.names: name for name in reversed(RECORDS)}
V4, V6 = "cilium_lb4_", "cilium_lb6_"
POLICY = RECORD[r"cilium_policy_\d{5,}"]
NAT4, NAT6 = (
    next(spec for spec in RECORDS if f"cilium_snat_v{family}" in spec.names) for family in (4, 6)
)
STRUCTS = {
    "ipv4_nat_entry": NAT4.value,
    "ipv6_nat_entry": NAT6.value,
    "lb4_key": RECORD[V4 + "services_v2"].key,
    "lb6_key": RECORD[V6 + "services_v2"].key,
    "lb_service": RECORD[V4 + "services_v2"].value,
    "lb4_backend": RECORD[V4 + "backends"].value,
    "lb6_backend": RECORD[V6 + "backends"].value,
    "lb4_reverse_nat": RECORD[V4 + "reverse_nat"].value,
    "lb6_reverse_nat": RECORD[V6 + "reverse_nat"].value,
    "lb4_affinity_key": RECORD[V4 + "affinity"].key,
    "lb6_affinity_key": RECORD[V6 + "affinity"].key,
    "lb_affinity_val": RECORD[V4 + "affinity"].value,
    "lb_affinity_match": RECORD["cilium_lb_affinity_match"].key,
    "policy_key": POLICY.key,
    "policy_entry": POLICY.value,
    "ipcache_key": RECORD["cilium_ipcache"].key,
    "remote_endpoint_info": RECORD["cilium_ipcache"].value,
    "endpoint_key": RECORD["cilium_lxc"].key,
    "endpoint_info": RECORD["cilium_lxc"].value,
    "metrics_key": RECORD["cilium_metrics"].key,
    "metrics_value": RECORD["cilium_metrics"].value,
    "ipv4_frag_id": RECORD["cilium_ipv4_frag_datagrams"].key,
    "ipv4_frag_l4ports": RECORD["cilium_ipv4_frag_datagrams"].value,
}
# Bit fields have no offset in C; the others are later releases' fields in 1.9's padding, and
# the MAC addresses are the low six bytes of a 64-bit number.
C_NAMES = {
    "to_addr": "to_saddr",
    "to_port": "to_sport",
    "created": "common.created",
    "needs_ct": "common.host_local",
    "pad1": "common.pad1",
    "pad2": "common.pad2",
}
NO_MEMBER = {
    ("policy_key", "egress"),
    ("policy_entry", "flags"),
    ("policy_entry", "auth_type"),
    ("metrics_key", "dir"),
    ("lb4_affinity_key", "netns_cookie"),
    ("lb6_affinity_key", "netns_cookie"),
    ("lb_service", "qcount"),
    ("lb4_backend", "flags"),
    ("lb6_backend", "flags"),
    ("ipcache_key", "cluster_id"),
    ("endpoint_key", "cluster_id"),
    ("endpoint_info", "rt_info"),
    ("endpoint_info", "sec_id"),
    ("endpoint_info", "parent_ifindex"),
}


def c_name(struct: str, field: str) -> str:
    return C_NAMES.get(field, field) if "nat_entry" in struct else field


@pytest.fixture(scope="module")
def header(tmp_path_factory: pytest.TempPathFactory) -> dict[str, int]:
    """Sizes of all structs and offsets of all members, as a C compiler sees them."""
    prints = [f'P("{name}", sizeof(struct {name}));' for name in STRUCTS]
    for struct, dtype in STRUCTS.items():
        for name in dtype.names or ():
            if (struct, name) not in NO_MEMBER:
                member = c_name(struct, name)
                prints.append(f'P("{struct}.{name}", offsetof(struct {struct}, {member}));')
    source = "\n".join(
        [
            "#include <stddef.h>",
            "#include <stdio.h>",
            '#include "ctconsole_abi.h"',
            '#define P(name, value) printf("%s %ld\\n", name, (long)(value))',
            "int main(void) {",
            *prints,
            "return 0; }",
        ]
    )
    folder = tmp_path_factory.mktemp("record-abi")
    program, code = folder / "abi", folder / "abi.c"
    code.write_text(source)
    subprocess.run(["clang", "-Werror", "-I", bpf_sources(), "-o", program, code], check=True)
    printed = subprocess.run([program], check=True, capture_output=True, text=True).stdout
    return {name: int(number) for name, number in map(str.split, printed.splitlines())}


@pytest.mark.parametrize("struct", STRUCTS)
def test_offsets_and_sizes(struct: str, header: dict[str, int]) -> None:
    dtype = STRUCTS[struct]
    assert dtype.itemsize == header[struct]
    for name, (_, offset, *_) in (dtype.fields or {}).items():
        if (struct, name) not in NO_MEMBER:
            assert (name, offset) == (name, header[f"{struct}.{name}"])


def test_nat_maps_have_conntrack_keys() -> None:
    assert (NAT4.key, NAT6.key) == (KEY4, KEY6)
