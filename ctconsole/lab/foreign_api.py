"""The unix socket of a Cilium agent, answering in the shapes of its ``api/v1/openapi.yaml``."""

from __future__ import annotations

import http.server
import json
import socketserver
import threading
from typing import TYPE_CHECKING, Any, Self

from ctconsole.handles import Closing
from ctconsole.lab.serving import LetsGo

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path


class _Handler(http.server.BaseHTTPRequestHandler):
    """Answers ``GET /v1/...`` from the server's documents."""

    server: _Server

    def do_GET(self) -> None:
        """One document, or 404 as the agent's router answers."""
        found = self.server.documents.get(self.path.partition("?")[0])
        body = json.dumps(found).encode()
        self.send_response(200 if found is not None else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def address_string(self) -> str:
        """A unix socket's client has no address."""
        return "local"

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class _Server(LetsGo, socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    documents: Mapping[str, Any]


class AgentApiServer(Closing):
    """Serves documents by path on a unix socket, in a thread; a context manager.

    Args:
        path: the socket's file; one left by a dead server is replaced.
        documents: JSON values by path, e.g. ``/v1/healthz``.
    """

    def __init__(self, path: Path, documents: Mapping[str, Any]) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        self._server = _Server(str(path), _Handler)
        self._server.documents = documents
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def close(self) -> None:
        """Stop answering; its file goes."""
        self._server.shutdown()
        self._server.server_close()
        self.path.unlink(missing_ok=True)


def health(version: str, *, mode: str = "ktime", hertz: int = 0) -> dict[str, Any]:
    """``StatusResponse``, the parts a node console reads and some it does not.

    Args:
        version: e.g. ``1.18.0``.
        mode: of the clock source, ``ktime`` or ``jiffies``.
        hertz: of the clock source; left out where 0, as the agent does.
    """
    clock: dict[str, Any] = {"mode": mode}
    if hertz:
        clock["hertz"] = hertz
    return {
        "bpf-maps": {
            "dynamic-size-ratio": 0.0025,
            "maps": [{"name": "TCP connection tracking", "size": 524288}],
        },
        "cilium": {"msg": f"{version} (v{version}-1a2b3c4d)", "state": "Ok"},
        "clock-source": clock,
        "ipam": {"ipv4": [], "status": "2/254 allocated from 10.244.1.0/24"},
        "kubernetes": {"state": "Disabled"},
    }


def configuration(fields: Mapping[str, Any]) -> dict[str, Any]:
    """``DaemonConfiguration`` around the ``DaemonConfig`` fields the agent runs with."""
    return {
        "spec": {"options": {"ConntrackAccounting": "Enabled"}, "policy-enforcement": "default"},
        "status": {
            "addressing": {"ipv4": {"enabled": True, "ip": "10.244.1.5"}},
            "daemonConfigurationMap": dict(fields),
            "datapathMode": "veth",
            "deviceMTU": 1500,
            "realized": {"options": {"ConntrackAccounting": "Enabled"}},
        },
    }


def endpoint(
    number: int, pod: str, address: str, identity: int, *labels: str, policy: str = "none"
) -> dict[str, Any]:
    """One ``Endpoint``; ``pod`` is ``namespace/name``, ``policy`` where it is enforced."""
    namespace, _, name = pod.partition("/")
    return {
        "id": number,
        "spec": {"label-configuration": {}, "options": {}},
        "status": {
            "external-identifiers": {
                "container-id": "f" * 64,
                "k8s-namespace": namespace,
                "k8s-pod-name": name,
                "pod-name": pod,
            },
            "identity": {"id": identity, "labels": list(labels), "labelsSHA256": "0" * 64},
            "labels": {"derived": [], "realized": {}, "security-relevant": list(labels)},
            "networking": {
                "addressing": [{"ipv4": address}],
                "host-mac": "02:01:0a:05:05:05",
                "interface-index": 10 + number,
                "interface-name": f"lxc{number:05}",
                "mac": "02:00:0a:05:05:05",
            },
            "policy": {
                "proxy-statistics": [],
                "realized": {"policy-enabled": policy, "policy-revision": 1},
                "spec": {"policy-enabled": policy, "policy-revision": 1},
            },
            "state": "ready",
        },
    }


def identity(number: int, *labels: str) -> dict[str, Any]:
    """One ``Identity``."""
    return {"id": number, "labels": list(labels), "labelsSHA256": "0" * 64}


def service(number: int, name: str, frontend: tuple[str, int], *backends: str) -> dict[str, Any]:
    """One ``Service``; ``name`` is ``namespace/name``, a backend ``address:port``."""
    namespace, _, short = name.partition("/")
    ends = [backend.rpartition(":") for backend in backends]
    spec = {
        "backend-addresses": [
            {"ip": ip, "nodeName": "node1", "port": int(port), "state": "active", "weight": 100}
            for ip, _, port in ends
        ],
        "flags": {
            "extTrafficPolicy": "Cluster",
            "intTrafficPolicy": "Cluster",
            "name": short,
            "namespace": namespace,
            "type": "ClusterIP",
        },
        "frontend-address": {
            "ip": frontend[0],
            "port": frontend[1],
            "protocol": "TCP",
            "scope": "external",
        },
        "id": number,
    }
    return {"spec": spec, "status": {"realized": spec}}


def map_list(folder: Path, names: Iterable[str]) -> dict[str, Any]:
    """``BPFMapList`` of maps the agent keeps no cache of, as it has none of conntrack maps."""
    return {"maps": [{"cache": None, "path": str(folder / name)} for name in names]}
