"""bcc compiles the C sources of this node at run time; it is asked for nothing else.

bcc is Debian's package python3-bpfcc, not the ``bcc`` of PyPI, which is unrelated. It runs in a
child process (`bcc_worker`), so ours has neither Debian's module folder on its search path nor
LLVM in its memory, and clang's messages are captured instead of printed. Loading is left to
`ctconsole.kernel.programs`: bcc compiles only once per configuration then (see `keeping`). Its own
loader would compile, and create maps, for every endpoint, and prints the verifier's log on stderr.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple, TypedDict

from ctconsole.datapath import bcc_worker, build_logs, keeping
from ctconsole.datapath.code import Program
from ctconsole.datapath.headers import REMEDY, kernel_tree
from ctconsole.errors import DatapathError, MissingFeatureError
from ctconsole.kernel.procstat import process_state
from ctconsole.paths import DEBIAN_BCC

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_SILENCE: Final = 120.0
"""Seconds in which a compiler may neither use nor want any CPU time. Work has no limit."""

_LOOK: Final = 0.5
"""Seconds between two looks at it."""

_IN_MEMORY: Final = 16

_PASSED_ON: Final = ("PATH", "TMPDIR", "LD_LIBRARY_PATH")
"""What the compiler gets of our environment: nothing that may change what it makes of a source."""


class _Asked(NamedTuple):
    """One compilation.

    Attributes:
        source: the C file.
        defines: preprocessor constants.
        state: the `_digest` of the sources.
    """

    source: Path
    defines: tuple[tuple[str, int], ...]
    state: str


class _Answer(TypedDict):
    """What `bcc_worker` answers."""

    programs: dict[str, str]
    made_of: list[str] | None


_known: Final[dict[_Asked, Mapping[str, Program]]] = {}
_lock: Final = threading.Lock()


def find_bcc(folder: Path = DEBIAN_BCC) -> Path:
    """The folder of the bcc that compiles BPF programs; imports nothing.

    Raises:
        MissingFeatureError: it is not installed, or ``folder`` holds the unrelated package
            that PyPI calls bcc.
    """
    if (folder / "libbcc.py").is_file():
        return folder
    if folder.is_dir():
        raise MissingFeatureError(f"The bcc in {folder} is not the BPF Compiler", hint=REMEDY)
    raise MissingFeatureError("The BPF Compiler (bcc) is not installed", hint=REMEDY)


def compile_source(
    source: Path, defines: Mapping[str, int], *, meanwhile: Callable[[], None] = lambda: None
) -> Mapping[str, Program]:
    """Compile a file of ``bpf/`` into its programs by name.

    The same text with the same defines is compiled once in a process's life, and once for all
    processes where what was compiled can be kept on the disk. Needs no privileges.

    Args:
        source: a C file; its folder is its include path.
        defines: preprocessor constants.
        meanwhile: called at least once a second while the compiler runs, however long that
            takes; what it raises ends the compiler.

    Raises:
        MissingFeatureError: bcc or kernel headers are not installed.
        DatapathError: the source does not compile; carries clang's errors.
    """
    asked = _Asked(source, tuple(sorted(defines.items())), _digest(source.parent))
    with _lock:
        found = _known.get(asked)
    if found is None:
        code = _compiled(asked, meanwhile)
        found = MappingProxyType({name: Program(name, insns) for name, insns in code.items()})
        with _lock:
            _known[asked] = found
            while len(_known) > _IN_MEMORY:
                del _known[next(iter(_known))]
    return found


def _digest(folder: Path) -> str:
    """Changes whenever any source or header of ``folder`` does."""
    total = sha256()
    for path in sorted((*folder.glob("*.h"), *folder.glob("*.c"))):
        total.update(path.name.encode() + b"\0" + path.read_bytes())
    return total.hexdigest()


def _compiled(asked: _Asked, meanwhile: Callable[[], None]) -> Mapping[str, bytes]:
    """The instructions of each program, from the disk if they are kept there."""
    bcc, tree, folder = find_bcc(), kernel_tree(), asked.source.parent
    passed = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    key = _key(asked, bcc, tree, passed.get("LD_LIBRARY_PATH", ""))
    if (kept := keeping.kept(key)) is not None:
        return kept
    since = time.time_ns()
    job: dict[str, str | list[str]] = {
        "bcc": str(bcc),
        "source": asked.source.read_text(encoding="utf-8"),
        "cflags": [f"-I{folder}", *(f"-D{name}={value}" for name, value in asked.defines)],
        "tree": str(tree),
    }
    environment = {**passed, "BCC_KERNEL_SOURCE": str(tree)}
    answer = _run(job, environment, asked.source.name, meanwhile)
    code = {name: bytes.fromhex(insns) for name, insns in answer["programs"].items()}
    # The sources are in the key. If somebody writes to them just now, nobody knows which it was.
    if answer["made_of"] is not None and _digest(folder) == asked.state:
        others = [path for path in answer["made_of"] if not Path(path).is_relative_to(folder)]
        keeping.keep(key, code, others, since)
    return code


def _key(asked: _Asked, bcc: Path, tree: Path, libraries: str) -> str:
    """Tells apart whatever is asked for; what the compiler itself is made of is not in it."""
    system = os.uname()
    worker = Path(bcc_worker.__file__).read_bytes()
    said = [asked.source.name, asked.defines, asked.state, str(bcc), str(tree), libraries]
    said += [system.release, system.machine, sha256(worker).hexdigest()]
    return sha256(json.dumps(said).encode()).hexdigest()


def _run(
    job: Mapping[str, str | list[str]],
    environment: Mapping[str, str],
    what: str,
    meanwhile: Callable[[], None],
) -> _Answer:
    """Hand a job to the child and return its answer (see `bcc_worker`)."""
    try:
        process = subprocess.Popen(
            [sys.executable, "-I", bcc_worker.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            env=environment,
        )
    except OSError as error:
        raise DatapathError(f"The compiler of {what} did not run: {error}") from error
    with process:
        try:
            text, said = _hear(process, json.dumps(job), what, meanwhile)
        except BaseException:
            process.kill()
            raise
    if process.returncode != 0:
        raise DatapathError(f"{what} does not compile", log=build_logs.clang_errors(said))
    answer: _Answer = json.loads(text)
    return answer


def _hear(
    process: subprocess.Popen[str], job: str, what: str, meanwhile: Callable[[], None]
) -> tuple[str, str]:
    """What the child says on either stream until it ends.

    Raises:
        DatapathError: it does nothing at all.
    """
    told: str | None = job
    used, alive = 0, time.monotonic()
    while True:
        try:
            return process.communicate(told, timeout=_LOOK)
        except subprocess.TimeoutExpired:
            told = None
        meanwhile()
        now = process_state(process.pid)
        if now is not None and (now.used != used or now.letter == "R"):
            used, alive = now.used, time.monotonic()
        elif time.monotonic() - alive > _SILENCE:
            raise DatapathError(
                f"The compiler of {what} has done nothing for {_SILENCE:.0f} s and was ended",
                hint="Look whether the disk with the kernel headers answers, and try again",
            )
