"""What a rolling resize asks of the API of Kubernetes, and tells it to change.

The official client brings us in (kubeconfig, plugins, service accounts, TLS, proxies) and writes
the requests; what is answered is read here, within bounds, from its JSON, so that an object with
a field more or less than the client knows is no fault.
"""

from __future__ import annotations

import json
import time
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from ctconsole.errors import ClusterError, UsageError
from ctconsole.fleet.kube.bounded import BoundedPool
from ctconsole.fleet.kube.errors import require_client, said, told
from ctconsole.fleet.kube.objects import ConfigData, KubeNode, KubePod, LeaseState
from ctconsole.handles import Closing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from kubernetes.client import ApiClient, Configuration

_PAGE: Final = 500
"""Objects of one answer to a list."""

_MOST: Final = 20_000
"""Objects of a list; Kubernetes itself is made for five thousand nodes."""

_TRIES: Final = 4
_AGAIN: Final = frozenset({429, 500, 502, 503, 504})
"""Answers after which the same is asked again: only of what is read."""

_PAUSE: Final = 1.0
"""Seconds before the second try; twice as many before the next."""


class KubeCluster(Closing):
    """One cluster. For one thread; `again` makes another for another.

    Args:
        kubeconfig: whose cluster and rights; None takes the usual places, or the service account
            of the pod that this runs in.
        context: of it; empty takes its current one.

    Raises:
        MissingFeatureError: the client of Kubernetes is not installed.
        UsageError: no configuration is there, or it cannot be meant.
    """

    def __init__(self, kubeconfig: Path | None = None, context: str = "") -> None:
        require_client()
        self._named = (kubeconfig, context)
        self.api = _client(_configuration(kubeconfig, context))

    def again(self) -> KubeCluster:
        """The same one, for another thread."""
        return KubeCluster(*self._named)

    @property
    def url(self) -> str:
        """Where its API is."""
        return str(self.api.configuration.host)

    def close(self) -> None:
        """Close its connections."""
        self.api.close()

    def nodes(self, selector: str) -> list[KubeNode]:
        """The nodes with these labels, by name.

        Raises:
            ClusterError: they cannot be listed.
        """
        from kubernetes.client import CoreV1Api

        what = f"The nodes with {selector} cannot be listed"
        ask = CoreV1Api(self.api).list_node
        found = self._listed(what, lambda more: ask(label_selector=selector, **more))
        with told(what):
            return sorted((KubeNode.read(one) for one in found), key=lambda one: one.name)

    def pods(self, namespace: str, selector: str, node: str = "") -> list[KubePod]:
        """The pods of a namespace with these labels, of all nodes or of one.

        Raises:
            ClusterError: they cannot be listed.
        """
        from kubernetes.client import CoreV1Api

        what = f"The pods of {namespace} with {selector} cannot be listed"
        ask = CoreV1Api(self.api).list_namespaced_pod
        where = {"field_selector": f"spec.nodeName={node}"} if node else {}
        found = self._listed(
            what, lambda more: ask(namespace, label_selector=selector, **where, **more)
        )
        with told(what):
            return [KubePod.read(one) for one in found]

    def delete_pod(self, pod: KubePod) -> None:
        """Have this very pod end, so that what keeps it makes another; none is no fault.

        Raises:
            ClusterError: it cannot be deleted.
        """
        from kubernetes.client import CoreV1Api

        body = {"preconditions": {"uid": pod.uid}}
        try:
            with told(f"Pod {pod.namespace}/{pod.name} cannot be deleted"):
                CoreV1Api(self.api).delete_namespaced_pod(
                    pod.name, pod.namespace, body=body, _preload_content=False
                )
        except ClusterError as error:
            # Gone, or another by its name, which is no business of ours.
            if error.status not in {HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT}:
                raise

    def config_map(self, namespace: str, name: str) -> ConfigData:
        """A ConfigMap.

        Raises:
            ClusterError: it cannot be read.
        """
        from kubernetes.client import CoreV1Api

        what = f"ConfigMap {namespace}/{name} cannot be read"
        ask = CoreV1Api(self.api).read_namespaced_config_map
        found = self._read(what, lambda: ask(name, namespace, _preload_content=False))
        with told(what):
            data = {str(key): str(value) for key, value in (found.get("data") or {}).items()}
            return ConfigData(str(found["metadata"]["resourceVersion"]), data)

    def patch_config_map(
        self, namespace: str, name: str, data: Mapping[str, str | None], version: str
    ) -> None:
        """Change keys of a ConfigMap that is as it was when it was read.

        Args:
            namespace: where it is.
            name: its name.
            data: new values; None takes a key away.
            version: of the ConfigMap that was read.

        Raises:
            ClusterError: it cannot be changed; 409 if somebody else has.
        """
        from kubernetes.client import CoreV1Api

        with told(f"ConfigMap {namespace}/{name} cannot be changed"):
            CoreV1Api(self.api).patch_namespaced_config_map(
                name,
                namespace,
                {"metadata": {"resourceVersion": version}, "data": dict(data)},
                _content_type="application/merge-patch+json",
                _preload_content=False,
            )

    def lease(self, namespace: str, name: str) -> LeaseState | None:
        """A Lease; None where there is none.

        Raises:
            ClusterError: it cannot be read.
        """
        from kubernetes.client import CoordinationV1Api

        what = f"Lease {namespace}/{name} cannot be read"
        ask = CoordinationV1Api(self.api).read_namespaced_lease
        try:
            found = self._read(what, lambda: ask(name, namespace, _preload_content=False))
        except ClusterError as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return None
            raise
        with told(what):
            return LeaseState.read(found)

    def write_lease(self, namespace: str, name: str, lease: LeaseState) -> LeaseState:
        """Make a Lease, or change the one of this version; what it is then.

        Raises:
            ClusterError: it cannot be; 409 if somebody else was faster.
        """
        from kubernetes.client import CoordinationV1Api

        meta = {"name": name, "namespace": namespace}
        if lease.version:
            meta["resourceVersion"] = lease.version
        body = {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": meta,
            "spec": {**lease.spec},
        }
        api = CoordinationV1Api(self.api)
        with told(f"Lease {namespace}/{name} cannot be taken"):
            if lease.version:
                done = api.replace_namespaced_lease(name, namespace, body, _preload_content=False)
            else:
                done = api.create_namespaced_lease(namespace, body, _preload_content=False)
            return LeaseState.read(json.loads(done.data))

    def _listed(self, what: str, ask: Callable[[dict[str, Any]], Any]) -> list[Mapping[str, Any]]:
        """Every object of a list; one that grew old while it was read is read once more."""
        try:
            return list(self._pages(what, ask))
        except ClusterError as error:
            if error.status != HTTPStatus.GONE:
                raise
        return list(self._pages(what, ask))

    def _pages(
        self, what: str, ask: Callable[[dict[str, Any]], Any]
    ) -> Iterator[Mapping[str, Any]]:
        more: dict[str, Any] = {"limit": _PAGE, "_preload_content": False}
        seen = 0
        while True:
            page = self._read(what, partial(ask, more))
            with told(what):
                items = list(page["items"])
                follow = (page.get("metadata") or {}).get("continue")
            seen += len(items)
            if seen > _MOST:
                raise ClusterError(f"{what}: there are more than {_MOST}")
            yield from items
            # A page without anything that is followed by one more would never end.
            if not follow or not items:
                return
            more = {**more, "_continue": str(follow)}

    def _read(self, what: str, ask: Callable[[], Any]) -> Mapping[str, Any]:
        """The object that is answered; what passes by itself is asked again."""
        pause = _PAUSE
        for left in reversed(range(_TRIES)):
            try:
                with told(what):
                    found = json.loads(ask().data)
                    if not isinstance(found, dict):
                        raise TypeError(found)
                    return found
            except ClusterError as error:
                if not left or error.status not in _AGAIN:
                    raise
            time.sleep(pause)
            pause *= 2
        raise AssertionError(what)


def _client(settings: Configuration) -> ApiClient:
    from kubernetes.client import ApiClient

    client = ApiClient(settings)
    client.rest_client.pool_manager = BoundedPool(client.rest_client.pool_manager)
    return client


def _configuration(kubeconfig: Path | None, context: str) -> Configuration:
    """Where the API is and how it lets us in."""
    import yaml
    from kubernetes import config
    from kubernetes.client import Configuration

    settings = Configuration()
    # Whatever may be asked again is asked again by us.
    settings.retries = False
    file = str(kubeconfig) if kubeconfig else None
    try:
        if kubeconfig is None and not context and _in_cluster():
            config.load_incluster_config(client_configuration=settings)
        else:
            config.load_kube_config(file, context or None, client_configuration=settings)
    except (config.ConfigException, yaml.YAMLError, OSError, ValueError, TypeError) as error:
        where = f" of {file}" if file else ""
        why = said(str(error).rstrip("."))
        raise UsageError(
            f"The configuration{where} for Kubernetes cannot be used: {why}",
            hint="Name one with --kubeconfig and --context, as kubectl takes them",
        ) from error
    return settings


def _in_cluster() -> bool:
    """Whether a pod's service account is what there is."""
    import os
    from pathlib import Path

    named = os.environ.get("KUBECONFIG") or str(Path.home() / ".kube/config")
    there = any(Path(one).exists() for one in named.split(os.pathsep) if one)
    return not there and "KUBERNETES_SERVICE_HOST" in os.environ
