"""How the entries of a node are to be read and judged, by all that can be learned of it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ctconsole.errors import CtconsoleError
from ctconsole.manager.knowledge import read_knowledge
from ctconsole.model.ct.knowledge import NOTHING_KNOWN
from ctconsole.model.ct.reading import Reading
from ctconsole.model.readers.agentjson import policy_facts
from ctconsole.observe import agentapi

if TYPE_CHECKING:
    from ctconsole.model.ct.knowledge import Knowledge, PolicyFacts
    from ctconsole.observe.discovery import NodeFacts


def reading_of(facts: NodeFacts, policy: PolicyFacts | None = None) -> Reading:
    """The clock and the layout as discovered, and what is known beside the entries.

    Args:
        facts: the node.
        policy: where it is enforced; None asks the agent that was discovered.
    """
    layout = facts.layout.value if facts.layout else None
    return Reading(facts.clock.value, layout, knowledge_of(facts, policy))


def knowledge_of(facts: NodeFacts, policy: PolicyFacts | None = None) -> Knowledge:
    """The services of the node's maps, and where its agent enforces policy.

    Takes as long as an agent's answer; what cannot be learned counts as not known.
    """
    try:
        known = read_knowledge(facts.globals)
    except CtconsoleError:
        known = NOTHING_KNOWN
    return replace(known, policy=policy or _policy(facts))


def _policy(facts: NodeFacts) -> PolicyFacts:
    never = facts.options.get("enable-policy") == "never"
    if facts.agent is None or never:
        return replace(NOTHING_KNOWN.policy, never=never)
    return policy_facts(agentapi.endpoints(facts.agent.socket))
