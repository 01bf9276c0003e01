"""The child process that compiles: one JSON job on stdin, one JSON answer on stdout.

A process of its own keeps LLVM's memory, clang's messages (which bcc prints on stderr without
asking), bcc's exit handlers and Debian's module folder out of ours. It is run by its path, in
isolated mode, and so imports nothing of this package.

Job: ``bcc`` (the package's folder), ``source`` (C text), ``cflags``. Answer: ``programs``, each
program's instructions as hexadecimal digits. Any failure is exit code 1 and a text on stderr.
"""

from __future__ import annotations

import importlib.util
import json
import sys
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


def main() -> int:
    """Compile the job on stdin; returns the exit code."""
    job = json.load(sys.stdin)
    bcc = import_bcc(Path(job["bcc"]))
    module = bcc.BPF(text=job["source"].encode(), cflags=job["cflags"])
    count = bcc.lib.bpf_num_functions(module.module)
    names = [bcc.lib.bpf_function_name(module.module, index) for index in range(count)]
    programs = {name.decode(): module.dump_func(name).hex() for name in names}
    json.dump({"programs": programs}, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
