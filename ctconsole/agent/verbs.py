"""Requests to a running agent about services, policy and endpoints: JSON in, JSON out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from ctconsole.agent.state import load_endpoints, remove_endpoint
from ctconsole.errors import UsageError
from ctconsole.model.plane.policy import PolicyRule
from ctconsole.model.plane.service import Algorithm, Service

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path

    from ctconsole.agent.plane import Plane
    from ctconsole.config import AgentConfig
    from ctconsole.model.plane.endpoint import Endpoint

    Asked = Mapping[str, Any]


class Host(Protocol):
    """What the verbs need of the agent."""

    plane: Plane

    @property
    def state_dir(self) -> Path:
        """Its state folder."""

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """Those whose programs it loaded."""

    def changing(self) -> AbstractContextManager[AgentConfig]:
        """Nobody else changes anything in this block; its configuration."""

    def reload(self, endpoints: list[Endpoint]) -> None:
        """Load the programs of some endpoints again; they replace those known by their ids."""

    def add_endpoint(self, endpoint: Endpoint) -> None:
        """Make an endpoint's maps, load and attach its programs."""

    def remove_endpoint(self, endpoint: Endpoint) -> None:
        """Detach an endpoint's programs and remove its maps."""


def handlers(host: Host) -> dict[str, Callable[[Asked], dict[str, Any]]]:
    """The requests, by verb."""
    return {
        "service-list": lambda _: _services(host),
        "service-add": lambda asked: _add_service(host, asked),
        "service-delete": lambda asked: _delete_service(host, asked),
        "policy-list": lambda _: _policy(host),
        "policy-add": lambda asked: _add_rules(host, asked),
        "policy-import": lambda asked: _import_rules(host, asked),
        "policy-delete": lambda asked: _delete_rules(host, asked),
        "endpoint-list": lambda _: _endpoints(host),
        "endpoint-add": lambda asked: _add_endpoint(host, asked),
        "endpoint-delete": lambda asked: _delete_endpoint(host, asked),
    }


def _services(host: Host) -> dict[str, Any]:
    return {"services": [one.to_dict() for one in host.plane.services.services.values()]}


def _add_service(host: Host, asked: Asked) -> dict[str, Any]:
    with host.changing() as config:
        wish = dict(asked["service"])
        wish["algorithm"] = wish.get("algorithm") or Algorithm(config.bpf_lb_algorithm).value
        made = host.plane.upsert_service(config, Service.from_dict(wish))
    return {"service": made.to_dict()}


def _delete_service(host: Host, asked: Asked) -> dict[str, Any]:
    with host.changing() as config:
        host.plane.delete_service(config, str(asked["name"]))
    return {}


def _policy(host: Host) -> dict[str, Any]:
    return {
        "rules": [str(rule) for rule in host.plane.rules],
        "endpoints": [
            {
                "id": one.id,
                "name": one.name,
                "ingress": one.enforce_ingress,
                "egress": one.enforce_egress,
            }
            for one in host.endpoints
        ],
    }


def _add_rules(host: Host, asked: Asked) -> dict[str, Any]:
    added = tuple(map(PolicyRule.parse, asked["rules"]))
    with host.changing():
        _set_rules(host, (*host.plane.rules, *added))
    return _policy(host)


def _import_rules(host: Host, asked: Asked) -> dict[str, Any]:
    with host.changing():
        _set_rules(host, tuple(map(PolicyRule.parse, asked["rules"])))
    return _policy(host)


def _delete_rules(host: Host, asked: Asked) -> dict[str, Any]:
    """Delete the rules given, or all of an endpoint, or all there are."""
    with host.changing():
        rules = host.plane.rules
        if "rules" in asked:
            gone = set(map(PolicyRule.parse, asked["rules"]))
            for rule in gone - set(rules):
                raise UsageError(f"There is no rule {rule}", hint="See lab policy list")
        else:
            name = asked.get("endpoint")
            known = [endpoint.name for endpoint in host.endpoints]
            if name is not None and name not in known:
                names = ", ".join(known)
                raise UsageError(f"There is no endpoint {name}", hint=f"Endpoints: {names}")
            gone = {rule for rule in rules if name is None or rule.endpoint == name}
        _set_rules(host, tuple(rule for rule in rules if rule not in gone))
    return _policy(host)


def _set_rules(host: Host, rules: tuple[PolicyRule, ...]) -> None:
    host.plane.set_rules(rules, host.endpoints, lambda moved: host.reload(list(moved)))


def _endpoints(host: Host) -> dict[str, Any]:
    return {
        "endpoints": [
            {
                "id": one.id,
                "name": one.name,
                "interface": one.ifname,
                "ipv4": one.ipv4,
                "ipv6": one.ipv6,
                "identity": one.identity,
                "labels": list(one.labels),
                "enforce_ingress": one.enforce_ingress,
                "enforce_egress": one.enforce_egress,
            }
            for one in host.endpoints
        ]
    }


def _add_endpoint(host: Host, asked: Asked) -> dict[str, Any]:
    """Take in an endpoint whose file is in the state folder by now."""
    number = int(asked["id"])
    with host.changing():
        found = [one for one in load_endpoints(host.state_dir) if one.id == number]
        if not found:
            raise UsageError(f"There is no endpoint {number} in {host.state_dir}")
        if any(one.id == number for one in host.endpoints):
            raise UsageError(f"Endpoint {number} is there already")
        host.add_endpoint(found[0])
    return _endpoints(host)


def _delete_endpoint(host: Host, asked: Asked) -> dict[str, Any]:
    number = int(asked["id"])
    with host.changing():
        for endpoint in host.endpoints:
            if endpoint.id == number:
                host.remove_endpoint(endpoint)
                remove_endpoint(host.state_dir, number)
                return {}
    raise UsageError(f"There is no endpoint {number}", hint="See lab endpoint list")
