from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from ctconsole.agent import control
from ctconsole.errors import ConfigError, LabError
from ctconsole.kernel import netns
from ctconsole.kernel.iproute import links
from ctconsole.kernel.mounts import find_bpffs
from ctconsole.lab import folders, lifecycle, look, pods, server, topology
from ctconsole.lab.names import PREFIX
from ctconsole.lab.server import ServerKind
from tests.support import flows
from tests.support.footprint import Footprint
from tests.support.terminals import console, read

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ctconsole.lab.folders import Lab


@contextmanager
def up(word: str) -> Iterator[Lab]:
    lab = lifecycle.up(f"{word}-{os.getpid()}", config={"bpf-ct-global-tcp-max": "4096"})
    try:
        yield lab
    finally:
        lifecycle.down(lab)


def test_down_leaves_nothing_and_may_be_repeated() -> None:
    with up("gone") as lab:
        with flows.connections(lab, 1):
            footprint = Footprint.of(lab)
            assert len(footprint.programs) >= 4
            assert len(footprint.maps) >= 2
            assert len(footprint.processes) >= 2
        assert folders.find(lab.name) == lab
        lifecycle.down(lab)
        assert footprint.remains() == {}
        lifecycle.down(lab)
    with pytest.raises(LabError, match="no lab called"):
        folders.find(lab.name)


def test_a_pod_added_later_goes_with_its_lab() -> None:
    with up("more") as lab:
        pods.add(lab, "shop")
        space = lab.namespace("shop")
        server.start(ServerKind.SMALL, space, lab.root / "shop")
        footprint = Footprint.of(lab)
        assert netns.pids(space)
        lifecycle.down(lab)
        assert footprint.remains() == {}
        assert not netns.exists(space)


def test_the_machines_own_links_and_bpffs_are_not_touched(run_dir: Path) -> None:
    own, mounted = links(), set(find_bpffs())
    with up("apart"):
        # Links of others come and go; one of the lab's would stay.
        assert look.until(lambda: {link.name for link in links()} == {link.name for link in own})
        new = set(find_bpffs()) - mounted
        assert any(path.is_relative_to(run_dir) for path in new)


def test_two_labs_at_once_do_not_meet() -> None:
    with up("first") as first, up("second") as second:
        with flows.connections(first, 1) as (client,):
            flow = look.Flow.of(client)
            assert look.until(lambda: len(look.entries(first, flow)) == 1)
            assert len(look.table(second)) == 0
        with pytest.raises(LabError, match="several labs"):
            folders.find()
        lifecycle.down(first)
        with flows.connections(second, 1) as clients:
            assert flows.talk(clients[0]).startswith(b"HTTP/1.1 200")


def test_a_taken_name_is_refused_and_its_lab_stays() -> None:
    with up("taken") as lab:
        with pytest.raises(LabError, match="already"):
            lifecycle.up(lab.name)
        assert control.status(lab.settings).pid


def test_a_lab_that_another_run_directory_was_quicker_to_make_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with up("raced") as lab, flows.connections(lab, 1) as clients:
        really, first = folders._taken, [set[str]()]
        with monkeypatch.context() as patch:
            patch.setenv("CTCONSOLE_RUN_DIR", str(tmp_path))
            # What it saw a moment before the other one made its namespaces.
            patch.setattr(folders, "_taken", lambda: first.pop() if first else really())
            with pytest.raises(LabError, match="already"):
                lifecycle.up(lab.name)
            first.append(set())
            another = lifecycle.up(base=lab.name)
            assert another.name == f"{lab.name}-2"
            lifecycle.down(another)
            assert list((tmp_path / "labs").iterdir()) == []
        assert control.status(lab.settings).pid
        assert flows.talk(clients[0]).startswith(b"HTTP/1.1 200")


def test_labs_that_start_together_get_different_names(run_dir: Path) -> None:
    base = f"same-{os.getpid()}"
    code = (
        "import sys; from ctconsole.lab import folders; from ctconsole.lab.server import "
        "ServerKind; print(folders.claim_free(sys.argv[1], ServerKind.NONE).name)"
    )
    started = [
        subprocess.Popen([sys.executable, "-c", code, base], stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    found = {process.communicate()[0].strip() for process in started}
    assert found == {base, f"{base}-2", f"{base}-3", f"{base}-4"}
    assert set(lifecycle.clean_dead()) == found
    assert not [path for path in (run_dir / "labs").iterdir() if path.name.startswith(".")]


def test_a_bad_option_is_refused_before_anything_is_built() -> None:
    with pytest.raises(ConfigError, match="bpf-ct-global-tcp-max"):
        lifecycle.up(f"bad-{os.getpid()}", config={"bpf-ct-global-tcp-max": "7"})
    assert not netns.names(f"{PREFIX}bad-{os.getpid()}-")


EXIT_CODES = {"SIGTERM": 143, "SIGINT": 130, "hangup": 129}

KEYS = {"q": b"q", "ctrl+c": b"\x03"}


def demo_lab(process: subprocess.Popen[bytes], ours: int) -> Lab:
    """The lab of a demo, once the console shows one of its maps."""
    screen = b""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        screen += read(ours)
        labs = [lab for lab in folders.all_labs() if lab.owner and lab.owner.pid == process.pid]
        if labs and b"cilium_ct4_global" in screen:
            return labs[0]
        time.sleep(0.1)
    pytest.fail(f"the demo did not come up: {screen[-2000:]!r}")


@pytest.fixture
def own_run_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A run directory for one test, in which no lab of another one is."""
    monkeypatch.setenv("CTCONSOLE_RUN_DIR", str(tmp_path))
    yield
    for lab in folders.all_labs():
        lifecycle.down(lab)


@pytest.mark.usefixtures("own_run_dir")
@pytest.mark.parametrize("end", ["SIGTERM", "SIGINT", "hangup", "q", "ctrl+c"])
def test_leaving_a_demo_leaves_nothing(end: str) -> None:
    with console("lab", "demo", "--connections", "20") as (process, ours):
        lab = demo_lab(process, ours)
        assert look.until(lambda: len(look.table(lab)) > 0)
        footprint = Footprint.of(lab)
        assert footprint.maps
        assert len(footprint.processes) >= 3
        if end == "hangup":
            os.close(ours)
        elif end in KEYS:
            os.write(ours, KEYS[end])
        else:
            process.send_signal(signal.Signals[end])
        deadline = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline:
            read(ours)
            time.sleep(0.05)
        assert process.poll() == EXIT_CODES.get(end, 0), "the demo did not end as it should"
    assert footprint.remains() == {}


@pytest.mark.usefixtures("own_run_dir")
def test_what_a_killed_owner_leaves_goes_at_the_next_start() -> None:
    with console("lab", "demo", "--connections", "20") as (process, ours):
        lab = demo_lab(process, ours)
        footprint = Footprint.of(lab)
        assert lifecycle.clean_dead() == []
        process.kill()
        process.wait()
    assert netns.exists(lab.namespace(topology.NODE))
    assert control.status(lab.settings).pid
    assert lifecycle.clean_dead() == [lab.name]
    assert footprint.remains() == {}
    assert lifecycle.clean_dead() == []


@pytest.mark.usefixtures("own_run_dir")
def test_a_folder_without_a_description_is_in_nobodys_way(tmp_path: Path) -> None:
    broken = tmp_path / "labs" / "demo"
    (broken / "state").mkdir(parents=True)
    (tmp_path / "labs").chmod(0o700)
    (broken / "link").symlink_to("/")
    with console("lab", "demo", "--connections", "20") as (process, ours):
        assert demo_lab(process, ours).name == "demo-2"
        os.write(ours, b"q")
        assert look.until(lambda: not read(ours) and process.poll() is not None, 60)
    verb = [sys.executable, "-m", "ctconsole", "lab", "down", "demo"]
    subprocess.run(verb, check=True, stderr=subprocess.DEVNULL)
    assert list((tmp_path / "labs").iterdir()) == []


@pytest.mark.usefixtures("own_run_dir")
@pytest.mark.parametrize("options", ["ro", "size=64k"])
def test_a_run_directory_without_room_is_one_sentence_and_leaves_nothing(
    tmp_path: Path, options: str
) -> None:
    verb = f"{sys.executable} -m ctconsole lab up tight-{os.getpid()}"
    script = f"mount -t tmpfs -o {options} none {tmp_path} && exec {verb}"
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert not netns.names(f"{PREFIX}tight-{os.getpid()}-")
