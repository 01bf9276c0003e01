"""bcc compiles the C sources of this node at run time; it is asked for nothing else.

bcc is Debian's package python3-bpfcc, not the ``bcc`` of PyPI, which is unrelated. It runs in a
child process (`bcc_worker`), so ours has neither Debian's module folder on its search path nor
LLVM in its memory, and clang's messages are captured instead of printed. Loading is left to
`ctconsole.kernel.programs`: bcc compiles only once per configuration then, its own loader
would compile, and create maps, for every endpoint, and prints the verifier's log on stderr.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import lru_cache
from hashlib import sha256
from types import MappingProxyType
from typing import TYPE_CHECKING

from ctconsole.datapath import bcc_worker, build_logs
from ctconsole.datapath.code import Program
from ctconsole.datapath.headers import REMEDY, kernel_tree
from ctconsole.errors import DatapathError, MissingFeatureError
from ctconsole.paths import DEBIAN_BCC

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_TIMEOUT = 120.0


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


def compile_source(source: Path, defines: Mapping[str, int]) -> Mapping[str, Program]:
    """Compile a file of ``bpf/`` into its programs by name.

    The same text with the same defines is compiled once in a process's life. Needs no
    privileges.

    Args:
        source: a C file; its folder is its include path.
        defines: preprocessor constants.

    Raises:
        MissingFeatureError: bcc or kernel headers are not installed.
        DatapathError: the source does not compile; carries clang's errors.
    """
    return _compile(source, tuple(sorted(defines.items())), _digest(source.parent))


def _digest(folder: Path) -> str:
    """Changes whenever any source or header of ``folder`` does."""
    total = sha256()
    for path in sorted((*folder.glob("*.h"), *folder.glob("*.c"))):
        total.update(path.name.encode() + b"\0" + path.read_bytes())
    return total.hexdigest()


@lru_cache(maxsize=16)
def _compile(
    source: Path, defines: tuple[tuple[str, int], ...], _state: str
) -> Mapping[str, Program]:
    job: dict[str, str | list[str]] = {
        "bcc": str(find_bcc()),
        "source": source.read_text(encoding="utf-8"),
        "cflags": [f"-I{source.parent}", *(f"-D{name}={value}" for name, value in defines)],
    }
    answer = _run(job, source.name)
    return MappingProxyType(
        {name: Program(name, bytes.fromhex(code)) for name, code in answer["programs"].items()}
    )


def _run(job: Mapping[str, str | list[str]], what: str) -> dict[str, dict[str, str]]:
    """Hand a job to the child and return its answer (see `bcc_worker`)."""
    environment = {**os.environ, "BCC_KERNEL_SOURCE": str(kernel_tree())}
    try:
        done = subprocess.run(
            [sys.executable, "-I", bcc_worker.__file__],
            input=json.dumps(job),
            capture_output=True,
            text=True,
            errors="replace",
            env=environment,
            timeout=_TIMEOUT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise DatapathError(f"The compiler of {what} did not run: {error}") from error
    if done.returncode != 0:
        raise DatapathError(f"{what} does not compile", log=build_logs.clang_errors(done.stderr))
    answer: dict[str, dict[str, str]] = json.loads(done.stdout)
    return answer
