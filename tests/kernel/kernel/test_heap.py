from __future__ import annotations

import subprocess
import sys

GROWING = """
import resource, sys
from ctconsole.kernel.heap import keep_freed_memory
if sys.argv[1] == "kept":
    keep_freed_memory()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
# Each larger than the one before, for which glibc asks the kernel anew.
for size in range(1, 21):
    b"x" * (size << 20)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def page_faults(how: str) -> int:
    command = [sys.executable, "-c", GROWING, how]
    return int(subprocess.run(command, capture_output=True, check=True).stdout)


def test_freed_memory_is_used_again_instead_of_faulted_in_anew() -> None:
    every = sum(range(1, 21)) << 20
    assert page_faults("given back") > every // 4096 * 0.9
    assert page_faults("kept") < every // 4096 * 0.3
