"""Labs as folders: whose they are, and what becomes of one that says nothing of itself."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from ctconsole import private
from ctconsole.agent.state import StateDir, write_whole
from ctconsole.cli.lab.verbs import command
from ctconsole.config import write_option
from ctconsole.errors import CtconsoleError, DeniedError, LabError
from ctconsole.history import History
from ctconsole.lab import folders, lifecycle
from ctconsole.lab.server import ServerKind

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def labs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of labs in a run directory of the test's own; not made yet."""
    monkeypatch.setenv("CTCONSOLE_RUN_DIR", str(tmp_path / "run"))
    return tmp_path / "run" / "labs"


@pytest.fixture(params=[0o000, 0o022], ids=["umask 000", "umask 022"])
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


def make_broken(labs: Path, name: str, text: str | None) -> None:
    (labs / name).mkdir(parents=True)
    if text is not None:
        (labs / name / "lab.json").write_text(text)


@pytest.mark.parametrize("text", [None, "{}", "[", "[]", '"x"', "[" * 100_000])
def test_a_folder_that_is_no_lab_takes_its_name_and_stops_nothing(
    labs: Path, text: str | None
) -> None:
    make_broken(labs, "demo", text)
    assert folders.all_labs() == []
    assert lifecycle.clean_dead() == []
    assert folders.claim_free("demo", ServerKind.NONE).name == "demo-2"
    with pytest.raises(LabError, match="a lab called demo already"):
        folders.claim("demo", ServerKind.NONE)
    (broken,) = folders.broken_labs()
    assert (broken.name, broken.root) == ("demo", labs / "demo")
    with pytest.raises(LabError, match=r"demo is broken.*ctconsole lab down demo"):
        folders.find("demo")


def test_a_broken_lab_is_listed_with_what_to_do(labs: Path) -> None:
    make_broken(labs, "demo", None)
    done = CliRunner().invoke(command, ["list"])
    assert done.stdout == ""
    assert "demo is broken: there is no" in done.stderr
    assert "ctconsole lab down demo" in done.stderr


@pytest.mark.parametrize(
    ("text", "reason"),
    [("{}", "it lacks 'owner'"), ("[]", "it is no object"), ("[", "Expecting value")],
)
def test_what_is_wrong_with_a_broken_lab_is_said_in_words(
    labs: Path, text: str, reason: str
) -> None:
    make_broken(labs, "demo", text)
    (broken,) = folders.broken_labs()
    assert broken.reason.startswith(f"{labs}/demo/lab.json does not describe a lab: {reason}")


def test_nobody_makes_a_lab_by_accident(labs: Path) -> None:
    state = labs / "demo" / "state"
    with pytest.raises(LabError, match="no lab called demo"):
        History(state / "history.db")
    with pytest.raises(LabError, match="no lab called demo"):
        write_whole(StateDir(state).settings_file, "{}")
    with pytest.raises(LabError, match="no lab called demo"):
        write_option(labs / "demo" / "config", "enable-ipv6", "true")
    assert not labs.exists()


def test_what_a_killed_start_left_goes_at_the_next(labs: Path) -> None:
    folders.claim("alive", ServerKind.NONE)
    no_such_process = 1 << 22
    (labs / f".new-{no_such_process}-x" / "folder").mkdir(parents=True)
    mine = labs / f".new-{os.getpid()}-y"
    mine.mkdir()
    lifecycle.clean_dead()
    assert {path.name for path in labs.iterdir()} == {"alive", mine.name}


def test_labs_that_others_may_write_to_are_not_read(labs: Path) -> None:
    make_broken(labs, "demo", None)
    labs.chmod(0o777)
    for call in (folders.all_labs, lambda: folders.claim("x", ServerKind.NONE)):
        with pytest.raises(DeniedError, match="others may write to"):
            call()


@pytest.mark.usefixtures("umask")
def test_folders_and_files_are_private_whatever_the_umask(tmp_path: Path) -> None:
    state = StateDir(tmp_path / "a" / "b")
    write_whole(state.settings_file, "{}")
    with History(state.history) as history:
        history.append([])
        write_option(tmp_path / "a" / "config", "enable-ipv6", "true")
        found = {path: path.stat().st_mode & 0o777 for path in (tmp_path / "a").rglob("*")}
    assert set(found.values()) == {0o600, 0o700}
    assert {path for path, mode in found.items() if mode == 0o700} == {
        path for path in found if path.is_dir()
    }
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o700


@pytest.mark.usefixtures("umask")
def test_an_option_file_keeps_the_mode_that_somebody_gave_it(tmp_path: Path) -> None:
    write_option(tmp_path, "enable-ipv6", "true")
    (tmp_path / "enable-ipv6").chmod(0o640)
    write_option(tmp_path, "enable-ipv6", "false")
    assert (tmp_path / "enable-ipv6").stat().st_mode & 0o777 == 0o640


@pytest.mark.usefixtures("umask")
def test_a_lab_is_private_from_its_first_moment(labs: Path) -> None:
    lab = folders.claim("one", ServerKind.NONE)
    for path in (labs.parent, labs, lab.root):
        assert path.stat().st_mode & 0o777 == 0o700
    assert (lab.root / "lab.json").stat().st_mode & 0o777 == 0o600


def test_a_folder_that_cannot_be_written_is_no_fault_of_usage(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CtconsoleError, match="cannot write") as refused:
        write_option(tmp_path / "file", "enable-ipv6", "true")
    assert refused.value.exit_code == 1


def test_a_file_in_the_way_of_a_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError):
        private.make_folder(tmp_path / "file")
