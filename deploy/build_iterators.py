"""Compiles the CO-RE iterators (``bpf/*.bpf.c``) with clang into ``build/iterators``.

Runs as hatch's build hook, which also packs the objects into a wheel, with the manual page and what
completes verbs in a shell, and as a script. Objects that are newer than their sources are kept.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
except ModuleNotFoundError:  # a plain script run needs no build backend
    BuildHookInterface = object  # type: ignore[assignment,misc]  # a stand-in

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ROOT / "bpf"
OBJECTS = ROOT / "build" / "iterators"

FLAGS = (
    "-target",
    "bpf",
    "-mcpu=v3",
    "-O2",
    "-g",
    "-Wall",
    "-Wextra",
    "-Wno-unused-parameter",
    "-Werror",
)
"""``-g`` makes the BTF that libbpf relocates by."""


class CustomBuildHook(BuildHookInterface):  # type: ignore[type-arg]  # object, which takes none, in a script run
    """Compile before hatch packs."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile; also pack, unless the wheel is an editable one, which reads the checkout."""
        build()
        if self.target_name == "wheel" and version == "standard":
            build_data["force_include"][str(OBJECTS)] = "ctconsole/_data/iterators"
            build_data["shared_data"].update(_shell_files())


def _shell_files() -> dict[str, str]:
    """The manual page and what completes verbs, each with its place below a prefix."""
    sys.path.insert(0, str(ROOT))
    from deploy.shell_files import write

    return write(ROOT / "build" / "shell")


def build() -> list[Path]:
    """Compile what is out of date.

    Returns:
        The objects that were compiled.

    Raises:
        SystemExit: clang is missing or refuses a source.
    """
    OBJECTS.mkdir(parents=True, exist_ok=True)
    headers = [*SOURCES.glob("*.h"), Path(__file__)]
    compiled = []
    for source in sorted(SOURCES.glob("*.bpf.c")):
        target = OBJECTS / f"{source.name.removesuffix('.c')}.o"
        newest = max(path.stat().st_mtime for path in (source, *headers) if path.exists())
        if not target.exists() or target.stat().st_mtime < newest:
            _compile(source, target)
            compiled.append(target)
    return compiled


def _compile(source: Path, target: Path) -> None:
    clang = shutil.which("clang")
    if clang is None:
        sys.exit("The map iterators need clang to be compiled. apt install clang libbpf-dev")
    pending = target.with_suffix(".pending")
    command = [clang, *FLAGS, *_system_headers(), "-c", str(source), "-o", str(pending)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        pending.unlink(missing_ok=True)
        sys.exit(f"clang refuses {source.name}:\n{result.stderr}")
    pending.replace(target)


def _system_headers() -> list[str]:
    """Debian keeps asm/types.h under the architecture's name, which ``-target bpf`` forgets."""
    folder = sysconfig.get_config_var("MULTIARCH")
    return [f"-I/usr/include/{folder}"] if folder else []


def main() -> None:
    """Compile, and say what was done."""
    compiled = build()
    for target in compiled:
        print(f"compiled {target.relative_to(ROOT)}")
    if not compiled:
        print(f"{OBJECTS.relative_to(ROOT)} is up to date")


if __name__ == "__main__":
    main()
