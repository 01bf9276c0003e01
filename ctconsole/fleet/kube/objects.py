"""What is taken from the objects of Kubernetes, out of their JSON."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class KubeNode:
    """A node.

    Attributes:
        name: its name.
        ready: whether its kubelet says it is.
        cordoned: whether no new pods come to it.
        addresses: its own.
    """

    name: str
    ready: bool
    cordoned: bool = False
    addresses: frozenset[str] = frozenset()

    @classmethod
    def read(cls, told: Mapping[str, Any]) -> KubeNode:
        """A ``Node``; raises what a wrong shape raises."""
        status = told.get("status") or {}
        conditions = status.get("conditions") or []
        return cls(
            name=str(told["metadata"]["name"]),
            ready=any(one["type"] == "Ready" and one["status"] == "True" for one in conditions),
            cordoned=bool((told.get("spec") or {}).get("unschedulable")),
            addresses=frozenset(str(one["address"]) for one in status.get("addresses") or []),
        )


@dataclass(frozen=True, slots=True)
class KubePod:
    """A pod.

    Attributes:
        namespace: where it is.
        name: its name.
        uid: of this one, not of the next by its name.
        node: on which it runs.
        running: whether all its containers are ready and it is not being deleted.
        address: its own; empty where it has none.
    """

    namespace: str
    name: str
    uid: str
    node: str
    running: bool
    address: str = ""

    @classmethod
    def read(cls, told: Mapping[str, Any]) -> KubePod:
        """A ``Pod``; raises what a wrong shape raises."""
        meta, status = told["metadata"], told.get("status") or {}
        containers = status.get("containerStatuses") or []
        return cls(
            namespace=str(meta["namespace"]),
            name=str(meta["name"]),
            uid=str(meta.get("uid", "")),
            node=str((told.get("spec") or {}).get("nodeName", "")),
            running=status.get("phase") == "Running"
            and not meta.get("deletionTimestamp")
            and bool(containers)
            and all(one.get("ready") for one in containers),
            address=str(status.get("podIP", "")),
        )


class ConfigData(NamedTuple):
    """A ConfigMap: its version, and what is in it."""

    version: str
    data: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class LeaseState:
    """A ``Lease`` of ``coordination.k8s.io/v1``.

    Attributes:
        version: of the object; empty for one that is to be made.
        holder: who has it; empty for nobody.
        seconds: for how long after it was renewed.
        renewed: when, as Kubernetes writes it; told, and compared with itself alone.
        transitions: how often it went from one to another.
        spec: all it says, with what is not looked at here.
    """

    version: str = ""
    holder: str = ""
    seconds: int = 0
    renewed: str = ""
    transitions: int = 0
    spec: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, told: Mapping[str, Any]) -> LeaseState:
        """A ``Lease``; raises what a wrong shape raises."""
        spec = told.get("spec") or {}
        return cls(
            version=str(told["metadata"]["resourceVersion"]),
            holder=str(spec.get("holderIdentity") or ""),
            seconds=int(spec.get("leaseDurationSeconds") or 0),
            renewed=str(spec.get("renewTime") or ""),
            transitions=int(spec.get("leaseTransitions") or 0),
            spec=dict(spec),
        )
