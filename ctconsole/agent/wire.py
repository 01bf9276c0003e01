"""Requests to a running agent: lines of JSON each way over a unix socket.

While a request is being worked on, the agent says so every `BEAT` seconds. So there is a limit on
silence and none on work; a line itself has to be complete within that limit.
"""

from __future__ import annotations

import errno
import json
import os
import socket
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeAlias

from ctconsole.agent.answers import check
from ctconsole.errors import (
    AgentError,
    AgentRefusedError,
    CtconsoleError,
    RequestFailedError,
)
from ctconsole.kernel.unixpath import socket_path
from ctconsole.loops import Loop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from ctconsole.loops import LoopState

JsonAnswer: TypeAlias = "Mapping[str, Any]"
Handler: TypeAlias = "Callable[[Mapping[str, Any]], JsonAnswer]"
Stream: TypeAlias = "Callable[[Mapping[str, Any]], Iterator[JsonAnswer]]"

LARGEST = 1 << 26
"""Bytes of a request or an answer at most: some hundred thousand endpoints."""

SILENCE = 60.0
"""Seconds after which the other side has said nothing for too long."""

BEAT = 5.0
"""Seconds between two words of an agent that is still working on a request."""

_PART = 1 << 16


class _Lines:
    """Reads lines from a socket, each complete within a time and no longer than `LARGEST`."""

    def __init__(self, client: socket.socket) -> None:
        self._client = client
        self._parts: list[bytes] = []

    def next(self, seconds: float) -> bytes | None:
        """The next line without its end, None where the other side has ended.

        Raises:
            TimeoutError: it was not complete in time.
            ValueError: it is too long, or it ends in the middle.
        """
        end, size = time.monotonic() + seconds, sum(map(len, self._parts))
        while not (self._parts and b"\n" in self._parts[-1]):
            left = end - time.monotonic()
            if left <= 0:
                raise TimeoutError
            self._client.settimeout(left)
            part = self._client.recv(_PART)
            if not part:
                if self._parts:
                    raise ValueError("it broke off in the middle of an answer")
                return None
            self._parts.append(part)
            size += len(part)
            if size > LARGEST:
                raise ValueError(f"more than {LARGEST >> 20} MiB in one line")
        line, _, rest = b"".join(self._parts).partition(b"\n")
        self._parts = [rest] if rest else []
        return line


def request(
    path: Path,
    verb: str,
    *,
    silence: float = SILENCE,
    total: float | None = None,
    **fields: object,
) -> JsonAnswer:
    """Ask the agent behind a socket.

    Args:
        path: its socket.
        verb: what is asked.
        silence: seconds it may say nothing.
        total: seconds the answer may take in all, for what needs no work; None without a limit.
        fields: more of the request.

    Returns:
        The answer; it has the shape of its verb (see `ctconsole.agent.answers`).

    Raises:
        RequestFailedError: the agent refused or failed; with its sentence.
        AgentRefusedError: what it says is no answer of ours.
        AgentError: nobody answers.
    """
    end = None if total is None else time.monotonic() + total
    with _talking(path), socket.socket(socket.AF_UNIX) as client, socket_path(path) as address:
        client.settimeout(silence)
        client.connect(address)
        client.sendall(_encoded({"verb": verb, **fields}))
        lines = _Lines(client)
        while True:
            seconds = silence if end is None else min(silence, end - time.monotonic())
            line = lines.next(seconds)
            if not line:
                raise AgentError(
                    f"The agent behind {path} ended without an answer to {verb}",
                    hint=f"See {path.with_name('agent.log')}",
                )
            answer = _checked(path, line)
            if "working" not in answer:
                break
    if fault := check(verb, answer):
        raise _no_answer(path, f"{verb} with something else: {fault}")
    return answer


def stream(path: Path, verb: str, **fields: object) -> Iterator[JsonAnswer]:
    """Ask for something that goes on; yields each answer until the agent ends.

    Raises:
        RequestFailedError: the agent refused or failed; with its sentence.
        AgentError: nobody answers, it falls silent, or it says what is no answer.
    """
    with _talking(path), socket.socket(socket.AF_UNIX) as client, socket_path(path) as address:
        client.settimeout(SILENCE)
        client.connect(address)
        client.sendall(_encoded({"verb": verb, **fields}))
        lines = _Lines(client)
        while line := lines.next(SILENCE):
            answer = _checked(path, line)
            if "working" not in answer:
                yield answer


@contextmanager
def _talking(path: Path) -> Iterator[None]:
    """Turn what goes wrong between two processes into one sentence."""
    log = path.with_name("agent.log")
    try:
        yield
    except TimeoutError as error:
        raise AgentError(
            f"The agent behind {path} did not answer in time", hint=f"See {log}"
        ) from error
    except (ConnectionResetError, BrokenPipeError) as error:
        raise AgentError(
            f"The agent behind {path} ended without an answer", hint=f"See {log}"
        ) from error
    except OSError as error:
        raise AgentError(
            f"No agent answers at {path}: {error}", hint="ctconsole agent start"
        ) from error
    except ValueError as error:
        raise _no_answer(path, str(error)) from error


def _encoded(fields: Mapping[str, object]) -> bytes:
    return json.dumps(fields, default=str).encode() + b"\n"


def _decoded(line: bytes) -> object:
    """A line as JSON.

    Raises:
        ValueError: it is none, or nested deeper than anybody means.
    """
    try:
        return json.loads(line)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def _checked(path: Path, line: bytes) -> JsonAnswer:
    """A line as an answer that says yes."""
    try:
        answer = _decoded(line)
    except ValueError as error:
        raise _no_answer(path, f"{_shown(line)}: {error}") from error
    if isinstance(answer, dict) and answer.get("ok") is True:
        return answer
    if isinstance(answer, dict) and answer.get("ok") is False:
        said = answer.get("error")
        raise RequestFailedError(
            said if isinstance(said, str) and said else "The agent refused without a word"
        )
    raise _no_answer(path, _shown(line))


def _no_answer(path: Path, what: str) -> AgentRefusedError:
    return AgentRefusedError(
        f"What is behind {path} answers what no agent of ours does: {what}",
        hint="Restart the agent with ctconsole agent restart",
    )


def _shown(line: bytes, most: int = 60) -> str:
    text = line[:most].decode("ascii", "backslashreplace")
    printable = "".join(sign if sign.isprintable() else "." for sign in text)
    return printable + ("..." if len(line) > most else "")


class Server:
    """Answers requests in threads of its own until closed.

    Args:
        path: the socket; whatever is there is replaced, the caller holds the agent's lock.
        handlers: by verb; each gets the request and answers with more fields for the reply.
        streams: by verb; as handlers, but with any number of answers. One that has nothing to
            say for a while says so, because only sending finds out that the client has gone.
        on_failure: told when requests cannot be taken; it is tried again.
    """

    def __init__(
        self,
        path: Path,
        handlers: Mapping[str, Handler],
        streams: Mapping[str, Stream] | None = None,
        on_failure: Callable[[LoopState], None] = lambda _: None,
    ) -> None:
        self._path = path
        self._handlers = handlers
        self._streams = streams or {}
        path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX)
        # Before bind(), which makes the file with the socket's own mode.
        os.fchmod(self._listener.fileno(), 0o600)
        with socket_path(path) as address:
            self._listener.bind(address)
        self._listener.listen()
        self._loop = Loop("control", self._serve, on_failure)
        self._loop.start()

    def close(self) -> None:
        """Take no more requests; one under way gets its answer if the process lives."""
        self._loop.stopping.set()
        self._path.unlink(missing_ok=True)
        # close() alone leaves a thread in accept() waiting.
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._loop.stop(patience=5)
        self._listener.close()

    def _serve(self) -> float | None:
        """Take one client; one that cannot be taken, for want of descriptors, waits."""
        try:
            client, _ = self._listener.accept()
        except OSError:
            if self._loop.stopping.is_set():
                return None
            raise
        try:
            threading.Thread(target=self._answer, args=(client,), daemon=True).start()
        except BaseException:
            # No more threads: whoever asks is told by the end of the connection.
            client.close()
            raise
        return 0.0

    def _answer(self, client: socket.socket) -> None:
        with client:
            lines = _Lines(client)
            try:
                while (line := lines.next(SILENCE)) is not None:
                    for answer in self._replies(line, client):
                        client.settimeout(SILENCE)
                        client.sendall(_encoded(answer))
            except ValueError as error:
                with suppress(OSError):
                    client.sendall(_encoded({"ok": False, "error": f"No request: {error}"}))
            except OSError:
                # The client has gone, or says nothing any more.
                return

    def _replies(self, line: bytes, client: socket.socket) -> Iterator[JsonAnswer]:
        try:
            asked = _decoded(line)
        except ValueError:
            asked = None
        verb = asked.get("verb") if isinstance(asked, dict) else None
        if not isinstance(asked, dict) or not isinstance(verb, str):
            yield {"ok": False, "error": "The agent does not know this request"}
        elif verb in self._streams:
            yield from _guarded(verb, lambda: self._streams[verb](asked))
        elif verb in self._handlers:
            with _beating(client):
                answers = list(_guarded(verb, lambda: iter([self._handlers[verb](asked)])))
            yield from answers
        else:
            yield {"ok": False, "error": "The agent does not know this request"}


def _guarded(verb: str, answers: Callable[[], Iterator[JsonAnswer]]) -> Iterator[JsonAnswer]:
    """Each answer with its yes, or the reason of a no; nothing a handler raises is lost."""
    try:
        for answer in answers():
            yield {"ok": True, **answer}
    except CtconsoleError as error:
        yield {"ok": False, "error": str(error)}
    except (KeyError, TypeError, ValueError) as error:
        yield {"ok": False, "error": f"The request {verb} is damaged: {error!r}"}
    except Exception as error:  # noqa: BLE001 - whatever it is, whoever asked is to hear of it
        yield {"ok": False, "error": f"The agent failed at {verb}: {error!r}"}


@contextmanager
def _beating(client: socket.socket) -> Iterator[None]:
    """Say in this block now and then that the work goes on."""
    done = threading.Event()

    def beat() -> None:
        while not done.wait(BEAT):
            try:
                client.settimeout(SILENCE)
                client.sendall(_encoded({"ok": True, "working": True}))
            except OSError:
                return

    thread = threading.Thread(target=beat, name="beat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


class Teller:
    """Tells whoever started the agent how far it is, and at last how it went.

    Args:
        fd: the pipe that gets the lines of JSON, None for nobody.
    """

    def __init__(self, fd: int | None) -> None:
        self._fd = fd
        if fd is not None:
            # A starter that does not read must not hold up the start.
            os.set_blocking(fd, False)

    def progress(self, done: int, of: int, now: str) -> None:
        """A sign of life."""
        self._write({"progress": [done, of, now]})

    def __call__(self, what: Mapping[str, object]) -> None:
        """Say how it went, and let go of the pipe; the second thing said goes nowhere."""
        self._write(what)
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)

    def _write(self, what: Mapping[str, object]) -> None:
        if self._fd is None:
            return
        try:
            os.write(self._fd, _encoded(what))
        except BlockingIOError:
            # It reads nothing for now; there will be another sign of life.
            return
        except OSError as error:
            if error.errno != errno.EPIPE:
                raise
            # The starter is gone; the agent stays.
