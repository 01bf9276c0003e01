"""Requests to a running agent: one line of JSON each way over a unix socket."""

from __future__ import annotations

import json
import os
import socket
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeAlias

from ctconsole.errors import AgentError, CtconsoleError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

Answer: TypeAlias = "Mapping[str, Any]"
Handler: TypeAlias = "Callable[[Mapping[str, Any]], Answer]"
Stream: TypeAlias = "Callable[[Mapping[str, Any]], Iterator[Answer]]"

MAX_LINE = 1 << 20
"""Bytes of a request or an answer at most."""


@contextmanager
def _address(path: Path) -> Iterator[str]:
    """A path to the socket that is short enough whatever the folder (108 bytes at most)."""
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def request(path: Path, verb: str, *, timeout: float = 60.0, **fields: object) -> Answer:
    """Ask the agent behind a socket; ``timeout`` in seconds.

    Raises:
        AgentError: nobody answers, or the agent refused; then with its sentence.
    """
    try:
        with socket.socket(socket.AF_UNIX) as client, _address(path) as address:
            client.settimeout(timeout)
            client.connect(address)
            client.sendall(json.dumps({"verb": verb, **fields}).encode() + b"\n")
            with client.makefile("rb") as lines:
                answer = json.loads(lines.readline(MAX_LINE))
    except TimeoutError as error:
        raise AgentError(
            f"The agent behind {path} did not answer within {timeout:.0f} s",
            hint=f"See {path.with_name('agent.log')}",
        ) from error
    except (OSError, ValueError) as error:
        raise AgentError(
            f"No agent answers at {path}: {error}", hint="ctconsole agent start"
        ) from error
    if not answer.get("ok"):
        raise AgentError(str(answer.get("error", "The agent refused without a word")))
    found: Answer = answer
    return found


def stream(path: Path, verb: str, **fields: object) -> Iterator[Answer]:
    """Ask for something that goes on; yields each answer until the agent ends.

    Raises:
        AgentError: nobody answers, or the agent refused; then with its sentence.
    """
    try:
        with socket.socket(socket.AF_UNIX) as client, _address(path) as address:
            client.settimeout(60)
            client.connect(address)
            client.sendall(json.dumps({"verb": verb, **fields}).encode() + b"\n")
            with client.makefile("rb") as lines:
                for line in lines:
                    answer = json.loads(line)
                    if not answer.get("ok"):
                        raise AgentError(str(answer.get("error", "The agent refused")))
                    yield answer
    except (OSError, ValueError) as error:
        raise AgentError(
            f"No agent answers at {path}: {error}", hint="ctconsole agent start"
        ) from error


class Server:
    """Answers requests in threads of its own until closed.

    Args:
        path: the socket; whatever is there is replaced, the caller holds the agent's lock.
        handlers: by verb; each gets the request and answers with more fields for the reply.
        streams: by verb; as handlers, but with any number of answers. One that has nothing to
            say for a while says so, because only sending finds out that the client has gone.
    """

    def __init__(
        self,
        path: Path,
        handlers: Mapping[str, Handler],
        streams: Mapping[str, Stream] | None = None,
    ) -> None:
        self._path = path
        self._handlers = handlers
        self._streams = streams or {}
        path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX)
        with _address(path) as address:
            self._listener.bind(address)
        path.chmod(0o600)
        self._listener.listen()
        self._thread = threading.Thread(target=self._serve, name="control", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Take no more requests; one under way gets its answer if the process lives."""
        self._path.unlink(missing_ok=True)
        # close() alone leaves a thread in accept() waiting.
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join(timeout=5)
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(client,), daemon=True).start()

    def _answer(self, client: socket.socket) -> None:
        with client, suppress(OSError), client.makefile("rb") as lines:
            client.settimeout(60)
            while line := lines.readline(MAX_LINE):
                for answer in self._replies(line):
                    client.sendall(json.dumps(answer, default=str).encode() + b"\n")

    def _replies(self, line: bytes) -> Iterator[Answer]:
        try:
            asked = json.loads(line)
            start = self._streams[asked["verb"]]
        except (ValueError, KeyError, TypeError):
            yield self._reply(line)
            return
        try:
            for answer in start(asked):
                yield {"ok": True, **answer}
        except CtconsoleError as error:
            yield {"ok": False, "error": str(error)}

    def _reply(self, line: bytes) -> Answer:
        try:
            asked = json.loads(line)
            handler = self._handlers[asked["verb"]]
        except (ValueError, KeyError, TypeError):
            return {"ok": False, "error": "The agent does not know this request"}
        try:
            return {"ok": True, **handler(asked)}
        except CtconsoleError as error:
            return {"ok": False, "error": str(error)}
        except (KeyError, TypeError, ValueError) as error:
            return {"ok": False, "error": f"The request {asked['verb']} is damaged: {error!r}"}


class Teller:
    """Says one thing to whoever started the agent, and lets go of the pipe."""

    def __init__(self, fd: int | None) -> None:
        self._fd = fd

    def __call__(self, what: Mapping[str, object]) -> None:
        """Say it; the second thing said goes nowhere."""
        fd, self._fd = self._fd, None
        if fd is None:
            return
        try:
            os.write(fd, json.dumps(what).encode() + b"\n")
        except BrokenPipeError:
            # The starter is gone; the agent stays.
            pass
        finally:
            os.close(fd)
