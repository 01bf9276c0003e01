"""The system's libbpf (1.0 and later), as much of it as loads an iterator and reads it.

libbpf prints through one process-wide callback; here it is collected while an object loads and
becomes the log of the error.
"""

from __future__ import annotations

import ctypes
import errno
import os
import threading
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

from ctconsole.errors import DatapathError, MissingFeatureError, bpf_error
from ctconsole.handles import Handle

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

LIBRARY = "libbpf.so.1"

_READ_SIZE = 1 << 16
_PRINT_SIZE = 1 << 20
"""libbpf prints a verifier's log at once, and what it refused stands at its end."""
_REASON_SIZE = 256
_LOG_TAIL = 25

_PRINT = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)

_lock = threading.Lock()


class BpfObject(Handle):
    """A compiled CO-RE object, loaded into the kernel. A context manager.

    Args:
        path: the ``*.bpf.o`` file.
        maps: descriptors of maps to use for maps the object declares, by their names there;
            sizes and types are those of the maps given.
        constants: bytes of the object's read-only data, which the verifier knows; empty leaves
            what was compiled.
        sizes: capacities of maps the object declares, by their names, where they are others than
            were compiled.

    Raises:
        MissingFeatureError: libbpf is not installed, or the file is not there.
        DatapathError: libbpf or the verifier refused; carries the end of libbpf's log.
    """

    def __init__(
        self,
        path: Path,
        *,
        maps: Mapping[str, int] | None = None,
        constants: bytes = b"",
        sizes: Mapping[str, int] | None = None,
    ) -> None:
        self._lib = library()
        self._links: list[int] = []
        self._name = path.name
        if not path.exists():
            raise MissingFeatureError(
                f"The compiled iterator {path} is missing",
                hint="Run make setup, or python deploy/build_iterators.py",
            )
        with _collected(self._lib) as log:
            self._object = self._lib.bpf_object__open_file(os.fsencode(path), None)
            failed = ctypes.get_errno() if not self._object else 0
            if self._object:
                failed = self._prepare(maps or {}, constants, sizes or {})
            if not failed:
                failed = -int(self._lib.bpf_object__load(self._object))
        if failed:
            self.close()
            stale = "; it was built from other sources, make setup builds it anew"
            stale = stale if failed == errno.ENOENT else ""
            raise DatapathError(
                f"{path.name} does not load: {self._reason(failed)}{stale}",
                log="\n".join("".join(log).splitlines()[-_LOG_TAIL:]),
            )

    def _prepare(self, maps: Mapping[str, int], constants: bytes, sizes: Mapping[str, int]) -> int:
        """Fill in what is known before loading; 0 or an errno."""
        # libbpf does not look whether it is given a map at all. An object that lacks one was built
        # from other sources than these.
        if not all(map(self._map, (*maps, *sizes, *((".rodata",) if constants else ())))):
            return errno.ENOENT
        for name, fd in maps.items():
            failed = -int(self._lib.bpf_map__reuse_fd(self._map(name), fd))
            if failed:
                return failed
        for name, entries in sizes.items():
            failed = -int(self._lib.bpf_map__set_max_entries(self._map(name), entries))
            if failed:
                return failed
        if constants:
            size = ctypes.c_size_t()
            place = self._lib.bpf_map__initial_value(self._map(".rodata"), ctypes.byref(size))
            if not place or size.value != len(constants):
                return errno.EINVAL
            ctypes.memmove(place, constants, len(constants))
        return 0

    def _map(self, name: str) -> int:
        """Libbpf's handle of a map of the object, 0 for none."""
        return self._lib.bpf_object__find_map_by_name(self._object, name.encode()) or 0

    def map_fd(self, name: str) -> int:
        """The descriptor of a map of the object, valid until `close`; ``.bss`` is its variables.

        Raises:
            DatapathError: there is no such map.
        """
        handle = self._map(name)
        if not handle:
            raise DatapathError(f"{self._name} has no map {name}")
        return int(self._lib.bpf_map__fd(handle))

    def program_fd(self, name: str) -> int:
        """The descriptor of a program of the object, valid until `close`.

        Raises:
            DatapathError: there is no such program.
        """
        handle = self._lib.bpf_object__find_program_by_name(self._object, name.encode())
        if not handle:
            raise DatapathError(f"{self._name} has no program {name}")
        return int(self._lib.bpf_program__fd(handle))

    def attach_iterator(self, program: str) -> IteratorLink:
        """Attach the iterator program of this name; the link lives as long as the object.

        Raises:
            DatapathError: there is no such program, or the kernel refused.
        """
        with _collected(self._lib) as log:
            handle = self._lib.bpf_object__find_program_by_name(self._object, program.encode())
            link = self._lib.bpf_program__attach_iter(handle, None) if handle else None
        if not link:
            number = ctypes.get_errno()
            raise DatapathError(
                f"The iterator {program} of {self._name} does not attach: {self._reason(number)}",
                log="".join(log).strip(),
            )
        self._links.append(link)
        return IteratorLink(self._lib, self._lib.bpf_link__fd(link), program)

    def _reason(self, number: int) -> str:
        """What an errno or one of libbpf's own numbers (4000 and up) means."""
        text = ctypes.create_string_buffer(_REASON_SIZE)
        self._lib.libbpf_strerror(number, text, _REASON_SIZE)
        return text.value.decode("utf-8", "replace")

    @property
    def is_open(self) -> bool:
        """Whether something of it is in the kernel."""
        return bool(self._object)

    def close(self) -> None:
        """Detach and unload."""
        for link in self._links:
            self._lib.bpf_link__destroy(link)
        self._links.clear()
        if self._object:
            self._lib.bpf_object__close(self._object)
        self._object = None


class IteratorLink:
    """An attached iterator; every `read` is one walk."""

    def __init__(self, lib: ctypes.CDLL, fd: int, name: str) -> None:
        self._lib = lib
        self._fd = fd
        self._name = name

    def read(self) -> bytes:
        """Run the iterator to its end and return what its program wrote.

        Raises:
            BpfError: the walk could not start or broke off.
        """
        walk = int(self._lib.bpf_iter_create(self._fd))
        if walk < 0:
            raise bpf_error(ctypes.get_errno(), "BPF_ITER_CREATE", self._name)
        pieces = []
        try:
            while piece := os.read(walk, _READ_SIZE):
                pieces.append(piece)
        except OSError as error:
            raise bpf_error(error.errno or 0, "read", f"iterator {self._name}") from error
        finally:
            os.close(walk)
        return b"".join(pieces)


@cache
def library() -> ctypes.CDLL:
    """The system's libbpf with its functions declared.

    Raises:
        MissingFeatureError: it is not installed.
    """
    try:
        lib = ctypes.CDLL(LIBRARY, use_errno=True)
    except OSError as error:
        raise MissingFeatureError(
            f"{LIBRARY} cannot be loaded", hint="apt install libbpf1"
        ) from error
    handle, text, number = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
    signatures: dict[str, tuple[object, tuple[object, ...]]] = {
        "bpf_object__open_file": (handle, (text, handle)),
        "bpf_object__load": (number, (handle,)),
        "bpf_object__close": (None, (handle,)),
        "bpf_object__find_program_by_name": (handle, (handle, text)),
        "bpf_object__find_map_by_name": (handle, (handle, text)),
        "bpf_map__reuse_fd": (number, (handle, number)),
        "bpf_map__set_max_entries": (number, (handle, ctypes.c_uint32)),
        "bpf_map__initial_value": (handle, (handle, handle)),
        "bpf_map__fd": (number, (handle,)),
        "bpf_program__fd": (number, (handle,)),
        "bpf_program__attach_iter": (handle, (handle, handle)),
        "bpf_link__fd": (number, (handle,)),
        "bpf_link__destroy": (number, (handle,)),
        "bpf_iter_create": (number, (number,)),
        "libbpf_set_print": (handle, (handle,)),
        "libbpf_strerror": (number, (number, text, ctypes.c_size_t)),
        "libbpf_version_string": (text, ()),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(lib, name)
        function.restype, function.argtypes = result, arguments
    return lib


def version() -> str:
    """The version libbpf states, e.g. ``v1.1``.

    Raises:
        MissingFeatureError: it is not installed.
    """
    return str(library().libbpf_version_string().decode())


@contextmanager
def _collected(lib: ctypes.CDLL) -> Iterator[list[str]]:
    """Collect libbpf's warnings and information instead of printing them."""
    libc = ctypes.CDLL(None)
    lines: list[str] = []

    def keep(level: int, form: bytes, arguments: int) -> int:
        if level > 1:  # debug
            return 0
        line = ctypes.create_string_buffer(_PRINT_SIZE)
        libc.vsnprintf(line, ctypes.c_size_t(_PRINT_SIZE), form, ctypes.c_void_p(arguments))
        lines.append(line.value.decode("utf-8", "replace"))
        return 0

    callback = _PRINT(keep)
    with _lock:
        before = lib.libbpf_set_print(ctypes.cast(callback, ctypes.c_void_p))
        try:
            yield lines
        finally:
            lib.libbpf_set_print(before)
