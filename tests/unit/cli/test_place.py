"""Which node a command line means, and what is said where several can be."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
import pytest
from click.testing import CliRunner

from ctconsole.cli import place
from ctconsole.cli.options import (
    bpf_root_option,
    from_dump_option,
    named_agent_option,
    read_agent_option,
    state_dir_option,
    watched_root_option,
    written_agent_option,
    written_root_option,
)
from ctconsole.cli.plans import print_plan
from ctconsole.errors import UsageError
from ctconsole.observe import agents
from ctconsole.paths import GLOBALS
from tests.unit.model.listing.test_plans import Move

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from click.testing import Result


@click.command()
@from_dump_option
@state_dir_option
@bpf_root_option
def read(*, dumps: tuple[Path, ...], state_dir: Path | None, bpf_root: Path) -> None:
    click.echo(f"{len(dumps)} {bpf_root} {state_dir}")


@click.command()
@written_root_option
def write(*, bpf_root: Path) -> None:
    click.echo(str(bpf_root))


def ask(command: click.Command, *arguments: object) -> Result:
    return CliRunner().invoke(command, [str(one) for one in arguments])


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A node without any map; its usual bpffs and the labs are below one folder."""
    monkeypatch.setenv("CTCONSOLE_RUN_DIR", str(tmp_path / "run"))
    for module in (agents, place):
        monkeypatch.setattr(module, "DEFAULT_BPF_ROOT", tmp_path / "usual")
    monkeypatch.setattr(agents, "find_bpffs", list)
    monkeypatch.setattr(agents, "_roots_in_containers", lambda: iter(()))
    return tmp_path


@pytest.fixture
def mount(node: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Puts a bpffs with Cilium's folder there."""
    mounted: list[Path] = []

    def one(name: str) -> Path:
        (node / name / GLOBALS).mkdir(parents=True)
        mounted.append(node / name)
        monkeypatch.setattr(agents, "find_bpffs", lambda: mounted)
        return node / name

    return one


def lab(node: Path, name: str) -> Path:
    root = node / "run" / "labs" / name / "bpf"
    (root / GLOBALS).mkdir(parents=True)
    return root


def test_a_node_without_maps_is_the_usual_one(node: Path) -> None:
    done = ask(read)
    assert done.stdout == f"0 {node}/usual None\n"
    assert done.stderr == ""


def test_a_lab_that_is_up_is_found_with_its_state_folder(node: Path) -> None:
    root = lab(node, "one")
    done = ask(read)
    assert done.stdout == f"0 {root} {root.parent}/state\n"
    assert done.stderr == ""


def test_maps_elsewhere_are_found(node: Path, mount: Callable[[str], Path]) -> None:
    other = mount("other")
    assert ask(read).stdout == f"0 {other} None\n"
    assert ask(write).stdout == f"{other}\n"
    assert ask(read, "--bpf-root", node).stdout == f"0 {node} None\n"


def test_who_reads_is_told_which_of_several_was_taken(
    node: Path, mount: Callable[[str], Path]
) -> None:
    other, lab_root = mount("other"), lab(node, "one")
    done = ask(read)
    assert done.stdout.startswith(f"0 {lab_root} "), "a lab was made on purpose"
    assert done.stderr == (
        f"Several nodes can be meant: {lab_root} was taken; else give --bpf-root {other}\n"
    )
    usual = mount("usual")
    done = ask(read)
    assert done.stdout.startswith(f"0 {usual} ")
    assert f"{usual} was taken; else give --lab one, --bpf-root {other}" in done.stderr


def test_who_writes_names_one_of_several(node: Path, mount: Callable[[str], Path]) -> None:
    usual, lab_root = mount("usual"), lab(node, "one")
    refused = ask(write).exception
    assert isinstance(refused, UsageError)
    assert refused.exit_code == 2
    assert str(refused).endswith(f"Name one of --bpf-root {usual}, --lab one")
    assert ask(write, "--lab", "one").stdout == f"{lab_root}\n"
    assert ask(write, "--bpf-root", usual).stdout == f"{usual}\n"


def test_files_need_no_node(node: Path, mount: Callable[[str], Path]) -> None:
    mount("usual")
    lab(node, "one")
    done = ask(read, "--from-dump", "some.json")
    assert done.stdout == f"1 {node}/usual None\n"
    assert done.stderr == ""


def test_a_lab_that_is_not_up_is_an_error(node: Path) -> None:
    lab(node, "shop")
    assert "Did you mean shop?" in str(ask(read, "--lab", "shp").exception)
    assert "There is shop" in str(ask(read, "--lab", "x").exception)
    assert "exclude each other" in str(ask(read, "--lab", "shop", "--bpf-root", "/x").exception)


def test_who_keeps_a_history_of_its_own_does_not_write_to_the_labs(node: Path) -> None:
    @click.command()
    @watched_root_option
    @state_dir_option
    def watch(*, bpf_root: Path, state_dir: Path | None) -> None:
        click.echo(f"{bpf_root} {state_dir}")

    assert ask(watch).stdout == f"{node}/usual None\n"
    root = lab(node, "one")
    assert ask(watch).stdout == f"{root} None\n"


@pytest.mark.parametrize("option", [read_agent_option, written_agent_option, named_agent_option])
def test_the_agent_of_a_lab_is_the_agent(
    node: Path, option: Callable[[Callable[..., None]], Callable[..., None]]
) -> None:
    @click.command()
    @option
    def agent(*, state_dir: Path | None) -> None:
        click.echo(str(state_dir))

    assert ask(agent).stdout == "None\n"
    state = lab(node, "one").parent / "state"
    assert ask(agent, "--lab", "one").stdout == f"{state}\n"
    searched = option is not named_agent_option
    assert ask(agent).stdout == (f"{state}\n" if searched else "None\n")
    usual = node / "run" / "agent"
    usual.mkdir()
    (usual / "agent.json").touch()
    done = ask(agent)
    if option is written_agent_option:
        assert isinstance(done.exception, UsageError)
    else:
        assert done.stdout == "None\n"
        assert ("Several agents can be meant" in done.stderr) is searched


def test_a_plan_names_the_node_and_its_agent(node: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ctconsole.node import owner

    monkeypatch.setattr(owner, "find_agent", lambda _: None)
    root = lab(node, "one")

    @click.command()
    @click.option("--json", "as_json", is_flag=True)
    @written_root_option
    def plan(*, as_json: bool, bpf_root: Path) -> None:
        assert bpf_root == root
        print_plan(Move(), as_json=as_json)

    assert ask(plan).stdout.endswith(f"\nnode        lab one, {root} (no agent runs)\n")
    told = ask(plan, "--json").stdout
    assert f'"bpf_root": "{root}"' in told
    assert '"lab": "one"' in told
