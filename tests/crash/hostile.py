"""Names, answers, logs and archives as somebody would make them who means no good; all harmless."""

from __future__ import annotations

import io
import os
import re
import socket
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
import zipfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from ctconsole.agent import wire
from ctconsole.errors import CtconsoleError
from ctconsole.kernel import mapwrite, pins
from ctconsole.kernel.gate import Gate
from ctconsole.model.spec import MapSpec, MapType
from tests.crash.deeds import Tried
from tests.support.mounts import private_bpffs
from tests.support.terminals import console, read

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterator

    from tests.crash.node import Node

BELL = "\x1b]0;owned\x07"
SECONDS = 120.0
RAW = re.compile(rb"\x1b\]|\x07|\xc2\x9b")
"""What no listing sends to a terminal by itself."""


def shown(*argv: str) -> list[str]:
    """Run a verb in a terminal; what is wrong with what it shows or how it ends."""
    with console(*argv) as (process, ours):
        screen = b""
        end = time.monotonic() + SECONDS
        while process.poll() is None and time.monotonic() < end:
            screen += read(ours)
            time.sleep(0.01)
        code = process.poll()
        screen += read(ours)
    words = " ".join(argv[:2])
    faults = [] if code is not None else [f"hangs: {words}"]
    if b"Traceback" in screen:
        faults.append(f"traceback: {words}: {screen[-400:]!r}")
    if RAW.search(screen):
        faults.append(f"raw: {words} sends control characters to the terminal")
    return faults


def names(node: Node, random: random.Random) -> Tried:
    """Pins whose names are escapes, line breaks and very long."""
    del node, random
    gate = Gate.open()
    faults = []
    with private_bpffs(gate) as root:
        with mapwrite.create(gate, MapSpec("x", MapType.LRU_HASH, 14, 56, 64)) as live:
            for name in (f"cilium_ct4_{BELL}", "cilium_ct4_a\nb", "c" * 250, "cilium_\x9b31m"):
                pins.pin(gate, live, root / "tc" / "globals" / name)
            pins.pin(gate, live, root / "tc" / "globals" / "cilium_ct4_global")
        (root / "tc" / "globals" / "loop").symlink_to("loop")
        for verb in (("map", "list"), ("map", "users"), ("ct", "list"), ("ct", "stats")):
            faults += shown(*verb, "--bpf-root", str(root))
    return Tried("hostile pin names", faults)


ANSWERS = [
    *(b"", b"\n", b"[]\n", b"3\n", b"null\n", b'"x"\n', b'{"ok":true}\n', b"{\n", b"\xff\xfe\n"),
    *(
        b'{"ok":true,"endpoints":[]}\n',
        b'{"ok":true,"endpoints":{"a":1}}\n',
        b"[" * 100_000 + b"\n",
    ),
    *(b'{"ok":false}\n', b'{"ok":false,"error":[1]}\n', b'{"ok":true,"ready":"no","pid":"x"}\n'),
]


def answers(node: Node, random: random.Random) -> Tried:
    """An agent's socket that answers nonsense: every failure is one of our own sentences."""
    del node
    raw = random.choice(ANSWERS)
    faults = []
    with tempfile.TemporaryDirectory(prefix="ctt-") as folder:
        path = Path(folder, "agent.sock")
        with answering(path, raw):
            for verb in ("status", "regenerate"):
                try:
                    wire.request(path, verb, timeout=3)
                except CtconsoleError:
                    pass
                except Exception as error:  # noqa: BLE001 - just this is looked for
                    faults.append(f"traceback: {verb} answered {raw[:40]!r}: {error!r}")
    return Tried(f"an answer of {raw[:30]!r}", faults)


@contextmanager
def answering(path: Path, raw: bytes) -> Iterator[None]:
    """A socket that sends these bytes to everybody and hangs up."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        listener.settimeout(0.05)
        ended = threading.Event()

        def serve() -> None:
            while not ended.is_set():
                with suppress(OSError):
                    client, _ = listener.accept()
                    with client:
                        client.recv(65536)
                        client.sendall(raw)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()


def logs(node: Node, random: random.Random) -> Tried:
    """A log with escapes, endless lines, no text at all."""
    lines = [
        f'level=info msg="{BELL}"\n'.encode(),
        os.urandom(4096),
        b"x" * 3_000_000,
        b"\0" * 9999,
    ]
    with tempfile.NamedTemporaryFile(prefix="ctt-", suffix=".log") as file:
        random.shuffle(lines)
        file.write(b"".join(lines))
        file.flush()
        argv = ("watch", "--log", file.name, "--for", "1", "--bpf-root", str(node.lab.bpf_root))
        with tempfile.TemporaryDirectory(prefix="ctt-") as folder:
            return Tried("a hostile log", shown(*argv, "--history", f"{folder}/history.db"))


def archives(node: Node, random: random.Random) -> Tried:
    """Archives with climbing, huge, escaping names, in archives, cut off anywhere."""
    del node
    inner = b"[]"
    for _ in range(random.randrange(6)):
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as made:
            made.writestr("inner.zip", inner)
        inner = packed.getvalue()
    climbing = [
        "../../../../etc/ctt-x",
        "/etc/ctt-x",
        f"bpftool/{BELL}cilium_ct4_global.json",
        "a\nb",
    ]
    with tempfile.TemporaryDirectory(prefix="ctt-") as folder:
        path = Path(folder, "x.tar")
        with tarfile.open(path, "w:gz") as tar:
            for name in (*climbing, "inner.zip", "zeros"):
                data = bytes(5_000_000) if name == "zeros" else inner
                entry = tarfile.TarInfo(name)
                entry.size = len(data)
                tar.addfile(entry, io.BytesIO(data))
        raw = path.read_bytes()
        path.write_bytes(raw[: random.choice([len(raw), random.randrange(1, len(raw))])])
        faults = [*shown("map", "list", "--from-dump", str(path))]
        faults += shown("ct", "list", "--from-dump", str(path))
        faults += [f"file: {one}" for one in Path("/etc").glob("ctt-*")]
    return Tried("a hostile archive", faults)


def streams(node: Node, random: random.Random) -> Tried:
    """A full disk and closed streams where the output goes."""
    verb = random.choice(["map list", "ct list", "ct stats", "node"])
    where = random.choice(["> /dev/full", ">&-", "2>&-", "<&-"])
    line = f"{sys.executable} -m ctconsole {verb} --bpf-root {node.lab.bpf_root} {where}"
    try:
        done = subprocess.run(
            ["sh", "-c", line], capture_output=True, text=True, check=False, timeout=SECONDS
        )
    except subprocess.TimeoutExpired:
        return Tried(f"{verb} {where}", [f"hangs: {verb} {where}"])
    said = done.stdout + done.stderr
    faults = [f"traceback: {verb} {where}: {said[-400:]}"] if "Traceback" in said else []
    return Tried(f"{verb} {where}", faults)


DEEDS: dict[str, Callable[[Node, random.Random], Tried]] = {
    "names": names,
    "answers": answers,
    "logs": logs,
    "archives": archives,
    "streams": streams,
}
