from __future__ import annotations

import pytest

from ctconsole.kernel.mounts import _unescape
from ctconsole.kernel.probes import effective_capabilities


@pytest.mark.parametrize(
    ("mask", "held"),
    [
        ("000001ffffffffff", ["CAP_NET_ADMIN", "CAP_SYS_ADMIN", "CAP_PERFMON", "CAP_BPF"]),
        ("0000000000000000", []),
        ("000000c000001000", ["CAP_NET_ADMIN", "CAP_PERFMON", "CAP_BPF"]),
        ("00000000a80425fb", []),
    ],
)
def test_capabilities_are_read_from_the_effective_mask(mask: str, held: list[str]) -> None:
    status = f"Name:\tx\nCapPrm:\t000001ffffffffff\nCapEff:\t{mask}\nCapBnd:\t0\n"
    assert effective_capabilities(status) == held


def test_mount_points_are_unescaped() -> None:
    assert _unescape(r"/a\040b\134c") == "/a b\\c"
