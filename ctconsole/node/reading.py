"""How verbs and the console read and judge the entries of this node."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ctconsole.errors import AgentError, CtconsoleError

if TYPE_CHECKING:
    from pathlib import Path

    from ctconsole.model.ct.knowledge import PolicyFacts
    from ctconsole.model.ct.layout import Layout
    from ctconsole.model.ct.reading import Reading


def reading_of_node(root: Path, layout: Layout | None = None) -> Reading:
    """All that can be learned of the node whose maps are pinned below ``root``.

    Args:
        root: its bpffs.
        layout: what the operator says of the entries; None finds out.
    """
    from ctconsole.node.owner import discover_node
    from ctconsole.observe.reading import reading_of

    return reading_of(discover_node(root, layout=layout), own_policy(root))


def with_translations(reading: Reading, root: Path) -> tuple[Reading, str]:
    """The same, and whose addresses are translated; and why that is not known, else empty."""
    from ctconsole.manager.knowledge import read_translated
    from ctconsole.observe.agents import find_globals

    try:
        translated = read_translated(find_globals(root))
    except CtconsoleError as error:
        return reading, f"translations are not known: {error}"
    return replace(reading, knowledge=replace(reading.knowledge, translated=translated)), ""


def own_policy(root: Path) -> PolicyFacts | None:
    """Where our own agent enforces policy; None where the node is another's, or it is silent."""
    from ctconsole.agent import control
    from ctconsole.observe.agents import find_globals

    settings = control.agent_of(find_globals(root) / "any")
    if settings is None:
        return None
    try:
        return control.policy(settings)
    except AgentError:
        # It is busy or leaving; policy counts as enforced then.
        return None
