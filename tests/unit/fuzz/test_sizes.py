"""Inputs that are small as files and huge inside: read in a child that tells what it took."""

from __future__ import annotations

import gzip
import io
import json
import lzma
import subprocess
import sys
import tarfile
import zipfile
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MOST_RESIDENT = 300 << 20
LARGEST_FILE = 3 << 20
MIB = 1 << 20
READ = """
import json, re, sys
from pathlib import Path
from ctconsole.observe.offline import read_offline
found = read_offline([Path(sys.argv[1])])
# Of this program alone: getrusage() counts what the process was before it became this one.
peak = int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) << 10
told = [*found.problems, *(one.problem for one in found.maps if one.problem)]
print(json.dumps([peak, told]))
"""


def repeated(unit: bytes, size: int, head: bytes = b"") -> Callable[[], bytes]:
    return lambda: head + unit * (size // len(unit))


def zipped(path: Path, name: str, text: Callable[[], bytes], times: int = 1) -> Path:
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed,
        packed.open(name, "w", force_zip64=True) as member,
    ):
        for _ in range(times):
            member.write(text())
    return path


ENTRY = b'{"key":["0x00"],"value":["0x00"]},'
LINE = b"TCP IN 1.1.1.1:1 -> 1.1.1.1:1 expires=1"
CPU = b'{"cpu":0,"value":["0x00"]},'
NAT = b"TCP OUT 1.1.1.1:1 -> 1.1.1.1:1 XLATE_SRC 1.1.1.1:1 Created=1sec NeedsCT=0\n"
OBJECT = b'{"Key":{"DestAddr":[1,1,1,1],"SourceAddr":[1,1,1,1]},"Value":{"Lifetime":1}},'
COLUMNS = b"map,protocol,direction,related,source,source_port,destination\n"
YAML = b"- Key:\n    DestAddr: x\n  Value:\n    Lifetime: 1\n"
AUTH = b"  Auth" + 30 * b" " + b"1\n"
CASES = {
    "rows of a list": ("nat", repeated(NAT, 2 * MIB), 10),
    "objects": ("entries", repeated(OBJECT, 2 * MIB, b"["), 5),
    "one object": ("entries", repeated(b"1,", 10 * MIB, OBJECT + b'{"x":['), 6),
    "rows of CSV": ("entries", repeated(b"a,b\n", 2 * MIB, COLUMNS), 1),
    "YAML": ("entries", repeated(b"- - - x\n", 2 * MIB, YAML), 1),
    "a status": ("status", repeated(AUTH, 10 * MIB, b"BPF Maps:  x\n"), 2),
    "blanks in an answer": ("cilium-debuginfo-x.json", repeated(b" ", 10 * MIB), 70),
    "empty objects": ("cilium-debuginfo-x.json", repeated(b"{},", 10 * MIB, b"["), 6),
    "deep lists": ("cilium-debuginfo-x.json", repeated(b"[", 10 * MIB), 6),
    "a list of maps": ("bpftool-map-show.json", repeated(b"{},", 10 * MIB, b"["), 20),
    "blanks in a dump": ("cilium_ct4_global.json", repeated(b" ", 10 * MIB), 70),
    "one line": ("cilium_ct4_global.json", repeated(b"x", 10 * MIB), 70),
    "small entries": ("cilium_ct4_global.json", repeated(ENTRY, 10 * MIB, b"["), 30),
    "damage": ("cilium_ct4_global.json", repeated(ENTRY + b"x,", 2 * MIB, b"["), 1),
    "uneven": ("cilium_ct4_global.json", repeated(ENTRY + b" " + ENTRY, 2 * MIB, b"["), 1),
    "per CPU": ("cilium_metrics.json", repeated(CPU, 8 * MIB, b'[{"key":["0x00"],"values":['), 6),
    "lines": ("cmd/ct-list.txt", repeated(b"x\n", 2 * MIB, LINE + b"\n"), 3),
    "an endless line": ("cmd/ct-list.txt", repeated(b"x", 10 * MIB, LINE), 20),
}
SOUND = {"a list of maps", "uneven"}
"""Odd, but nothing in them is lost."""


def read(path: Path) -> tuple[int, list[str]]:
    """Peak of resident bytes, and the problems that were told."""
    assert path.stat().st_size <= LARGEST_FILE
    done = subprocess.run(
        [sys.executable, "-c", READ, str(path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    peak, problems = json.loads(done.stdout)
    return peak, problems


@pytest.mark.parametrize("case", CASES)
def test_a_member_that_is_huge(case: str, tmp_path: Path) -> None:
    name, text, times = CASES[case]
    peak, problems = read(zipped(tmp_path / "x.zip", f"node/{name}", text, times))
    assert peak < MOST_RESIDENT
    assert problems or case in SOUND


def test_a_zip_in_a_zip(tmp_path: Path) -> None:
    inner = zipped(tmp_path / "inner.zip", "cilium-debuginfo-x.json", lambda: bytes(10 * MIB), 70)
    peak, problems = read(zipped(tmp_path / "x.zip", "inner.zip", inner.read_bytes))
    assert peak < MOST_RESIDENT
    assert problems


@pytest.mark.parametrize("kind", ["members", "long name", "blanks"])
@pytest.mark.parametrize("packer", [gzip.compress, lzma.compress], ids=["gz", "xz"])
def test_a_tar(kind: str, packer: Callable[[bytes], bytes], tmp_path: Path) -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.GNU_FORMAT) as packed:
        if kind == "members":
            for number in range(60_000):
                packed.addfile(tarfile.TarInfo(f"{number}/x"))
        elif kind == "long name":
            packed.addfile(tarfile.TarInfo("x" * (60 * MIB)))
        else:
            entry = tarfile.TarInfo("cilium_ct4_global.json")
            entry.size = 100 * MIB
            packed.addfile(entry, io.BytesIO(bytes(entry.size)))
    path = tmp_path / ("x.tar.gz" if packer is gzip.compress else "x.tar.xz")
    path.write_bytes(packer(stream.getvalue()))
    peak, problems = read(path)
    assert peak < MOST_RESIDENT
    assert len(problems) == 1
