"""A bpffs that nobody else looks at."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ctconsole.kernel import pins

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ctconsole.kernel.gate import Gate


@contextmanager
def private_bpffs(gate: Gate) -> Iterator[Path]:
    """Mounted on a folder of its own; unmounted afterwards with everything pinned in it."""
    with tempfile.TemporaryDirectory(prefix="ctconsole-test-") as folder:
        root = Path(folder, "bpf")
        try:
            pins.mount_bpffs(gate, root)
            yield root
        finally:
            # A signal may have come before it was mounted.
            if root.is_mount():
                pins.unmount_bpffs(gate, root)
