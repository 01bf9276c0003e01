"""The child process that compiles: one JSON job on stdin, one JSON answer on stdout.

A process of its own keeps LLVM's memory, clang's messages (which bcc prints on stderr without
asking), bcc's exit handlers and Debian's module folder out of ours. It is run by its path, in
isolated mode, and so imports nothing of this package.

Job: ``bcc`` (the package's folder), ``source`` (C text), ``cflags``, ``tree`` (kernel headers).
Answer: ``programs``, each program's instructions as hexadecimal digits, and ``made_of``, the paths
of all headers that were read and of all libraries that ran; null where clang did not tell. Any
failure is exit code 1 and a text on stderr.
"""

from __future__ import annotations

import importlib.util
import json
import re
import sys
import tempfile
from pathlib import Path
from typing import Any


def import_bcc(folder: Path) -> Any:  # noqa: ANN401 - a Debian module without types
    """Import the package in ``folder`` as ``bcc`` without a search path that leads to it."""
    spec = importlib.util.spec_from_file_location(
        "bcc", folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    if spec is None or spec.loader is None:
        raise ImportError(f"{folder} is no Python package")
    module = importlib.util.module_from_spec(spec)
    sys.modules["bcc"] = module
    spec.loader.exec_module(module)
    return module


def headers(rule: str, tree: str) -> list[str] | None:
    """The files that a rule of make, as clang writes it, says a compilation has read.

    Args:
        rule: ``target: files``, with the file names escaped; bcc's own, which are nowhere on the
            disk, are below ``/virtual``.
        tree: what names are relative to.
    """
    _, colon, names = rule.replace("\\\n", " ").partition(":")
    found = [re.sub(r"\\(.)", r"\1", name) for name in re.findall(r"(?:\\.|\S)+", names)]
    paths = [str(Path(tree) / name) for name in found if not name.startswith("/virtual/")]
    return paths if colon else None


def libraries() -> list[str]:
    """The files whose code is mapped in this process."""
    lines = [line.split(maxsplit=5) for line in Path("/proc/self/maps").read_text().splitlines()]
    return sorted({line[5] for line in lines if "x" in line[1] and line[5:] and line[5][0] == "/"})


def main() -> int:
    """Compile the job on stdin; returns the exit code."""
    job = json.load(sys.stdin)
    bcc = import_bcc(Path(job["bcc"]))
    with tempfile.NamedTemporaryFile("r", encoding="utf-8") as rule:
        flags = [*job["cflags"], "-MD", "-MF", rule.name]
        module = bcc.BPF(text=job["source"].encode(), cflags=flags)
        read = headers(rule.read(), job["tree"])
    count = bcc.lib.bpf_num_functions(module.module)
    names = [bcc.lib.bpf_function_name(module.module, index) for index in range(count)]
    programs = {name.decode(): module.dump_func(name).hex() for name in names}
    made_of = None if read is None else [*read, *libraries()]
    json.dump({"programs": programs, "made_of": made_of}, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
