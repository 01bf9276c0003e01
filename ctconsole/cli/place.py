"""Which node a command line means: a bpffs, the agent that pins its maps there, a lab.

What is named is taken. Else the node's own bpffs is looked for, and labs that are up; where
several can be meant, who reads is told which one was taken, and who writes has to name one.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

import click

from ctconsole.cli.common import message
from ctconsole.cli.streams import Terminal
from ctconsole.errors import UsageError
from ctconsole.paths import DEFAULT_BPF_ROOT, FALLBACK_BPF_ROOT, GLOBALS, lab_of, labs_dir

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_PLACE: Final = "ctconsole.place"


@dataclass(frozen=True, slots=True)
class Place:
    """A node, or a lab, on which a verb works.

    Attributes:
        bpf_root: its bpffs.
        state_dir: the state folder of its agent, where it is known from the name alone.
    """

    bpf_root: Path
    state_dir: Path | None = None

    @property
    def lab(self) -> str:
        """The lab's name; empty where it is no lab."""
        return lab_of(self.bpf_root)

    @property
    def told(self) -> str:
        """For a person: ``/sys/fs/bpf``, ``lab web, /run/ctconsole/labs/web/bpf``."""
        return f"lab {self.lab}, {self.bpf_root}" if self.lab else str(self.bpf_root)


class _Choice(NamedTuple):
    """What can be meant, and the option that says so."""

    path: Path
    option: str


def labs_up() -> list[str]:
    """The names of the labs that have a bpffs with maps; costs a look into one folder."""
    try:
        return sorted(
            path.name
            for path in labs_dir().iterdir()
            if path.name[0] != "." and (path / "bpf" / GLOBALS).is_dir()
        )
    except OSError:
        return []


def the_place(
    bpf_root: Path | None, lab: str | None, *, writes: bool, needed: bool = True
) -> Place:
    """The node that is meant.

    Args:
        bpf_root: as it was given.
        lab: as it was given.
        writes: whether something is to be changed there.
        needed: whether it is looked at at all, which it is not where files are.

    Raises:
        UsageError: both were given, there is no such lab, or something is to be changed and
            several nodes can be meant.
    """
    if lab is not None:
        if bpf_root is not None:
            raise UsageError("--lab and --bpf-root exclude each other")
        return _of_lab(_known(lab), writes=writes)
    if bpf_root is not None or not needed:
        return Place(bpf_root or DEFAULT_BPF_ROOT)
    if (settled := _settled(writes=writes)) is not None:
        return _of_lab(lab_of(settled), writes=writes) if lab_of(settled) else Place(settled)
    from ctconsole.observe.agents import find_roots_in_containers, mounted_roots

    labs = [_Choice(_root_of(name), f"--lab {name}") for name in labs_up()]
    roots = [_Choice(root, f"--bpf-root {root}") for root in mounted_roots()]
    if not labs and not roots:
        # Containers are looked through last: that reads every process.
        roots = [_Choice(root, f"--bpf-root {root}") for root in find_roots_in_containers()]
    # A lab was made on purpose; a bpffs somewhere may be anything. The usual place goes first.
    usual = [one for one in roots if one.path in {DEFAULT_BPF_ROOT, FALLBACK_BPF_ROOT}]
    others = [one for one in roots if one not in usual]
    taken = _one_of([*usual, *labs, *others], DEFAULT_BPF_ROOT, "nodes", writes=writes)
    if lab_of(taken):
        return _of_lab(lab_of(taken), writes=writes)
    return Place(taken)


def _settled(*, writes: bool) -> Path | None:
    """The bpffs that the configuration file names, where it does.

    Raises:
        UsageError: it cannot be known from the file which one is meant, and something is to be
            changed.
    """
    from pathlib import Path

    from ctconsole.settings.read import read_settings

    settings = read_settings()
    if settings.sure:
        named = settings.value("bpffs")
        return Path(named) if named else None
    problem = str(next(one for one in settings.problems if one.field in {"", "bpffs"}))
    if writes:
        raise UsageError(problem, hint="Correct it, or name the node with --bpf-root")
    message(f"ctconsole: {problem}")
    return None


def the_state_dir(
    state_dir: Path | None, lab: str | None, *, writes: bool, past: bool = False
) -> Path | None:
    """The state folder of the agent that is meant; None for the default one.

    Args:
        state_dir: as it was given.
        lab: as it was given.
        writes: whether the agent is to be changed.
        past: whether what is kept of the past is enough, without an agent.

    Raises:
        UsageError: both were given, there is no such lab, or the agent is to be changed and
            several can be meant.
    """
    if lab is not None:
        if state_dir is not None:
            raise UsageError("--lab and --state-dir exclude each other")
        return labs_dir() / _known(lab) / "state"
    if state_dir is not None:
        return state_dir
    from ctconsole.agent.state import StateDir, default_state_dir

    usual = default_state_dir()
    has_agent = StateDir(usual).settings_file.exists()
    has_told = past and StateDir(usual).history.exists()
    choices = [_Choice(usual, f"--state-dir {usual}")] if has_agent or has_told else []
    choices += [_Choice(labs_dir() / name / "state", f"--lab {name}") for name in labs_up()]
    taken = _one_of(choices, usual, "agents", writes=writes)
    return None if taken == usual else taken


def keep_place(place: Place) -> None:
    """Remember it for `told_place` for as long as the verb runs."""
    context = click.get_current_context(silent=True)
    if context is not None:
        context.meta[_PLACE] = place


def told_place() -> tuple[Place, str] | None:
    """The place of the verb that runs, and who looks after its maps, in words; None without."""
    context = click.get_current_context(silent=True)
    place: Place | None = context.meta.get(_PLACE) if context else None
    if place is None:
        return None
    from ctconsole.node.owner import who

    return place, who(place.bpf_root)


def _one_of(choices: Sequence[_Choice], usual: Path, what: str, *, writes: bool) -> Path:
    """The first, the usual one where there is none; says so where there are more."""
    if not choices:
        return usual
    if len(choices) > 1:
        if writes:
            named = ", ".join(one.option for one in choices)
            raise UsageError(f"Several {what} can be meant", hint=f"Name one of {named}")
        others = ", ".join(one.option for one in choices[1:])
        message(f"Several {what} can be meant: {choices[0].path} was taken; else give {others}")
    elif choices[0].path != usual and isinstance(sys.stderr, Terminal):
        message(f"This is {choices[0].path} ({choices[0].option})")
    return choices[0].path


def _known(lab: str) -> str:
    """The name as it is.

    Raises:
        UsageError: no such lab is up.
    """
    labs = labs_up()
    if lab in labs:
        return lab
    from difflib import get_close_matches

    close = get_close_matches(lab, labs, n=1)
    if close:
        hint = f"Did you mean {close[0]}?"
    else:
        hint = f"There is {', '.join(labs)}" if labs else "Make one with: ctconsole lab up"
    raise UsageError(f"No lab called {lab} is up", hint=hint)


def _root_of(lab: str) -> Path:
    return labs_dir() / lab / "bpf"


def _of_lab(lab: str, *, writes: bool) -> Place:
    """A lab; who writes to one without an agent names none, which is then no error."""
    folder = labs_dir() / lab / "state"
    if writes:
        from ctconsole.agent.state import StateDir

        if StateDir(folder).running_pid() is None:
            return Place(_root_of(lab))
    return Place(_root_of(lab), folder)
