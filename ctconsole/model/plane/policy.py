"""Network policy in one line each: ``server ingress allow identity:client tcp/80``.

An endpoint without rules allows everything. A rule for one of its directions makes that
direction allow nothing but what its rules do; ``server egress none`` is a rule that allows
nothing. Replies of tracked connections always pass.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING

from ctconsole.errors import UsageError
from ctconsole.model.plane.encode import StoredRows, key_of, value_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ctconsole.model.plane.endpoint import Endpoint

IDENTITIES: Mapping[str, int] = MappingProxyType({"any": 0, "host": 1, "world": 2})
"""Identities with names of their own (``pkg/identity/reserved.go``); 0 is a wildcard."""

PROTOCOLS: Mapping[str, int] = MappingProxyType({"icmp": 1, "tcp": 6, "udp": 17, "icmpv6": 58})
WITH_PORTS = ("tcp", "udp")

SYNTAX = (
    "ENDPOINT ingress|egress allow|deny identity:NAME|NUMBER|any|host|world [tcp/80|udp/53|icmp]"
)

DENY = 1
"""Bit 0 of ``policy_entry``'s flags."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


class PolicyDirection(StrEnum):
    """As the endpoint sees it."""

    INGRESS = "ingress"
    EGRESS = "egress"


class PolicyVerdict(StrEnum):
    """What a rule says."""

    ALLOW = "allow"
    DENY = "deny"
    NONE = "none"
    """Nothing is allowed but by other rules."""


@dataclass(frozen=True, slots=True)
class PolicyRule:
    """One rule of one endpoint.

    Attributes:
        endpoint: its name.
        direction: of the connection, not of each packet.
        verdict: what happens to what matches.
        identity: the other side: an endpoint's name, a number, or one of `IDENTITIES`.
        protocol: one of `PROTOCOLS`; empty for all.
        port: of the destination, 0 for all (and for protocols without ports).
    """

    endpoint: str
    direction: PolicyDirection
    verdict: PolicyVerdict
    identity: str = "any"
    protocol: str = ""
    port: int = 0

    @classmethod
    def parse(cls, text: str) -> PolicyRule:
        """What a line means; see `SYNTAX`.

        Raises:
            UsageError: says which word cannot be meant.
        """
        words = text.split()
        if len(words) < 3:  # noqa: PLR2004 - words of the shortest rule
            raise UsageError(f"{text!r} is no policy rule", hint=f"Write {SYNTAX}")
        endpoint, direction, verdict, *rest = words
        if not _NAME.fullmatch(endpoint):
            raise UsageError(f"{endpoint} cannot name an endpoint")
        if direction not in list(PolicyDirection):
            raise UsageError(f"{direction} is no direction", hint="Write ingress or egress")
        if verdict not in list(PolicyVerdict):
            raise UsageError(f"{verdict} is no verdict", hint="Write allow, deny or none")
        if verdict == PolicyVerdict.NONE:
            if rest:
                raise UsageError(f"{' '.join(rest)} has no meaning after none")
            return cls(endpoint, PolicyDirection(direction), PolicyVerdict.NONE)
        if not 1 <= len(rest) <= 2:  # noqa: PLR2004 - who, and perhaps what
            raise UsageError(f"{text!r} is no policy rule", hint=f"Write {SYNTAX}")
        protocol, port = _service(rest[1]) if rest[1:] else ("", 0)
        return cls(
            endpoint,
            PolicyDirection(direction),
            PolicyVerdict(verdict),
            _identity(rest[0]),
            protocol,
            port,
        )

    def __str__(self) -> str:
        words = [self.endpoint, self.direction.value, self.verdict.value]
        if self.verdict is not PolicyVerdict.NONE:
            words.append(f"identity:{self.identity}")
            if self.protocol:
                words.append(f"{self.protocol}/{self.port}" if self.port else self.protocol)
        return " ".join(words)


def parse_rules(text: str) -> tuple[PolicyRule, ...]:
    """The rules of a file: one on each line, ``#`` starts a comment.

    Raises:
        UsageError: names the line.
    """
    rules: dict[PolicyRule, None] = {}
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].strip()
        if not words:
            continue
        try:
            rules[PolicyRule.parse(words)] = None
        except UsageError as error:
            raise UsageError(f"Line {number}: {error.message}", hint=error.hint) from error
    return tuple(rules)


@dataclass(frozen=True, slots=True)
class EndpointPolicy:
    """What one endpoint's rules come to.

    Attributes:
        enforce_ingress: whether only what rules allow may reach it.
        enforce_egress: the same for what it sends.
        rows: of its policy map, with counters at 0.
        unknown: identities that nobody has at present; their rules have no rows.
    """

    enforce_ingress: bool = False
    enforce_egress: bool = False
    rows: StoredRows = field(default_factory=dict)
    unknown: tuple[str, ...] = ()


def policy_of(
    endpoint: Endpoint, rules: Iterable[PolicyRule], endpoints: Sequence[Endpoint]
) -> EndpointPolicy:
    """What ``rules`` come to for one endpoint; those of others are passed over."""
    own = [rule for rule in rules if rule.endpoint == endpoint.name]
    numbers = {**IDENTITIES, **{one.name: one.identity for one in endpoints}}
    rows: StoredRows = {}
    unknown: dict[str, None] = {}
    name = f"cilium_policy_{endpoint.id:05d}"
    for rule in own:
        if rule.verdict is PolicyVerdict.NONE:
            continue
        number = int(rule.identity) if rule.identity.isdigit() else numbers.get(rule.identity)
        if number is None:
            unknown[rule.identity] = None
            continue
        key = key_of(
            name,
            sec_label=number,
            dport=rule.port,
            protocol=PROTOCOLS.get(rule.protocol, 0),
            egress=int(rule.direction is PolicyDirection.EGRESS),
        )
        value = value_of(name, flags=DENY if rule.verdict is PolicyVerdict.DENY else 0)
        # Of two rules about the same the one that denies holds, as in Cilium.
        rows[key] = max(rows.get(key, value), value)
    directions = {rule.direction for rule in own}
    return EndpointPolicy(
        PolicyDirection.INGRESS in directions,
        PolicyDirection.EGRESS in directions,
        rows,
        tuple(unknown),
    )


def _identity(word: str) -> str:
    kind, colon, name = word.partition(":")
    if not colon or kind != "identity":
        raise UsageError(f"{word} is no identity", hint="Write identity:client, identity:any, ...")
    if name.isascii() and name.isdigit():
        if int(name) > 0xFFFFFFFF:  # noqa: PLR2004 - a u32 in the map
            raise UsageError(f"{name} is no identity", hint="Give 0 to 4294967295")
        return str(int(name))
    if not _NAME.fullmatch(name):
        raise UsageError(f"{name!r} cannot name an endpoint")
    return name


def _service(word: str) -> tuple[str, int]:
    protocol, slash, port = word.lower().partition("/")
    if word.lower() == "any":
        return "", 0
    if protocol not in PROTOCOLS:
        raise UsageError(f"{word} is no protocol", hint=f"Write {', '.join(PROTOCOLS)} or any")
    if protocol not in WITH_PORTS:
        if slash:
            raise UsageError(f"{protocol} has no ports", hint=f"Write {protocol}")
        return protocol, 0
    if not (port.isascii() and port.isdigit() and 1 <= int(port) <= 0xFFFF):  # noqa: PLR2004 - a u16
        # The 1.9 policy map has no wildcard for the port of one protocol.
        raise UsageError(f"{word} needs a port from 1 to 65535", hint=f"Write {protocol}/80")
    return protocol, int(port)
