"""The one exception tree.

::

    CtconsoleError              one clear sentence: what, where, what to do
    ├── UsageError              a flag, an option or a key press that cannot be meant
    │   ├── ConfigError         an agent option out of its range
    │   └── FilterError         a filter that cannot be meant, and where in it
    ├── FormatError             bytes or text that are not what they should be
    ├── BpfError(OSError)       a system call of bpf(2) or bpffs that failed
    │   ├── GoneError           the pin, map, program, link or namespace is not there
    │   ├── NoMapError          something else than a map is pinned there
    │   └── DeniedError         the kernel wants a capability this process lacks
    ├── OutputLostError(OSError) what was to be printed cannot be: the disk is full, ...
    ├── MissingFeatureError     this node lacks something, with the remedy
    ├── ReadOnlyError           a write was asked for and the gate is closed
    ├── BusyError               somebody else changes the same maps just now
    ├── DatapathError           a program does not compile, load or attach
    ├── AgentError              the agent did not start, stop or answer
    │   ├── AgentRefusedError   it answers, but not with what was asked for
    │   ├── RequestFailedError  ours answers that it will not, or could not
    │   └── EndedEarlyError     its work was told to end before it was done
    ├── ClusterError            Kubernetes refuses, does not answer, or answers what is none
    │   └── CutOffError         what runs in a pod was lost sight of; what it did is not known
    └── LabError                the embedded node could not be built or found

Every command prints ``str(error)`` on stderr and exits with ``error.exit_code``.
"""

from __future__ import annotations

import errno as _errno
import os
from typing import ClassVar


class CtconsoleError(Exception):
    """Base of everything this program raises on purpose.

    Args:
        message: one sentence naming what went wrong and where.
        hint: what to do about it, as a second sentence; empty where nothing can be done.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}. {self.hint}" if self.hint else self.message


class UsageError(CtconsoleError):
    """What the user asked for cannot be meant; nothing was done."""

    exit_code = 2


class ConfigError(UsageError):
    """An agent option has a value outside its range; names option, value and range."""


class FilterError(UsageError):
    """A filter cannot be meant, or not be answered; tells where in it.

    Args:
        message: one sentence.
        text: the filter, as it was written.
        at: where it goes wrong, from 0 on; the end of the text where something is missing.
        length: characters that are wrong, at least 1.
        hint: what to write.
    """

    def __init__(
        self, message: str, *, text: str, at: int, length: int = 1, hint: str = ""
    ) -> None:
        super().__init__(message, hint=hint)
        self.text = text
        self.at = at
        self.length = max(1, length)


class FormatError(CtconsoleError):
    """Bytes or text that are not in the format they claim; names the file and the offset."""


class BpfError(CtconsoleError, OSError):
    """A system call failed; carries its errno. Made by `bpf_error`.

    Args:
        errno: positive errno value.
        command: the bpf(2) command or call that failed, e.g. ``BPF_MAP_CREATE``.
        subject: the map, pin or program it was about.
        hint: what to do about it.
    """

    def __init__(self, errno: int, command: str, subject: str = "", hint: str = "") -> None:
        about = f" {subject}" if subject else ""
        CtconsoleError.__init__(
            self,
            f"{command}{about}: {os.strerror(errno)}",
            hint=hint,
        )
        self.errno = errno
        self.command = command
        self.subject = subject

    def __str__(self) -> str:
        return CtconsoleError.__str__(self)


class GoneError(BpfError):
    """What was named is not there, or not yet: a pin, an id, a namespace (ENOENT, EAGAIN)."""


class NoMapError(BpfError):
    """There is something, and it is no map (EINVAL)."""


class DeniedError(BpfError):
    """The kernel refused for lack of a capability (EPERM, EACCES)."""

    exit_code = 3


def bpf_error(errno: int, command: str, subject: str = "", hint: str = "") -> BpfError:
    """A `BpfError` of the subclass callers tell apart for this errno (see `BpfError`)."""
    kinds: dict[int, type[BpfError]] = {
        _errno.ENOENT: GoneError,
        _errno.EPERM: DeniedError,
        _errno.EACCES: DeniedError,
    }
    kind = kinds.get(errno, BpfError)
    if kind is DeniedError and not hint:
        # Seldom needed, and it loads more than starting up may cost.
        from ctconsole.privileges import hint_for

        hint = hint_for(command, errno)
    return kind(errno, command, subject, hint)


class OutputLostError(CtconsoleError, OSError):
    """A standard stream cannot be written.

    Args:
        errno: positive errno value.
        stream: its name, to begin a sentence with.
    """

    def __init__(self, errno: int, stream: str) -> None:
        why = "it is closed" if errno == _errno.EBADF else os.strerror(errno)
        CtconsoleError.__init__(self, f"{stream} cannot be written: {why}")
        self.errno = errno

    def __str__(self) -> str:
        return CtconsoleError.__str__(self)


class MissingFeatureError(CtconsoleError):
    """This node lacks something the command needs; the hint is the remedy `doctor` prints."""

    exit_code = 3


class ReadOnlyError(CtconsoleError):
    """A write was asked for where the write gate is closed."""

    exit_code = 4

    def __init__(self, what: str, *, hint: str = "Drop --read-only") -> None:
        super().__init__(f"{what} needs the write gate, which is closed", hint=hint)


class BusyError(CtconsoleError):
    """Somebody else changes the same maps just now; names who and what."""


class DatapathError(CtconsoleError):
    """A program does not compile, load or attach; carries the trimmed log."""

    def __init__(self, message: str, *, hint: str = "", log: str = "") -> None:
        super().__init__(message, hint=hint)
        self.log = log

    def __str__(self) -> str:
        sentence = super().__str__()
        return f"{sentence}\n{self.log}" if self.log else sentence


class AgentError(CtconsoleError):
    """The agent did not start, stop or answer."""


class AgentRefusedError(AgentError):
    """The agent answers, but not with what was asked for; it may answer something else."""


class RequestFailedError(AgentError):
    """Our agent answers that it will not do what was asked, or could not; in its own words."""


class EndedEarlyError(AgentError):
    """Work was told to end before it was done; what it had done so far stays."""


class ClusterError(CtconsoleError):
    """Kubernetes refuses, does not answer, or answers what is no answer.

    Args:
        message: one sentence.
        status: of its answer, as HTTP has it; 0 where none came.
        hint: what to do about it.
    """

    def __init__(self, message: str, *, status: int = 0, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.status = status


class CutOffError(ClusterError):
    """The connection to what runs in a pod ended before that did; it may go on."""


class LabError(CtconsoleError):
    """The embedded node could not be built, found or removed."""
