"""What a file is packed with is told by its bytes; standard input is a file like any other."""

from __future__ import annotations

import gzip
import io
import lzma
import subprocess
import sys
import tarfile
import zipfile
from typing import TYPE_CHECKING

import pytest
import zstandard

from ctconsole.observe.offline import read_offline
from ctconsole.observe.packing import HEAD, Packing, packing_of
from tests.support.captures import printed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LISTING = printed("real-1.18-svc", "ct-list.txt")
ENTRIES = 5


def tarred(text: bytes) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as packed:
        entry = tarfile.TarInfo("what-the-node-said")
        entry.size = len(text)
        packed.addfile(entry, io.BytesIO(text))
    return stream.getvalue()


def zipped(text: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("what-the-node-said", text)
    return stream.getvalue()


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "as it is": lambda text: text,
    "gzip": gzip.compress,
    "xz": lzma.compress,
    "zstd": zstandard.compress,
    "tar": tarred,
    "zip": zipped,
    "tar.gz": lambda text: gzip.compress(tarred(text)),
    "tar.zst": lambda text: zstandard.compress(tarred(text)),
    "gzip in a zip": lambda text: zipped(gzip.compress(text)),
    "zip in a tar": lambda text: tarred(zipped(text)),
    "UTF-16": lambda text: text.decode().replace("\n", "\r\n").encode("utf-16"),
    "UTF-16 without a mark": lambda text: text.decode().encode("utf-16-be"),
    "UTF-8 with a mark": lambda text: text.decode().encode("utf-8-sig"),
    "colours": lambda text: text.replace(b"TCP", b"\x1b[01;31m\x1b[KTCP\x1b[m\x1b[K"),
}


@pytest.mark.parametrize("packer", PACKERS)
def test_no_name_is_needed(packer: str, tmp_path: Path) -> None:
    path = tmp_path / "from-the-chat"
    path.write_bytes(PACKERS[packer](LISTING))
    offline = read_offline([path])
    assert sum(len(one.keys) for one in offline.maps) == ENTRIES
    assert offline.problems == ()


@pytest.mark.parametrize("packer", PACKERS)
def test_standard_input_is_a_file(packer: str) -> None:
    command = [sys.executable, "-m", "ctconsole", "ct", "list", "--from-dump", "-", "-o", "ndjson"]
    packed = PACKERS[packer](LISTING)
    # With names the files are read twice.
    done = subprocess.run([*command, "--names"], input=packed, capture_output=True, check=False)
    assert (done.returncode, len(done.stdout.splitlines())) == (0, ENTRIES), done.stderr


def test_a_terminal_is_no_file() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ctconsole", "map", "list", "--from-dump", "-"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "standard input holds nothing that is known: it is empty" in done.stderr


@pytest.mark.parametrize("cut", [10, 40, 200])
@pytest.mark.parametrize("packer", ["gzip", "xz", "zstd"])
def test_a_packed_file_that_is_cut_is_told(packer: str, cut: int, tmp_path: Path) -> None:
    path = tmp_path / "cut"
    path.write_bytes(PACKERS[packer](LISTING)[:-cut])
    offline = read_offline([path])
    assert any("cut" in text and "damaged" in text for text in offline.problems)


def test_a_tar_of_before_posix_is_told_by_its_checksum() -> None:
    old = bytearray(tarred(b"x"))
    old[257:265] = bytes(8)
    header = old[:HEAD]
    header[148:156] = b" " * 8
    old[148:156] = b"%06o\0 " % sum(header)
    assert packing_of(bytes(old[:HEAD])) is Packing.TAR
    assert packing_of(b"TCP IN " * 80) is None
