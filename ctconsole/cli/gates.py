"""Who may write: everybody on maps of our own, only those who say so on somebody else's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import click

from ctconsole.errors import ReadOnlyError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ctconsole.kernel.gate import Gate

_F = TypeVar("_F", bound="Callable[..., Any]")

FOREIGN_HINT = "The maps belong to another agent; give --allow-writes if you mean it"


def gate_options(function: _F) -> _F:
    """``--read-only`` and ``--allow-writes``, handed over as ``read_only`` and ``allow_writes``."""
    allow = click.option(
        "--allow-writes",
        is_flag=True,
        help="Change maps of an agent that is not ours; without it those are only looked at.",
    )
    read_only = click.option("--read-only", is_flag=True, help="Only look: nothing is changed.")
    return read_only(allow(function))


def gate_hint(bpf_root: Path, *, read_only: bool, allow_writes: bool) -> str:
    """Why the gate is closed and what opens it; empty where it is open.

    Raises:
        click.UsageError: both flags were given.
    """
    if read_only and allow_writes:
        raise click.UsageError("--read-only and --allow-writes exclude each other.")
    if read_only:
        return "Drop --read-only"
    from ctconsole.node.owner import is_foreign

    return "" if allow_writes or not is_foreign(bpf_root) else FOREIGN_HINT


def open_gate(what: str, bpf_root: Path, *, read_only: bool, allow_writes: bool) -> Gate:
    """The write gate.

    Raises:
        ReadOnlyError: it is closed; says that ``what`` needs it, and what opens it.
    """
    from ctconsole.kernel.gate import Gate

    hint = gate_hint(bpf_root, read_only=read_only, allow_writes=allow_writes)
    if hint:
        raise ReadOnlyError(what, hint=hint)
    return Gate.open()
