"""What is broken off, and what is done twice at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from ctconsole.agent import control
from ctconsole.agent.state import StateDir
from ctconsole.lab import folders, lifecycle, look
from ctconsole.paths import run_dir
from tests.crash.node import WAIT, quietly_down, remains_of, run
from tests.support.terminals import console, read

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from tests.crash.node import Node

    Verb: TypeAlias = Callable[[Node, random.Random], tuple[str, ...]]

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT)

TRAFFIC = ("--connections", "20", "--rate", "20", "--duration", "5")
"""What runs through the lab while a resize is killed: few enough for the smallest table."""


@dataclass
class Tried:
    """One try.

    Attributes:
        what: the deed, the signal and the moment.
        faults: what was not as it must be.
    """

    what: str
    faults: list[str] = field(default_factory=list)


class Begun:
    """A command that was started; its output goes to a file, so that it never waits for us."""

    def __init__(self, argv: tuple[str, ...]) -> None:
        self._said = tempfile.NamedTemporaryFile()  # noqa: SIM115 - closed by `end`
        self.process = subprocess.Popen(
            [sys.executable, "-m", "ctconsole", *argv],
            stdin=subprocess.DEVNULL,
            stdout=self._said,
            stderr=self._said,
        )

    def says(self, text: bytes) -> bool:
        """Wait until it has said this; whether it has, before its end."""
        end = time.monotonic() + WAIT
        while text not in Path(self._said.name).read_bytes():
            if self.process.poll() is not None or time.monotonic() > end:
                return False
            time.sleep(0.02)
        return True

    def end(self) -> list[str]:
        """Wait for it; that it hangs or fails in a traceback is a fault."""
        faults = []
        try:
            self.process.wait(WAIT)
        except subprocess.TimeoutExpired:
            faults.append(f"hangs: {self.process.args!r}")
            self.process.kill()
            self.process.wait()
        with self._said:
            self._said.seek(0)
            text = self._said.read().decode("utf-8", "replace")
        # Python's own start, before a line of ours runs, can be interrupted as well.
        if "Traceback" in text and f"{os.sep}ctconsole{os.sep}" in text:
            faults.append(f"traceback: {text[-600:]}")
        return faults


def restart(node: Node, random: random.Random) -> tuple[str, ...]:
    """The agent's restart with the sizes that its options say."""
    del random
    # Tables that another try gave a size of their own are made anew.
    return ("agent", "restart", "--yes", *node.flags)


def recreate(node: Node, random: random.Random) -> tuple[str, ...]:
    """The TCP table in another size."""
    where = ("--bpf-root", str(node.lab.bpf_root))
    return ("map", "recreate", look.TCP_MAP, "--entries", other_size(node, random), "--yes", *where)


def resize(node: Node, random: random.Random) -> tuple[str, ...]:
    """The TCP table in another size, with everything in it."""
    where = ("--bpf-root", str(node.lab.bpf_root), *node.flags)
    return ("map", "resize", look.TCP_MAP, other_size(node, random), "--yes", *where)


def undo(node: Node, random: random.Random) -> tuple[str, ...]:
    """The size before the last resize."""
    del random
    where = ("--bpf-root", str(node.lab.bpf_root), *node.flags)
    return ("map", "resize", look.TCP_MAP, "--undo", "--yes", *where)


def other_size(node: Node, random: random.Random) -> str:
    """A capacity that the TCP table does not have."""
    now = look.map_info(node.lab, look.TCP_MAP).max_entries
    return str(random.choice([size for size in (2048, 4096, 8192) if size != now]))


def flush(node: Node, random: random.Random) -> tuple[str, ...]:
    """Every entry of the TCP table."""
    del random
    return ("ct", "flush", look.TCP_MAP, "--yes", "--bpf-root", str(node.lab.bpf_root))


VERBS: dict[str, Verb] = {
    "restart": restart,
    "recreate": recreate,
    "flush": flush,
    "resize": resize,
}

LOSSLESS = {"restart", "resize"}
"""Verbs after which every entry is there."""

SPANS = {
    "restart": 4.0,
    "recreate": 3.0,
    "flush": 1.5,
    "resize": 4.0,
    "guard": 3.0,
    "up": 5.0,
    "demo": 9.0,
    "console": 4.0,
}
"""Seconds within which a deed is broken off; on a quiet machine it is done by then."""


def broken_off(node: Node, random: random.Random, verb: str) -> Tried:
    """A verb on the node that gets a signal; one in four times its agent gets it as well."""
    number, delay = random.choice(SIGNALS), random.uniform(0.05, SPANS[verb])
    agent_too = random.random() < 0.25
    what = f"{verb}, {number.name} after {delay:.2f} s{', the agent too' if agent_too else ''}"
    begun = Begun(VERBS[verb](node, random))
    time.sleep(delay)
    pid = StateDir(node.lab.state_dir).running_pid() if agent_too else None
    with suppress(ProcessLookupError):
        begun.process.send_signal(number)
    if pid:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return Tried(what, [*begun.end(), *node.faults()])


def cut_resize(node: Node, random: random.Random) -> Tried:
    """A resize that is broken off."""
    return _cut(node, random, resize)


def cut_undo(node: Node, random: random.Random) -> Tried:
    """A resize, and its undo that is broken off."""
    done = run(*resize(node, random))
    if done.returncode:
        return Tried("undo", [f"resize: before an undo: {done.stderr.strip()[-300:]}"])
    return _cut(node, random, undo)


def _cut(node: Node, random: random.Random, verb: Verb) -> Tried:
    """What may lose nothing, broken off; the agent's restart or the next resize ends it."""
    number, delay = random.choice(SIGNALS), random.uniform(0.05, SPANS["resize"])
    after = random.choice([restart, resize])
    before = flows_of(node)
    traffic = Begun(("lab", "traffic", "--lab", node.lab.name, *TRAFFIC))
    begun = Begun(verb(node, random))
    time.sleep(delay)
    begun.process.send_signal(number)
    found = begun.end()
    done = run(*after(node, random))
    if done.returncode:
        found.append(f"{after.__name__}: after a cut {verb.__name__}: {done.stderr.strip()[-300:]}")
    found += _lost(node, before)
    found += traffic.end()
    what = f"{verb.__name__}, {number.name} after {delay:.2f} s, then {after.__name__}"
    return Tried(what, [*found, *node.faults()])


def guarded(node: Node, random: random.Random) -> Tried:
    """A guard whose node's table is re-created; it carries all over, or is broken off itself."""
    number, delay = random.choice([None, *SIGNALS]), random.uniform(0, SPANS["guard"])
    where = ("--bpf-root", str(node.lab.bpf_root), "--allow-writes")
    guard = Begun(("guard", *where))
    found = [] if guard.says(b"Guarding") else ["guard: does not say that it guards"]
    before = flows_of(node)
    begun = Begun(recreate(node, random))
    if number:
        time.sleep(delay)
        guard.process.send_signal(number)
        what = f"guard, {number.name} after {delay:.2f} s"
    found += begun.end()
    if not number:
        what = "guard to its end"
        # It carries over what is there once whoever re-creates the table has ended.
        look.until(lambda: not _lost(node, before))
        found += _lost(node, before)
        guard.process.send_signal(signal.SIGINT)
    found += guard.end()
    return Tried(what, [*found, *node.faults()])


def _lost(node: Node, before: set[str]) -> list[str]:
    """A fault for each connection whose entry was there and is not."""
    return [f"entry: {flow} is gone" for flow in sorted(before - flows_of(node))]


def flows_of(node: Node) -> set[str]:
    """The node's open connections that have an entry in the TCP table."""
    table = look.table(node.lab)
    flows = (look.Flow.of(client) for client in node.clients)
    return {str(flow) for flow in flows if len(look.entries_in(table, flow))}


def two_at_once(node: Node, random: random.Random) -> Tried:
    """Two verbs on the node at the same time."""
    verbs = random.choice(list(VERBS)), random.choice(list(VERBS))
    before = flows_of(node)
    both = []
    for verb in verbs:
        both.append(Begun(VERBS[verb](node, random)))
        time.sleep(random.choice([0.0, random.uniform(0, 0.5)]))
    ends = [fault for begun in both for fault in begun.end()]
    if LOSSLESS.issuperset(verbs):
        ends += _lost(node, before)
    return Tried(f"{verbs[0]} and {verbs[1]} at once", [*ends, *node.faults()])


def lab_up(node: Node, random: random.Random) -> Tried:
    """A lab that is being built, and is taken down by its name afterwards."""
    name = f"{node.lab.name}-u"
    number, delay = random.choice(SIGNALS), random.uniform(0.05, SPANS["up"])
    begun = Begun(("lab", "up", name))
    time.sleep(delay)
    begun.process.send_signal(number)
    ends = begun.end()
    time.sleep(random.choice([0.0, random.uniform(0, 1)]))
    complaint = quietly_down(name)
    if complaint and "nothing to do" not in complaint and "Taking lab" not in complaint:
        ends.append(f"lab down: {complaint[-300:]}")
    lifecycle.clean_dead()
    return Tried(f"lab up, {number.name} after {delay:.2f} s", ends + remains_of(name, run_dir()))


def two_labs(node: Node, random: random.Random) -> Tried:
    """Two builders of one lab: one of them gets it, and nothing is left of the other."""
    del random
    name = f"{node.lab.name}-t"
    both = [Begun(("lab", "up", name, "--server", "none")) for _ in range(2)]
    ends = [fault for begun in both for fault in begun.end()]
    if sorted(begun.process.returncode for begun in both) != [0, 1]:
        ends.append(f"lab up: exit codes {[begun.process.returncode for begun in both]}")
    elif not control.status(folders.find(name).settings).ready:
        ends.append("lab up: the one lab is not ready")
    quietly_down(name)
    return Tried("two lab up at once", ends + remains_of(name, run_dir()))


def demo(node: Node, random: random.Random) -> Tried:
    """The demo in a terminal of its own."""
    del node
    number, delay = random.choice(SIGNALS), random.uniform(0.05, SPANS["demo"])
    with console("lab", "demo", "--connections", "20") as (process, ours):
        ends = _interrupted(process, ours, number, delay)
    lifecycle.clean_dead()
    return Tried(
        f"lab demo, {number.name} after {delay:.2f} s", ends + remains_of("demo", run_dir())
    )


def screen(node: Node, random: random.Random) -> Tried:
    """The console on the node, in any of its views."""
    number, delay = random.choice(SIGNALS), random.uniform(0.05, SPANS["console"])
    flags = ("--bpf-root", str(node.lab.bpf_root), *node.flags, "--interval", "0.2")
    with console("console", *flags) as (process, ours):
        os.write(ours, random.choice("12345").encode())
        ends = _interrupted(process, ours, number, delay)
    return Tried(f"console, {number.name} after {delay:.2f} s", [*ends, *node.faults()])


def _interrupted(
    process: subprocess.Popen[bytes], ours: int, number: signal.Signals, delay: float
) -> list[str]:
    """Send a signal to what runs in a terminal, and have it read until it ends."""
    shown = b""
    due = time.monotonic() + delay
    while time.monotonic() < due:
        shown += read(ours)
        time.sleep(0.02)
    process.send_signal(number)
    end = time.monotonic() + WAIT
    while process.poll() is None and time.monotonic() < end:
        shown += read(ours)
        time.sleep(0.02)
    faults = [] if process.poll() is not None else [f"hangs after {number.name}"]
    if b"Traceback" in shown:
        faults.append(f"traceback: {shown[-600:]!r}")
    return faults


DEEDS: dict[str, Callable[[Node, random.Random], Tried]] = {
    "restart": lambda node, random: broken_off(node, random, "restart"),
    "recreate": lambda node, random: broken_off(node, random, "recreate"),
    "flush": lambda node, random: broken_off(node, random, "flush"),
    "resize": cut_resize,
    "undo": cut_undo,
    "guard": guarded,
    "pairs": two_at_once,
    "up": lab_up,
    "labs": two_labs,
    "demo": demo,
    "console": screen,
}
