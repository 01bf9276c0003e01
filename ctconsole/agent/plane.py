"""The agent's control plane: services, identities and policy, from its files into the maps.

What it was told is kept in the state folder and written into the maps again at every start, so
that maps made anew are filled before a program meets them.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ctconsole.agent.state import write_whole
from ctconsole.errors import FormatError, UsageError
from ctconsole.happening import happened
from ctconsole.kernel import iproute
from ctconsole.manager.endpoints import sync_endpoints
from ctconsole.manager.ipcache import sync_ipcache
from ctconsole.manager.policy import sync_policy
from ctconsole.manager.services import algorithm_of, check_service, sync_services
from ctconsole.model.event import EventKind, Level
from ctconsole.model.plane.policy import EndpointPolicy, PolicyRule, policy_of
from ctconsole.model.plane.service import ServiceTable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from ctconsole.agent.state import StateDir
    from ctconsole.config import AgentConfig
    from ctconsole.kernel.gate import Gate
    from ctconsole.model.event import Event, Scalar
    from ctconsole.model.plane.address_rows import Address
    from ctconsole.model.plane.endpoint import Endpoint
    from ctconsole.model.plane.service import Service

    Record = Callable[[Iterable[Event]], None]


class Plane:
    """What the agent was told about services and policy; not for use by two threads at once.

    Args:
        gate: the write gate.
        root: the bpffs.
        state: the agent's state folder.
        record: stores and logs events.

    Attributes:
        services: every service.
        rules: every policy rule, in the order in which they were given.
    """

    def __init__(self, gate: Gate, root: Path, state: StateDir, record: Record) -> None:
        self._gate = gate
        self._root = root
        self._state = state
        self._record = record
        self.services = ServiceTable()
        self.rules: tuple[PolicyRule, ...] = ()

    def load(self) -> None:
        """Read what was kept in the state folder.

        Raises:
            FormatError: a file is damaged; names it.
        """
        self.services = _load(self._state.services, ServiceTable.from_dict, self.services)
        self.rules = _load(
            self._state.policy,
            lambda found: tuple(map(PolicyRule.parse, found["rules"])),
            self.rules,
        )

    def prepare(self, config: AgentConfig, endpoints: Sequence[Endpoint]) -> list[Endpoint]:
        """Fill the maps for these endpoints, before programs are loaded for them.

        Services that the configuration no longer serves are kept, but not in the maps.

        Returns:
            The endpoints, with the directions in which their policy holds.
        """
        sync_services(self._gate, self._root, self._served(config), config.bpf_lb_maglev_table_size)
        self.sync_addresses(endpoints)
        flagged = []
        for endpoint in endpoints:
            policy = self._policy_of(endpoint, endpoints)
            sync_policy(self._gate, self._root, endpoint.id, policy)
            flagged.append(_flagged(endpoint, policy))
        return flagged

    def sync_addresses(self, endpoints: Sequence[Endpoint]) -> None:
        """Make ``cilium_lxc`` and ``cilium_ipcache`` hold these endpoints and the node."""
        host = host_addresses()
        sync_endpoints(self._gate, self._root, endpoints, host)
        sync_ipcache(self._gate, self._root, endpoints, host)

    def upsert_service(self, config: AgentConfig, service: Service) -> Service:
        """Add a service, or change the one of this name.

        Returns:
            It, with its id.

        Raises:
            UsageError: its address is another service's, or this node does not serve it.
            BpfError: a map is full.
        """
        check_service(config, service)
        self._set_services(config, self.services.with_service(service))
        made = self.services.services[service.name]
        self._say(EventKind.SERVICE_CHANGED, f"service {made.name}", "Upserted service", made)
        return made

    def delete_service(self, config: AgentConfig, name: str) -> None:
        """Delete a service; its connections keep their entries until these expire.

        Raises:
            UsageError: there is none of this name.
        """
        gone = self.services.services.get(name)
        self._set_services(config, self.services.without(name))
        if gone:
            self._say(EventKind.SERVICE_REMOVED, f"service {name}", "Deleted service", gone)

    def set_rules(
        self,
        rules: Iterable[PolicyRule],
        endpoints: Sequence[Endpoint],
        reload: Callable[[Sequence[Endpoint]], None],
    ) -> list[Endpoint]:
        """Put these rules in the place of those there are.

        What is newly allowed is allowed before a direction is closed, and what no longer is goes
        when the programs know.

        Args:
            rules: all rules.
            endpoints: all endpoints, as they are.
            reload: loads the programs of endpoints whose directions changed.

        Returns:
            The endpoints, with the directions in which their policy holds now.

        Raises:
            UsageError: a rule is for an endpoint or names an identity that is not there.
            BpfError: a policy map is full.
        """
        rules = tuple(dict.fromkeys(rules))
        _check_rules(rules, endpoints)
        policies = {one.id: policy_of(one, rules, endpoints) for one in endpoints}
        flagged = [_flagged(endpoint, policies[endpoint.id]) for endpoint in endpoints]
        for number, policy in policies.items():
            sync_policy(self._gate, self._root, number, policy, delete=False)
        before = {one.id: one for one in endpoints}
        if moved := [endpoint for endpoint in flagged if endpoint != before[endpoint.id]]:
            reload(moved)
        for number, policy in policies.items():
            sync_policy(self._gate, self._root, number, policy)
        self._keep_rules(rules)
        return flagged

    def forget_endpoint(self, name: str) -> None:
        """Drop the rules of an endpoint that is gone."""
        left = tuple(rule for rule in self.rules if rule.endpoint != name)
        if left != self.rules:
            self._keep_rules(left)

    def _keep_rules(self, rules: tuple[PolicyRule, ...]) -> None:
        self.rules = rules
        write_whole(self._state.policy, json.dumps({"rules": list(map(str, rules))}, indent=2))
        fields = {"rules": len(rules)}
        event = happened(EventKind.POLICY_CHANGED, "agent", "policy", "Changed policy", fields)
        self._record([event])

    def _policy_of(self, endpoint: Endpoint, endpoints: Sequence[Endpoint]) -> EndpointPolicy:
        policy = policy_of(endpoint, self.rules, endpoints)
        for name in policy.unknown:
            event = happened(
                EventKind.WARNING,
                "agent",
                f"endpoint {endpoint.id}",
                "Policy names an identity that nobody has",
                {"endpointID": endpoint.id, "identity": name},
                level=Level.WARNING,
            )
            self._record([event])
        return policy

    def _set_services(self, config: AgentConfig, table: ServiceTable) -> None:
        before = self.services
        self.services = table
        try:
            sync_services(
                self._gate, self._root, self._served(config), config.bpf_lb_maglev_table_size
            )
        except BaseException:
            self.services = before
            raise
        write_whole(self._state.services, json.dumps(table.to_dict(), indent=2))

    def _served(self, config: AgentConfig) -> ServiceTable:
        """The services as this configuration picks their backends."""
        return self.services.picked_by(algorithm_of(config))

    def _say(self, kind: EventKind, subject: str, message: str, service: Service) -> None:
        fields: dict[str, Scalar] = {
            "serviceName": service.name,
            "serviceIP": str(service.frontend),
            "serviceID": service.id,
            "backends": ",".join(map(str, service.backends)),
        }
        self._record([happened(kind, "agent", subject, message, fields)])


def host_addresses() -> list[Address]:
    """The node's own addresses, without those that never leave it."""
    return [ip for ip in iproute.addresses() if not (ip.is_loopback or ip.is_link_local)]


def _flagged(endpoint: Endpoint, policy: EndpointPolicy) -> Endpoint:
    return replace(
        endpoint, enforce_ingress=policy.enforce_ingress, enforce_egress=policy.enforce_egress
    )


def _check_rules(rules: Iterable[PolicyRule], endpoints: Sequence[Endpoint]) -> None:
    known = [endpoint.name for endpoint in endpoints]
    for rule in rules:
        if rule.endpoint not in known:
            raise UsageError(
                f"There is no endpoint {rule.endpoint}",
                hint=f"Endpoints: {', '.join(known) or 'none'}",
            )
    for endpoint in endpoints:
        for name in policy_of(endpoint, rules, endpoints).unknown:
            raise UsageError(
                f"There is no identity {name}",
                hint=f"Name an endpoint ({', '.join(known)}), a number, any, host or world",
            )


def _load(path: Path, parse: Callable[[Any], Any], default: Any) -> Any:  # noqa: ANN401 - as ``parse`` answers
    """What is kept in a file; ``default`` where there is no file."""
    try:
        return parse(json.loads(path.read_text("utf-8")))
    except FileNotFoundError:
        return default
    except (OSError, ValueError, KeyError, TypeError, FormatError, UsageError) as error:
        raise FormatError(f"{path} cannot be restored: {error}", hint="Remove the file") from error
