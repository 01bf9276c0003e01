"""How verbs and the console read and judge the entries of this node."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ctconsole.errors import AgentError

if TYPE_CHECKING:
    from pathlib import Path

    from ctconsole.model.knowledge import PolicyFacts
    from ctconsole.model.layout import Layout
    from ctconsole.model.reading import Reading


def reading_of_node(root: Path, layout: Layout | None = None) -> Reading:
    """All that can be learned of the node whose maps are pinned below ``root``.

    Args:
        root: its bpffs.
        layout: what the operator says of the entries; None finds out.
    """
    from ctconsole.observe.discovery import discover
    from ctconsole.observe.reading import reading_of

    return reading_of(discover(root, layout=layout), own_policy(root))


def own_policy(root: Path) -> PolicyFacts | None:
    """Where our own agent enforces policy; None where the node is another's, or it is silent."""
    from ctconsole.agent import control
    from ctconsole.observe.discovery import find_globals

    settings = control.agent_of(find_globals(root) / "any")
    if settings is None:
        return None
    try:
        return control.policy(settings)
    except AgentError:
        # It is busy or leaving; policy counts as enforced then.
        return None
