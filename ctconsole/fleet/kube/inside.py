"""Running a command in a pod and hearing what it says, as ``kubectl exec`` does.

The client opens the WebSocket (``v5.channel.k8s.io``, or ``v4`` where the other side is older);
its frames begin with the number of their channel: 1 and 2 are what the command prints, 3 is a
``Status`` that tells how it ended. A connection that ends without one says nothing of the command,
which may go on: `CutOffError`.
"""

from __future__ import annotations

import json
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ctconsole.errors import ClusterError, CutOffError
from ctconsole.fleet.kube.errors import said, told

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from kubernetes.stream.ws_client import WSClient

    from ctconsole.fleet.kube.cluster import KubeCluster
    from ctconsole.fleet.kube.objects import KubePod

_OUT, _ERR, _STATUS = 1, 2, 3

_LARGEST: Final = 16 << 20
"""Bytes that a command may print; a plan has some thousand."""

_LINE: Final = 4096
"""Bytes of a line that is told while the command runs."""

_SILENCE: Final = 30.0
"""Seconds for the rest of a frame that has begun."""

_TURN: Final = 1.0
"""Seconds after which it is looked whether time is up."""

_PING: Final = 15.0
"""Seconds between two signs of life, for whatever stands in between and cuts what is silent."""


@dataclass(frozen=True, slots=True)
class PodRun:
    """A command that ended in a pod.

    Attributes:
        code: its exit code.
        out: what it printed.
        last: the last line it said on stderr; empty where it said nothing.
    """

    code: int
    out: bytes
    last: str = ""


def run_in_pod(
    cluster: KubeCluster,
    pod: KubePod,
    container: str,
    argv: Sequence[str],
    *,
    patience: float,
    hear: Callable[[str], None] = lambda _: None,
) -> PodRun:
    """Run a command in a pod to its end.

    Args:
        cluster: whose pod it is. Not to be used by another thread meanwhile.
        pod: which.
        container: in which of its containers; empty where it has one.
        argv: the command; no shell looks at it.
        patience: seconds for all of it.
        hear: told each line of its stderr as it comes, made harmless.

    Raises:
        CutOffError: the connection ended before the command, or time is up.
        ClusterError: it was not begun.
    """
    from kubernetes.client import CoreV1Api
    from kubernetes.stream import stream

    where = f"in pod {pod.namespace}/{pod.name}"
    named = {"container": container} if container else {}
    with told(f"Nothing can be run {where}"):
        channel = stream(
            CoreV1Api(cluster.api).connect_get_namespaced_pod_exec,
            pod.name,
            pod.namespace,
            command=list(argv),
            stdin=False,
            stdout=True,
            stderr=True,
            tty=False,
            binary=True,
            _preload_content=False,
            **named,
        )
    try:
        return _Hearing(channel, where, hear).to_the_end(time.monotonic() + patience)
    finally:
        with suppress(Exception):
            # It says goodbye over what may be cut, and leaves its socket open where the other
            # side said so first.
            channel.close(timeout=1)
        channel.sock.shutdown()


class _Hearing:
    """What comes out of one command."""

    def __init__(self, channel: WSClient, where: str, hear: Callable[[str], None]) -> None:
        self._channel = channel
        self._where = where
        self._hear = hear
        self._out = bytearray()
        self._line = b""
        self._last = ""
        self._told = bytearray()
        self._size = 0
        channel.sock.settimeout(_SILENCE)
        _bound_frames(channel.sock)

    def to_the_end(self, end: float) -> PodRun:
        """See `run_in_pod`."""
        ping = time.monotonic() + _PING
        while self._channel.is_open():
            now = time.monotonic()
            if now > end:
                raise CutOffError(f"What runs {self._where} does not come to its end")
            try:
                if now > ping:
                    self._channel.sock.ping()
                    ping = now + _PING
                self._channel.update(timeout=_TURN)
            except Exception as error:
                # OSErrors, websocket's own, and those of TLS, which are no kin.
                raise CutOffError(
                    f"The connection to what runs {self._where} broke: {said(str(error))}"
                ) from error
            self._take()
        self._take()
        self._say(self._line)
        return PodRun(_exit_code(bytes(self._told), self._where), bytes(self._out), self._last)

    def _take(self) -> None:
        """What has come since."""
        # `read_channel` would wait for more where a channel has nothing.
        held, self._channel._channels = self._channel._channels, {}  # noqa: SLF001 - see above
        for number, part in held.items():
            self._size += len(part)
            if self._size > _LARGEST:
                raise CutOffError(f"What runs {self._where} says too much")
            if number == _OUT:
                self._out += part
            elif number == _STATUS:
                self._told += part
            elif number == _ERR:
                *lines, self._line = (self._line + part).split(b"\n")
                for line in lines:
                    self._say(line)

    def _say(self, line: bytes) -> None:
        text = said(line[:_LINE].decode("utf-8", "replace"))
        if text:
            self._last = text
            self._hear(text)


def _exit_code(told_of: bytes, where: str) -> int:
    """The exit code that a ``Status`` tells.

    Raises:
        CutOffError: there is none.
        ClusterError: the command could not be begun.
    """
    if not told_of:
        raise CutOffError(f"The connection to what runs {where} ended before it did")
    try:
        status: dict[str, Any] = json.loads(told_of)
        if status["status"] == "Success":
            return 0
        for cause in (status.get("details") or {}).get("causes") or []:
            if cause.get("reason") == "ExitCode":
                return int(cause["message"])
        message = said(str(status.get("message") or status.get("reason") or "no reason is given"))
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise CutOffError(
            f"How what runs {where} ended is told in no words of Kubernetes"
        ) from error
    raise ClusterError(f"Nothing can be run {where}: {message}")


def _bound_frames(sock: Any) -> None:  # noqa: ANN401 - websocket-client's WebSocket
    """Have frames refused that say they are larger than anything may be."""
    buffer = sock.frame_buffer
    read = buffer.recv_length

    def recv_length() -> None:
        read()
        if (buffer.length or 0) > _LARGEST:
            raise OSError(f"a frame of {buffer.length} bytes")

    buffer.recv_length = recv_length
