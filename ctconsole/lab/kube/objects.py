"""What the API of a lab's Kubernetes knows: nodes, pods, ConfigMaps and Leases, with versions."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

NAMESPACE: Final = "kube-system"

POD_LABEL: Final = "app.kubernetes.io/name=ctconsole-node"
"""Of the pods in which commands are run (``deploy/kubernetes/fleet-resize.yaml``)."""

AGENT_LABEL: Final = "k8s-app=cilium"

_REASONS: Final = {
    HTTPStatus.BAD_REQUEST: "BadRequest",
    HTTPStatus.UNAUTHORIZED: "Unauthorized",
    HTTPStatus.FORBIDDEN: "Forbidden",
    HTTPStatus.NOT_FOUND: "NotFound",
    HTTPStatus.CONFLICT: "Conflict",
    HTTPStatus.GONE: "Expired",
    HTTPStatus.TOO_MANY_REQUESTS: "TooManyRequests",
    HTTPStatus.INTERNAL_SERVER_ERROR: "InternalError",
    HTTPStatus.SERVICE_UNAVAILABLE: "ServiceUnavailable",
}


class StatusError(Exception):
    """An answer that is a refusal.

    Args:
        code: of HTTP.
        message: for people.
    """

    def __init__(self, code: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.code = code

    @property
    def body(self) -> dict[str, Any]:
        """The ``Status``."""
        return {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": str(self),
            "reason": _REASONS.get(self.code, ""),
            "code": int(self.code),
        }


def labels_of(text: str) -> dict[str, str]:
    """``a=b,c=d`` as a mapping; other selectors are none of a lab's."""
    parts = (one.partition("=") for one in text.split(",") if one)
    return {key.strip(): value.lstrip("=").strip() for key, _, value in parts}


def _ignored() -> None:
    """Nobody has to hear of it."""


@dataclass
class LabPod:
    """A pod on a node.

    Attributes:
        name: its name.
        node: on which.
        labels: its own.
        argv: what a command of this pod becomes on this machine: what a container does, in short.
        deleted: told when it is to end.
    """

    name: str
    node: str
    labels: Mapping[str, str] = field(default_factory=lambda: labels_of(POD_LABEL))
    argv: Callable[[Sequence[str]], Sequence[str]] = tuple
    deleted: Callable[[], None] = _ignored
    ready: bool = True
    generation: int = 1

    @property
    def uid(self) -> str:
        """Of this one, not of the one before."""
        return f"{self.name}-{self.generation}"

    @property
    def body(self) -> dict[str, Any]:
        """The ``Pod``."""
        return {
            "metadata": {
                "name": self.name,
                "namespace": NAMESPACE,
                "uid": self.uid,
                "labels": dict(self.labels),
            },
            "spec": {"nodeName": self.node, "containers": [{"name": "ctconsole"}]},
            "status": {
                "phase": "Running",
                "podIP": "127.0.0.1",
                "containerStatuses": [{"name": "ctconsole", "ready": self.ready}],
            },
        }


@dataclass
class LabNode:
    """A node.

    Attributes:
        name: its name.
        labels: its own.
    """

    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    ready: bool = True
    cordoned: bool = False

    @property
    def body(self) -> dict[str, Any]:
        """The ``Node``."""
        return {
            "metadata": {"name": self.name, "labels": dict(self.labels)},
            "spec": {"unschedulable": True} if self.cordoned else {},
            "status": {
                "conditions": [{"type": "Ready", "status": "True" if self.ready else "False"}],
                "addresses": [{"type": "Hostname", "address": self.name}],
            },
        }


class KubeObjects:
    """Everything there is. Safe from any thread.

    Attributes:
        nodes: by name.
        pods: by name.
    """

    def __init__(self) -> None:
        self.nodes: dict[str, LabNode] = {}
        self.pods: dict[str, LabPod] = {}
        self._stored: dict[tuple[str, str], dict[str, Any]] = {}
        self._version = 1
        self._lock = threading.Lock()

    def set_config_map(self, name: str, data: Mapping[str, str]) -> None:
        """Make one."""
        self.store("configmaps", name, {"kind": "ConfigMap", "metadata": {}, "data": dict(data)})

    def config_map(self, name: str) -> dict[str, str]:
        """What is in one."""
        return dict(self.stored("configmaps", name)["data"])

    def stored(self, kind: str, name: str) -> dict[str, Any]:
        """An object.

        Raises:
            StatusError: there is none.
        """
        with self._lock:
            found = self._stored.get((kind, name))
        if found is None:
            raise StatusError(HTTPStatus.NOT_FOUND, f'{kind} "{name}" not found')
        return found

    def store(
        self,
        kind: str,
        name: str,
        body: dict[str, Any],
        *,
        version: str | None = None,
        new: bool = False,
    ) -> dict[str, Any]:
        """Keep an object under a version of its own.

        Args:
            kind: the plural.
            name: its own.
            body: what it is.
            version: that it must have now; None for any.
            new: whether there must be none.

        Raises:
            StatusError: there is another version, or one already.
        """
        with self._lock:
            now = self._stored.get((kind, name))
            if new and now is not None:
                raise StatusError(HTTPStatus.CONFLICT, f'{kind} "{name}" already exists')
            if (
                version is not None
                and (now or {}).get("metadata", {}).get("resourceVersion") != version
            ):
                raise StatusError(
                    HTTPStatus.CONFLICT,
                    f'Operation cannot be fulfilled on {kind} "{name}": the object has been '
                    "modified; please apply your changes to the latest version and try again",
                )
            self._version += 1
            meta = {**body.get("metadata", {}), "name": name, "namespace": NAMESPACE}
            meta["resourceVersion"] = str(self._version)
            self._stored[kind, name] = {**body, "metadata": meta}
            return self._stored[kind, name]
