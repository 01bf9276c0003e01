"""The three standard streams as everything in this program finds them.

On a terminal no control character from outside is acted upon. What cannot be written is one error
that says so, and a stream that was closed before the start is one that cannot be written: nothing
else opens a file in its place.
"""

from __future__ import annotations

import codecs
import io
import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from ctconsole.errors import OutputLostError, UsageError

if TYPE_CHECKING:
    from typing_extensions import Buffer

_NAMES: Final = {1: "Standard output", 2: "Standard error"}
_ERRORS: Final = "ctconsole"
"""The error handler of both: names that are no UTF-8 are written as they are."""


def prepare() -> None:
    """Put our own streams in the place of the interpreter's; once, before anything is printed."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            # The lowest free descriptor is this one. Nothing can be written to it either.
            os.set_inheritable(os.open(os.devnull, os.O_RDONLY), True)  # noqa: FBT003 - its only argument
    if sys.stdin is None:
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - for all of this process
    codecs.register_error(_ERRORS, _unencodable)
    sys.stdout = _stream(1, sys.stdout)
    sys.stderr = _stream(2, sys.stderr)


def _stream(number: int, before: io.TextIOBase | object | None) -> io.TextIOWrapper:
    tty = os.isatty(number)
    raw = io.BufferedWriter(_Output(number, "w", closefd=False))
    encoding = getattr(before, "encoding", None) or "utf-8"
    kind = Terminal if tty else io.TextIOWrapper
    return kind(raw, encoding=encoding, errors=_ERRORS, line_buffering=tty or number != 1)


class _Output(io.FileIO):
    """A descriptor whose failures are ours; a pipe whose reader has left stays Python's."""

    def write(self, data: Buffer, /) -> int:
        """Write, also to a terminal that somebody made non-blocking.

        Raises:
            OutputLostError: it cannot be written.
        """
        while True:
            try:
                done: int | None = super().write(data)
            except BrokenPipeError:
                raise
            except OSError as error:
                raise OutputLostError(error.errno or 0, _NAMES[self.fileno()]) from error
            if done is not None:
                return done
            from select import select

            select([], [self], [])


class Terminal(io.TextIOWrapper):
    """Text for a terminal: what would act on it is written as an escape."""

    def __init__(self, raw: BinaryIO, **options: Any) -> None:  # noqa: ANN401 - those of its base
        super().__init__(raw, **options)
        self._bytes = _TerminalBytes(self)

    def write(self, text: str, /) -> int:
        """Write text that may hold anything."""
        from ctconsole.model.text.safe import escaped

        return super().write(escaped(text))

    def styled(self, text: str) -> None:
        """Write text of our own making with its colours."""
        super().write(text)

    @property
    def buffer(self) -> _TerminalBytes:  # type: ignore[override]  # bytes are text here
        """Takes bytes for the same terminal."""
        return self._bytes


def is_served() -> bool:
    """Whether a browser stands for the terminal: `serve` has started this process."""
    return os.environ.get("TEXTUAL_DRIVER", "").endswith(":WebDriver")


def need_terminal(hint: str) -> None:
    """Refuse to open a console where nobody could see it.

    Args:
        hint: what there is instead.

    Raises:
        UsageError: there is no terminal, and no browser in its place.
    """
    if is_served() or (sys.stdin.isatty() and sys.stdout.isatty()):
        return
    raise UsageError(
        "The console needs a terminal, and there is none on standard input and output", hint=hint
    )


def stream_width(stream: Terminal) -> int:
    """Columns of a terminal; 80 of one that does not say how many it has."""
    with suppress(OSError):
        return os.get_terminal_size(stream.fileno()).columns or _NARROW
    return _NARROW


_NARROW: Final = 80


class _TerminalBytes(io.BufferedIOBase):
    """Bytes for a terminal, in pieces that may be cut anywhere."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")

    def writable(self) -> bool:
        """Yes."""
        return True

    def write(self, data: Buffer, /) -> int:
        """Write what is text by now; the rest of a character waits for its end."""
        self._terminal.write(self._decoder.decode(bytes(data)))
        return memoryview(data).nbytes

    def flush(self) -> None:
        """Write everything."""
        self._terminal.flush()


def _unencodable(error: UnicodeError) -> tuple[str | bytes, int]:
    """Bytes of a name as they are, and what the encoding lacks as an escape."""
    try:
        return codecs.lookup_error("surrogateescape")(error)
    except UnicodeError:
        return codecs.lookup_error("backslashreplace")(error)
