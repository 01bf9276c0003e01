"""Which pinned maps the tool of a release lists besides conntrack's, and what it says of the rest.

Sources: ``cilium/cmd/bpf_nat_list.go``, ``bpf_lb_list.go``, ``bpf_policy_get.go`` (1.9 to 1.14) and
the same of ``cilium-dbg/cmd`` (later); what the tools did where maps were missing.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ctconsole.errors import GoneError
from ctconsole.model.ct.layout import LAYOUTS
from ctconsole.model.records.spec import RecordKind
from ctconsole.node.pinned import skipping
from ctconsole.node.records import pin_names, wanted
from ctconsole.paths import GLOBALS

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from ctconsole.model.ct.layout import Layout
    from ctconsole.observe.families import Families

_NAT: Final = ("cilium_snat_v4_external", "cilium_snat_v6_external")
_MAY_BE_MISSING: Final = {
    RecordKind.SERVICE,
    RecordKind.BACKEND,
    RecordKind.REVERSE_NAT,
    RecordKind.SOURCE_RANGE,
    RecordKind.POLICY,
}


@dataclass(frozen=True, slots=True)
class ToolMaps:
    """What is to be listed.

    Attributes:
        names: the maps to read, in the tool's order.
        skipped: what the tool says of maps it goes on without.
        ended_by: the missing map at which it ends, after those before it were listed.
    """

    names: tuple[str, ...]
    skipped: tuple[str, ...] = ()
    ended_by: GoneError | None = None


def tool_maps(
    root: Path, kinds: Collection[RecordKind], layout: Layout, families: Families
) -> ToolMaps:
    """The maps of some kinds that the tool of a release lists.

    Args:
        root: the bpffs.
        kinds: what to list.
        layout: the release.
        families: which IP families are on.
    """
    names = [name for name in pin_names(root) if wanted(name, kinds)]
    if RecordKind.NAT in kinds:
        return _nat(root, names, layout, families)
    if names or _MAY_BE_MISSING.intersection(kinds):
        return ToolMaps(tuple(names))
    return ToolMaps((), ended_by=_gone(root, " or ".join(sorted(kind.value for kind in kinds))))


def _nat(root: Path, found: list[str], layout: Layout, families: Families) -> ToolMaps:
    """The two tables of the node, without those of other clusters."""
    asked = families.asked_by(layout)
    names: list[str] = []
    skipped: list[str] = []
    for name, on in zip(_NAT, (asked.ipv4, asked.ipv6), strict=True):
        if not on:
            continue
        if name in found:
            names.append(name)
        elif LAYOUTS[layout].skips_missing_maps:
            skipped.append(skipping(root / GLOBALS / name, os.strerror(2).lower()))
        else:
            return ToolMaps(tuple(names), ended_by=_gone(root, name))
    return ToolMaps(tuple(names), tuple(skipped))


def _gone(root: Path, what: str) -> GoneError:
    return GoneError(
        2,
        "BPF_OBJ_GET",
        f"of {what} in {root / GLOBALS}, without which the tool ends",
        hint="Name the bpffs with --bpf-root or files with --from-dump",
    )
