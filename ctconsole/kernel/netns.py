"""Named network namespaces, in the place and form of ``ip netns`` (/run/netns/NAME).

A namespace is a property of each thread, so entering one never disturbs the others.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import socket
import struct
import subprocess
import threading
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING

from ctconsole.errors import BpfError, bpf_error
from ctconsole.kernel import mounts
from ctconsole.kernel.syscall import libc

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from ctconsole.kernel.gate import Gate

FOLDER = Path("/run/netns")

_CLONE_NEWNET = 0x40000000
_OWN = "/proc/thread-self/ns/net"
_SIOCGIFFLAGS = 0x8913
_SIOCSIFFLAGS = 0x8914
_IFF_UP = 1


def create(_gate: Gate, name: str) -> None:
    """Make a namespace and bring its loopback up.

    Raises:
        BpfError: it is there already (EEXIST).
        DeniedError: without CAP_SYS_ADMIN and CAP_NET_ADMIN.
        BpfError: whatever else failed; the name is free again.
    """
    path = FOLDER / name
    made: list[Path] = []

    def make() -> None:
        # Here and not before: a signal that ends the caller comes to no thread but the main one,
        # so whether the name is this call's is always known.
        FOLDER.mkdir(mode=0o755, exist_ok=True)
        path.touch(mode=0o444, exist_ok=False)
        made.append(path)
        _unshare()
        mounts.mount(_OWN, path, "none", mounts.MS_BIND)
        _loopback_up()

    try:
        in_thread(make)
    except BaseException as error:
        if made:
            # The mount may stand already.
            with suppress(BpfError):
                mounts.unmount(path, mounts.MNT_DETACH)
            path.unlink(missing_ok=True)
        if isinstance(error, OSError) and not isinstance(error, BpfError):
            raise bpf_error(error.errno or errno.EIO, "netns add", name) from error
        raise


def delete(_gate: Gate, name: str) -> bool:
    """Take a namespace's name away; it goes, with its links, when its last process leaves.

    Returns:
        False where there was none.
    """
    path = FOLDER / name
    if not path.exists():
        return False
    # A name left by a killed process before the mount is a plain file.
    with suppress(BpfError):
        mounts.unmount(path, mounts.MNT_DETACH)
    path.unlink(missing_ok=True)
    return True


def exists(name: str) -> bool:
    """Whether a namespace has this name."""
    return (FOLDER / name).exists()


def names(prefix: str = "") -> list[str]:
    """Every named namespace whose name starts with ``prefix``, sorted."""
    if not FOLDER.is_dir():
        return []
    return sorted(path.name for path in FOLDER.iterdir() if path.name.startswith(prefix))


def pids(name: str) -> list[int]:
    """Processes whose main thread is in the namespace, ascending."""
    try:
        wanted = (FOLDER / name).stat()
    except FileNotFoundError:
        return []
    found = []
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            with suppress(OSError):
                seen = Path(entry.path, "ns/net").stat()
                if (seen.st_dev, seen.st_ino) == (wanted.st_dev, wanted.st_ino):
                    found.append(int(entry.name))
    return sorted(found)


@contextmanager
def inside(name: str | None) -> Iterator[None]:
    """Put the calling thread into a namespace and back; None stays where it is.

    Sockets and child processes made meanwhile belong to that namespace. In a coroutine do not
    await inside: the thread would carry other tasks along.

    Raises:
        GoneError: no namespace has this name.
        DeniedError: without CAP_SYS_ADMIN.
    """
    if name is None:
        yield
        return
    home = os.open(_OWN, os.O_RDONLY | os.O_CLOEXEC)
    try:
        enter(name)
        try:
            yield
        finally:
            _setns(home, "the own namespace")
    finally:
        os.close(home)


def enter(name: str) -> None:
    """Put the calling thread into a namespace for good.

    A daemon calls it in its main thread before it starts others, which inherit it.

    Raises:
        GoneError: no namespace has this name.
    """
    try:
        fd = os.open(FOLDER / name, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise bpf_error(error.errno or 0, "network namespace", name) from error
    try:
        _setns(fd, name)
    finally:
        os.close(fd)


def popen(
    name: str | None,
    argv: Sequence[str | os.PathLike[str]],
    *,
    stdin: int | IO[bytes] | None = None,
    stdout: int | IO[bytes] | None = None,
    stderr: int | IO[bytes] | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    start_new_session: bool = False,
    pass_fds: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Start a program in a namespace; its mounts, /sys among them, stay those of this process."""
    with inside(name):
        return subprocess.Popen(
            argv,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            env=env,
            cwd=cwd,
            start_new_session=start_new_session,
            pass_fds=pass_fds,
        )


def set_sysctl(_gate: Gate, name: str | None, key: str, value: str) -> None:
    """Write a setting below /proc/sys/net, e.g. ``ipv4.ip_forward``, of a namespace.

    Raises:
        BpfError: there is no such setting, or it refuses the value.
    """
    path = Path("/proc/sys/net", key.replace(".", "/"))
    with inside(name):
        try:
            path.write_text(value, "ascii")
        except OSError as error:
            raise bpf_error(error.errno or 0, "sysctl", f"net.{key}={value}") from error


def in_throwaway(work: Callable[[], None]) -> None:
    """Run ``work`` in a new nameless namespace, gone with everything in it when it returns.

    Raises:
        DeniedError: without CAP_SYS_ADMIN.
    """

    def make() -> None:
        _unshare()
        work()

    in_thread(make)


def in_thread(work: Callable[[], None]) -> None:
    """Run ``work`` in a thread of its own and wait; what it raises is raised here.

    Where a signal's handler raises here meanwhile, that is raised when the work has ended.
    """
    raised: list[BaseException] = []
    # A join that an exception ended takes the thread for ended ever after (CPython 3.11).
    over = threading.Event()

    def guarded() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - carried to the caller, whatever it is
            raised.append(error)
        finally:
            over.set()

    thread = threading.Thread(target=guarded, name="netns")
    try:
        thread.start()
        over.wait()
    except BaseException:
        if thread.ident is not None:
            over.wait()
        raise
    thread.join()
    if raised:
        raise raised[0]


def _unshare() -> None:
    if libc.unshare(_CLONE_NEWNET) < 0:
        raise bpf_error(ctypes.get_errno(), "unshare", "network namespace")


def _setns(fd: int, name: str) -> None:
    if libc.setns(fd, _CLONE_NEWNET) < 0:
        raise bpf_error(ctypes.get_errno(), "setns", name)


def _loopback_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        request = struct.pack("16sh14x", b"lo", 0)
        answer = fcntl.ioctl(sock, _SIOCGIFFLAGS, request)
        flags = struct.unpack("16sh14x", answer)[1] | _IFF_UP
        fcntl.ioctl(sock, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags))
