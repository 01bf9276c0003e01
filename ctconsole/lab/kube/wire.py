"""WebSocket (RFC 6455) as Kubernetes speaks it to run a command in a container."""

from __future__ import annotations

import base64
import hashlib
import json
import struct
import subprocess
import threading
from contextlib import suppress
from typing import IO, TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence

PROTOCOLS: Final = ("v5.channel.k8s.io", "v4.channel.k8s.io")
"""What the API server speaks, the best first."""

_MAGIC: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_BINARY, _CLOSE, _PING, _PONG = 2, 8, 9, 10
_OUT, _ERR, _STATUS = 1, 2, 3
_PART: Final = 1 << 15
_SHORT, _MIDDLE = 126, 127


def accept_key(key: str) -> str:
    """The answer to a client's ``Sec-WebSocket-Key``."""
    return base64.b64encode(hashlib.sha1(key.encode() + _MAGIC).digest()).decode()  # noqa: S324 - RFC 6455 says so


class Frames:
    """The frames of one connection, this side's unmasked as a server's are. Safe from any thread.

    Args:
        connection: after the handshake.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._lock = threading.Lock()

    def send(self, payload: bytes, opcode: int = _BINARY) -> None:
        """Send one frame; nothing where the other side is gone."""
        size = len(payload)
        if size < _SHORT:
            head = struct.pack("!BB", 0x80 | opcode, size)
        elif size < 1 << 16:
            head = struct.pack("!BBH", 0x80 | opcode, _SHORT, size)
        else:
            head = struct.pack("!BBQ", 0x80 | opcode, _MIDDLE, size)
        with self._lock, suppress(OSError):
            self._connection.sendall(head + payload)

    def close(self) -> None:
        """Say that nothing more comes."""
        self.send(struct.pack("!H", 1000), _CLOSE)

    def answer_pings(self) -> None:
        """Read what the client says until it closes."""
        with suppress(OSError, struct.error):
            while True:
                first, second = self._read(2)
                size = second & 0x7F
                if size == _SHORT:
                    (size,) = struct.unpack("!H", self._read(2))
                elif size == _MIDDLE:
                    (size,) = struct.unpack("!Q", self._read(8))
                mask = self._read(4) if second & 0x80 else bytes(4)
                payload = bytes(one ^ mask[at % 4] for at, one in enumerate(self._read(size)))
                if first & 0x0F == _CLOSE:
                    return
                if first & 0x0F == _PING:
                    self.send(payload, _PONG)

    def _read(self, size: int) -> bytes:
        found = b""
        while len(found) < size:
            part = self._connection.recv(size - len(found))
            if not part:
                raise OSError("closed")
            found += part
        return found


def run(frames: Frames, argv: Sequence[str], running: set[subprocess.Popen[bytes]]) -> None:
    """Run a command and tell what it prints and how it ends.

    It goes on where the other side goes, as it does in a container.

    Args:
        frames: to the other side.
        argv: the command.
        running: has its process as long as it runs.
    """
    try:
        child = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
    except OSError as error:
        frames.send(bytes([_STATUS]) + json.dumps(_failed(str(error))).encode())
        frames.close()
        return
    threading.Thread(target=frames.answer_pings, daemon=True).start()
    running.add(child)
    with child:
        assert child.stdout  # noqa: S101 - asked for
        assert child.stderr  # noqa: S101 - asked for
        pumps = [
            threading.Thread(target=_pump, args=(frames, number, stream), daemon=True)
            for number, stream in ((_OUT, child.stdout), (_ERR, child.stderr))
        ]
        for one in pumps:
            one.start()
        for one in pumps:
            one.join()
        code = child.wait()
    running.discard(child)
    frames.send(bytes([_STATUS]) + json.dumps(_ended(code)).encode())
    frames.close()


def _pump(frames: Frames, number: int, stream: IO[bytes]) -> None:
    while part := stream.read1(_PART):  # type: ignore[attr-defined] # Popen's are BufferedReaders
        frames.send(bytes([number]) + part)


def _ended(code: int) -> dict[str, Any]:
    """The ``Status`` of a command that ended (``remotecommand`` of the API server)."""
    if not code:
        return {"metadata": {}, "status": "Success"}
    return {
        "metadata": {},
        "status": "Failure",
        "message": f"command terminated with non-zero exit code: exit status {code}",
        "reason": "NonZeroExitCode",
        "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]},
    }


def _failed(message: str) -> dict[str, Any]:
    return {
        "metadata": {},
        "status": "Failure",
        "message": f"Internal error occurred: {message}",
        "reason": "InternalError",
        "details": {"causes": [{"message": message}]},
        "code": 500,
    }
