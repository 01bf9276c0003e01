"""What each room may import when it is imported, in fresh interpreters.

The arrows between our own rooms are import-linter's; this is what is really loaded, with all that
comes along, and so what a start costs and what a machine must have.
"""

from __future__ import annotations

import pkgutil
import subprocess
import sys

import pytest

import ctconsole

SCREEN = {"textual", "rich"}
KERNEL = {"pyroute2", "bcc", "psutil"}
STORES = {"sqlite3", "structlog", "watchfiles"}
CLUSTER = {"kubernetes", "urllib3", "websocket", "yaml"}
EVERYTHING = {"numpy", *SCREEN, *KERNEL, *STORES, *CLUSTER}

MAY_NOT: dict[str, set[str]] = {
    "ctconsole.__main__": {*EVERYTHING, "click"},
    "ctconsole.errors": {*EVERYTHING, "click"},
    "ctconsole.paths": {*EVERYTHING, "click"},
    "ctconsole.private": {*EVERYTHING, "click"},
    "ctconsole.privileges": {*EVERYTHING, "click"},
    "ctconsole.handles": {*EVERYTHING, "click"},
    "ctconsole.config": {*EVERYTHING, "click"},
    "ctconsole.filterbook": {*EVERYTHING, "click"},
    "ctconsole.keytable": {*EVERYTHING, "click"},
    "ctconsole.happening": {*EVERYTHING, "click"},
    "ctconsole.loops": {*EVERYTHING, "click"},
    "ctconsole.settings": {*EVERYTHING, "click"},
    "ctconsole.web": {*EVERYTHING, "click"},
    "ctconsole.tlsfiles": {*EVERYTHING, "click"},
    "ctconsole.yamlfile": {*EVERYTHING, "click"},
    "ctconsole.recorder": {*EVERYTHING, "click"},
    "ctconsole.history": {*SCREEN, *KERNEL, "structlog", "watchfiles", "numpy", "click"},
    "ctconsole.model": {*SCREEN, *KERNEL, *STORES, "click", "socket", "subprocess"},
    "ctconsole.kernel": {*SCREEN, *STORES, "bcc", "psutil", "click"},
    "ctconsole.manager": {*SCREEN, *STORES, "bcc", "click"},
    "ctconsole.datapath": {*SCREEN, *STORES, "bcc", "click"},
    "ctconsole.observe": {*SCREEN, "bcc", "structlog", "click"},
    "ctconsole.agent": {"textual", "bcc", "watchfiles", "click"},  # structlog loads rich
    "ctconsole.node": {*SCREEN, "bcc", "structlog", "watchfiles", "click"},
    "ctconsole.exporter": {*SCREEN, "bcc", "structlog", "watchfiles", "click"},
    "ctconsole.fleet": {*EVERYTHING, "click", "prometheus_client"},
    "ctconsole.lab": {*SCREEN, *CLUSTER, "bcc", "click"},
    "ctconsole.cli": EVERYTHING - {"numpy"},
    "ctconsole.ui": {"bcc", "click", "pyroute2"},
}
"""A room with every module in it -> top-level modules that must not have been loaded."""

RUN_WITHOUT: dict[tuple[str, ...], set[str]] = {
    ("--version",): EVERYTHING,
    ("--help",): EVERYTHING,
    ("agent", "--help"): EVERYTHING,
    ("ct", "list", "--help"): EVERYTHING,
    ("lab", "list"): {*SCREEN, "bcc", "watchfiles"},
    ("node", "--bpf-root", "/nowhere"): {*SCREEN, *STORES, "bcc", "numpy", "pyroute2"},
    ("map", "list", "--bpf-root", "/nowhere"): {*SCREEN, "bcc", "structlog"},
    ("ct", "list", "--from-dump", "/nowhere"): {*SCREEN, "bcc", "structlog", "pyroute2"},
    ("ct", "flush", "--bpf-root", "/nowhere"): {*SCREEN, "bcc", "structlog"},
    ("export", "--textfile", "/nowhere"): {*EVERYTHING, "prometheus_client"},
    ("explain", "--from-dump", "/nowhere"): {*SCREEN, "bcc", "structlog", "pyroute2"},
    ("map", "advise", "--from-dump", "/nowhere"): {*SCREEN, "bcc", "structlog", "pyroute2"},
    ("map", "resize", "x", "1M", "--bpf-root", "/nowhere"): {*SCREEN, "bcc", "structlog"},
    ("guard", "--bpf-root", "/nowhere"): {*SCREEN, "bcc", "structlog"},
    ("fleet", "--prometheus", "http://127.0.0.1:1"): {*EVERYTHING, "prometheus_client"},
    ("fleet", "resize", "--help"): EVERYTHING,
    ("layouts",): {*SCREEN, *KERNEL, *STORES},
    ("events", "--history", "/nowhere"): {*SCREEN, *KERNEL, "structlog", "numpy"},
}

ROOM = """
import importlib, pkgutil, sys
room = importlib.import_module(sys.argv[1])
for found in pkgutil.walk_packages(getattr(room, "__path__", []), room.__name__ + "."):
    if not found.ispkg or found.name != "ctconsole._data":
        importlib.import_module(found.name)
print(*sys.modules)
"""

INTERRUPTED = """
import signal, sys
from ctconsole.__main__ import main

class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == late:
            class Made:
                row = Row()

class Row:
    def __set_name__(self, owner, name):
        signal.raise_signal(signal.SIGINT)

late = sys.argv.pop()
sys.meta_path.insert(0, Interrupting())
sys.exit(main())
"""

VERB = """
import sys
from ctconsole.__main__ import main
sys.argv[0] = "ctconsole"
try:
    main()
finally:
    print("loaded:", *sys.modules)
"""


def loaded(program: str, *argv: str) -> set[str]:
    """The top-level modules that a fresh interpreter has at the end of a program."""
    done = subprocess.run(
        [sys.executable, "-c", program, *argv], capture_output=True, text=True, check=False
    )
    assert "Traceback" not in done.stderr, done.stderr
    return {name.partition(".")[0] for name in done.stdout.splitlines()[-1].split()}


def test_every_room_and_every_leaf_has_its_line() -> None:
    there = {found.name for found in pkgutil.iter_modules(ctconsole.__path__, "ctconsole.")}
    assert set(MAY_NOT) == there


@pytest.mark.parametrize("room", MAY_NOT)
def test_a_room_loads_no_more_than_it_may(room: str) -> None:
    assert loaded(ROOM, room) & MAY_NOT[room] == set()


@pytest.mark.parametrize("argv", RUN_WITHOUT, ids=" ".join)
def test_a_verb_loads_no_more_than_it_needs(argv: tuple[str, ...]) -> None:
    assert loaded(VERB, *argv) & RUN_WITHOUT[argv] == set()


@pytest.mark.parametrize("module", ["click", "ctconsole.lab.folders"])
def test_ctrl_c_while_it_is_loaded_is_no_traceback(module: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, "lab", "list", module],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")
