"""The API server of a lab's Kubernetes: HTTP and JSON on loopback, as the official clients ask."""

from __future__ import annotations

import json
import re
import secrets
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs, urlsplit

from ctconsole.handles import Closing
from ctconsole.lab.kube import wire
from ctconsole.lab.kube.objects import NAMESPACE, KubeObjects, StatusError, labels_of
from ctconsole.lab.serving import LetsGo

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from typing import Self

_PATH: Final = re.compile(
    r"/(?:api/v1|apis/coordination\.k8s\.io/v1)"
    r"(?:/namespaces/(?P<space>[^/]+))?/(?P<kind>[a-z]+)(?:/(?P<name>[^/]+)(?:/(?P<sub>exec))?)?"
)
_LARGEST: Final = 1 << 20
_MERGE: Final = "application/merge-patch+json"


class KubeApi(Closing):
    """The server, in a thread; a context manager.

    Attributes:
        objects: what there is.
        before: asked about each request, by method and path, before it is carried out; what it
            raises (`StatusError`) is answered.
        protocols: what is spoken over WebSocket, the best first.
    """

    def __init__(self) -> None:
        self.objects = KubeObjects()
        self.before: Callable[[str, str], None] = lambda _method, _path: None
        self.protocols: tuple[str, ...] = wire.PROTOCOLS
        self.running: set[subprocess.Popen[bytes]] = set()
        self.token = secrets.token_hex(16)
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.api = self
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        )

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def close(self) -> None:
        """Stop answering; commands that still run are told to end, and awaited."""
        self._server.shutdown()
        self._server.server_close()

    def write_kubeconfig(self, path: Path) -> None:
        """What lets the official clients in; JSON is YAML."""
        name = "lab"
        told = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": name, "cluster": {"server": self.url}}],
            "users": [{"name": name, "user": {"token": self.token}}],
            "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
            "current-context": name,
        }
        path.write_text(json.dumps(told))
        path.chmod(0o600)


class _Server(LetsGo, ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    api: KubeApi


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        self._carry_out()

    def do_POST(self) -> None:
        self._carry_out()

    def do_PUT(self) -> None:
        self._carry_out()

    def do_PATCH(self) -> None:
        self._carry_out()

    def do_DELETE(self) -> None:
        self._carry_out()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
        """Nobody reads it."""

    def _carry_out(self) -> None:
        parts = urlsplit(self.path)
        asked = parse_qs(parts.query)
        size = min(int(self.headers.get("Content-Length") or 0), _LARGEST)
        body = json.loads(self.rfile.read(size) or b"{}")
        try:
            found = self._named(parts.path)
            if found["sub"]:
                self._exec(found["name"], asked)
                return
            code, answer = self._answer(found.groupdict(), asked, body)
        except StatusError as error:
            code, answer = error.code, error.body
        self._send(code, answer)

    def _named(self, path: str) -> re.Match[str]:
        """What a request of somebody who may ask is about."""
        api = self.server.api
        if self.headers.get("Authorization") != f"Bearer {api.token}":
            raise StatusError(HTTPStatus.UNAUTHORIZED, "Unauthorized")
        api.before(self.command, path)
        found = _PATH.fullmatch(path)
        if found is None or found["space"] not in {None, NAMESPACE}:
            raise StatusError(HTTPStatus.NOT_FOUND, "the server could not find it")
        return found

    def _answer(
        self, path: Mapping[str, str | None], asked: Mapping[str, list[str]], body: dict[str, Any]
    ) -> tuple[HTTPStatus, dict[str, Any]]:
        objects = self.server.api.objects
        kind, name = path["kind"] or "", path["name"] or ""
        match (self.command, kind):
            case ("GET", "nodes" | "pods") if not name:
                return HTTPStatus.OK, _listed(objects, kind, asked)
            case ("GET", "configmaps" | "leases") if name:
                return HTTPStatus.OK, objects.stored(kind, name)
            case ("PATCH", "configmaps"):
                return HTTPStatus.OK, self._patched(name, body)
            case ("POST", "leases"):
                name = str(body["metadata"]["name"])
                return HTTPStatus.CREATED, objects.store(kind, name, body, new=True)
            case ("PUT", "leases"):
                version = body["metadata"].get("resourceVersion")
                return HTTPStatus.OK, objects.store(kind, name, body, version=version)
            case ("DELETE", "pods"):
                return HTTPStatus.OK, _deleted(objects, name, body)
        raise StatusError(HTTPStatus.NOT_FOUND, "the server could not find the requested resource")

    def _patched(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        """RFC 7386, as deep as the data of a ConfigMap."""
        if self.headers.get("Content-Type") != _MERGE:
            raise StatusError(HTTPStatus.BAD_REQUEST, "only merge patches are known here")
        now = self.server.api.objects.stored("configmaps", name)
        data = {**now["data"], **body.get("data", {})}
        kept = {key: value for key, value in data.items() if value is not None}
        version = body.get("metadata", {}).get("resourceVersion")
        new = {**now, "data": kept}
        return self.server.api.objects.store("configmaps", name, new, version=version)

    def _exec(self, name: str, asked: Mapping[str, list[str]]) -> None:
        pod = self.server.api.objects.pods.get(name)
        if pod is None:
            raise StatusError(HTTPStatus.NOT_FOUND, f'pods "{name}" not found')
        key = self.headers.get("Sec-WebSocket-Key")
        offered = re.split(r",\s*", self.headers.get("Sec-WebSocket-Protocol") or "")
        protocol = next((one for one in self.server.api.protocols if one in offered), None)
        if key is None or protocol is None:
            raise StatusError(HTTPStatus.BAD_REQUEST, "you must specify a protocol of channels")
        self.send_response(HTTPStatus.SWITCHING_PROTOCOLS)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", wire.accept_key(key))
        self.send_header("Sec-WebSocket-Protocol", protocol)
        self.end_headers()
        self.close_connection = True
        command = pod.argv(asked.get("command", []))
        wire.run(wire.Frames(self.connection), command, self.server.api.running)

    def _send(self, code: HTTPStatus, answer: dict[str, Any]) -> None:
        content = json.dumps(answer).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def _listed(objects: KubeObjects, kind: str, asked: Mapping[str, list[str]]) -> dict[str, Any]:
    """A list, in pages as long as they are wished."""
    wanted = labels_of(asked.get("labelSelector", [""])[0])
    node = asked.get("fieldSelector", [""])[0].removeprefix("spec.nodeName=")
    found = [
        one.body
        for one in (objects.nodes if kind == "nodes" else objects.pods).values()
        if wanted.items() <= dict(one.labels).items()
    ]
    found = [one for one in found if not node or one["spec"]["nodeName"] == node]
    begin = int(asked.get("continue", ["0"])[0])
    end = begin + int(asked.get("limit", ["500"])[0])
    meta = {"resourceVersion": "1"} | ({"continue": str(end)} if end < len(found) else {})
    return {"kind": "List", "apiVersion": "v1", "metadata": meta, "items": found[begin:end]}


def _deleted(objects: KubeObjects, name: str, body: dict[str, Any]) -> dict[str, Any]:
    """A pod that ends; what keeps it makes another at once."""
    pod = objects.pods.get(name)
    if pod is None:
        raise StatusError(HTTPStatus.NOT_FOUND, f'pods "{name}" not found')
    uid = body.get("preconditions", {}).get("uid")
    if uid not in {None, pod.uid}:
        raise StatusError(
            HTTPStatus.CONFLICT, f"the UID in the precondition ({uid}) does not match"
        )
    told = pod.body
    pod.generation += 1
    pod.deleted()
    return told
