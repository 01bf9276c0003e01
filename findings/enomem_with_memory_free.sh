#!/usr/bin/env bash
# BPF_MAP_UPDATE_BATCH answers ENOMEM on a machine with gigabytes free, and the next call goes on.
#
# A map with BPF_F_NO_PREALLOC takes the memory of each entry when it comes. One would guess that
# ENOMEM then means what it means everywhere: memory, or the cgroup's limit, is used up. But the
# kernel hands entries out from a small store of each CPU (kernel/bpf/memalloc.c) that a worker of
# its own fills up again, and does not wait for it: whoever updates faster than that worker comes
# to run, is refused. Per-CPU hashes show it best, whose entries are allocated for every CPU. The
# call says in `count` how many it stored, and the same call for the rest, a millisecond later,
# succeeds. Without BPF_F_NO_PREALLOC, or on an idle machine, it is seldom seen or never.
#
# Seen with Linux 6.18 (x86_64, 2 CPUs, 8 busy processes beside): in 3 of 80 fills of 8,000 entries,
# and in 8 of 21 beside a test suite. Needs root and Python's own library; the machine is kept busy
# for up to two minutes.
set -euo pipefail

uname -srm

python3 - <<'PYTHON'
import ctypes
import errno
import os
import signal
import struct
import sys
import time

NR_BPF = {"x86_64": 321, "aarch64": 280}[os.uname().machine]
MAP_CREATE, UPDATE_BATCH = 0, 26
PERCPU_HASH, NO_PREALLOC = 5, 1
KEY, VALUE, COUNT = 40, 128, 8000
TRIES, SECONDS = 400, 120
libc = ctypes.CDLL(None, use_errno=True)


def bpf(command: int, attr: bytes) -> tuple[int, bytes]:
    """The answer, negative for an errno, and the attributes as the kernel left them."""
    held = ctypes.create_string_buffer(attr.ljust(144, b"\0"), 144)
    answer = libc.syscall(NR_BPF, command, held, 144)
    return (answer if answer >= 0 else -ctypes.get_errno()), held.raw


def possible_cpus() -> int:
    with open("/sys/devices/system/cpu/possible") as text:
        return int(text.read().strip().rpartition("-")[2]) + 1


def available() -> int:
    with open("/proc/meminfo") as text:
        return next(int(line.split()[1]) for line in text if line.startswith("MemAvailable")) // 1024


cpus = possible_cpus()
keys = ctypes.create_string_buffer(
    b"".join(struct.pack("<I", number).ljust(KEY, b"\0") for number in range(COUNT)), COUNT * KEY
)
values = ctypes.create_string_buffer(COUNT * VALUE * cpus)


def fill() -> tuple[int, int]:
    """Fill a new map; how often it was refused for lack of memory, and how many it took in all."""
    attr = struct.pack("<IIIII", PERCPU_HASH, KEY, VALUE, 8192, NO_PREALLOC)
    fd, _ = bpf(MAP_CREATE, attr)
    if fd < 0:
        sys.exit(f"no map: {os.strerror(-fd)}")
    stored = refused = 0
    try:
        while stored < COUNT:
            attr = struct.pack(
                "<QQQQIIQQ",
                0,
                0,
                ctypes.addressof(keys) + stored * KEY,
                ctypes.addressof(values) + stored * VALUE * cpus,
                COUNT - stored,
                fd,
                0,
                0,
            )
            answer, left = bpf(UPDATE_BATCH, attr)
            took = struct.unpack_from("<I", left, 32)[0]
            if answer == 0:
                stored = COUNT
            elif answer == -errno.ENOMEM:
                refused += 1
                stored += took
                time.sleep(0.001)
            else:
                sys.exit(f"another answer: {os.strerror(-answer)}")
            if refused > 5000:
                sys.exit("memory did not come: this machine really lacks it")
    finally:
        os.close(fd)
    return refused, stored


busy = []
for _ in range(4 * cpus):
    child = os.fork()
    if not child:
        while True:
            pass
    busy.append(child)
try:
    began, seen = time.monotonic(), []
    for tries in range(1, TRIES + 1):
        refused, stored = fill()
        if refused:
            seen.append(tries)
            print(f"fill {tries}: ENOMEM {refused} times, then all {stored} entries; "
                  f"{available():,} MiB of memory available")
        if len(seen) == 3 or time.monotonic() - began > SECONDS:
            break
finally:
    for child in busy:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
if not seen:
    sys.exit(f"none of {tries} fills was refused: this is not so any more")
print(f"{len(seen)} of {tries} fills were refused with ENOMEM, none for good")
PYTHON
