"""What addresses and services are called, for verbs that were asked to say it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ctconsole.cli.common import message

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from ctconsole.model.names import Names


def names_for(dumps: Sequence[Path], bpf_root: Path) -> Names:
    """The names of the files, where there are any, else of this node; says what is missing."""
    from ctconsole.node.names import names_of_files, names_of_node

    names, warnings = names_of_files(dumps) if dumps else names_of_node(bpf_root)
    for warning in warnings:
        message(f"ctconsole: {warning}")
    return names
