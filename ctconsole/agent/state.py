"""What an agent keeps in its state folder, and the settings it is started with.

Below the folder: ``agent.json`` (settings of the last start), ``agent.lock`` (locked while the
agent runs), ``agent.log``, ``agent.sock``, ``history.db``,
``services.json``, ``policy.json`` and ``endpoints/<id>.json``.
"""

from __future__ import annotations

import json
import os
import re
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from ctconsole import private
from ctconsole.config import AgentConfig, ConfigDir, read_dir
from ctconsole.errors import AgentError, FormatError
from ctconsole.kernel import files, locks
from ctconsole.model.plane.endpoint import Endpoint
from ctconsole.paths import DEFAULT_BPF_ROOT, labs_dir, run_dir

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class AgentSettings:
    """How an agent is started.

    Attributes:
        state_dir: its state folder; one agent at a time runs on it.
        config_dir: a file for each option, None for none.
        bpf_root: the bpffs it pins its maps on.
        netns: name of the network namespace of its endpoints, None for this one.
        options: options that win over the config folder, by kebab-case name.
    """

    state_dir: Path
    config_dir: Path | None = None
    bpf_root: Path = DEFAULT_BPF_ROOT
    netns: str | None = None
    options: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    def read_config(self) -> tuple[AgentConfig, tuple[str, ...]]:
        """The configuration these settings give, and the files that name no option of ours.

        Raises:
            ConfigError: an option out of its range, or a folder that cannot be read.
        """
        found = read_dir(self.config_dir) if self.config_dir else ConfigDir({}, ())
        return AgentConfig.from_options({**found.options, **self.options}), found.unknown

    def to_json(self) -> str:
        """For `agent.json` and the daemon's command line."""
        return json.dumps(
            {
                "state_dir": str(self.state_dir.absolute()),
                "config_dir": str(self.config_dir.absolute()) if self.config_dir else None,
                "bpf_root": str(self.bpf_root.absolute()),
                "netns": self.netns,
                "options": dict(self.options),
            },
            indent=2,
        )

    @classmethod
    def from_json(cls, text: str) -> AgentSettings:
        """Undo `to_json`.

        Raises:
            FormatError: the text is damaged.
        """
        try:
            found = json.loads(text)
            options = {name: _text(value) for name, value in found["options"].items()}
            return cls(
                state_dir=Path(found["state_dir"]),
                config_dir=Path(found["config_dir"]) if found["config_dir"] else None,
                bpf_root=Path(found["bpf_root"]),
                netns=found["netns"],
                options=MappingProxyType(options),
            )
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise FormatError(f"The agent's settings are damaged: {error!r}") from error


@dataclass(frozen=True, slots=True)
class StateDir:
    """Names the files of a state folder."""

    root: Path

    @property
    def settings_file(self) -> Path:
        """Settings of the last start."""
        return self.root / "agent.json"

    @property
    def lock(self) -> Path:
        """Held by the running agent; holds its process id."""
        return self.root / "agent.lock"

    @property
    def log(self) -> Path:
        """What the agent says, in logfmt."""
        return self.root / "agent.log"

    @property
    def socket(self) -> Path:
        """Where the agent takes requests."""
        return self.root / "agent.sock"

    @property
    def history(self) -> Path:
        """The store of events."""
        return self.root / "history.db"

    @property
    def endpoints(self) -> Path:
        """A file for each endpoint."""
        return self.root / "endpoints"

    @property
    def services(self) -> Path:
        """The services and their ids."""
        return self.root / "services.json"

    @property
    def policy(self) -> Path:
        """The policy rules."""
        return self.root / "policy.json"

    def load_settings(self) -> AgentSettings | None:
        """Settings of the last start, None where there was none.

        Raises:
            FormatError: the file is damaged or cannot be read.
        """
        try:
            return AgentSettings.from_json(self.settings_file.read_text("utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise FormatError(f"{self.settings_file} cannot be read: {error}") from error

    def save_settings(self, settings: AgentSettings) -> None:
        """Remember the settings of this start."""
        write_whole(self.settings_file, settings.to_json())

    def running_pid(self) -> int | None:
        """The process id of the agent that runs on this folder, None where none does.

        Asking never keeps an agent from starting. A killed agent holds nothing any more.
        """
        return locks.holder(self.lock)

    def acquire(self) -> int:
        """Take the lock for as long as this process lives; the descriptor holds it.

        Raises:
            AgentError: another agent runs on this folder, or it cannot be written.
        """
        try:
            fd = os.open(self.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise AgentError(f"Cannot write {self.lock}: {error.strerror}") from error
        try:
            taken = locks.take(fd)
        except OSError as error:
            os.close(fd)
            raise AgentError(f"Cannot lock {self.lock}: {error.strerror}") from error
        if not taken:
            os.close(fd)
            pid = self.running_pid()
            who = f"An agent (process {pid})" if pid else "An agent"
            raise AgentError(
                f"{who} already runs on {self.root}",
                hint="Stop it, or give another --state-dir",
            )
        return fd


def default_state_dir() -> Path:
    """Where an agent keeps its state unless told otherwise."""
    return run_dir() / "agent"


def agent_of(path: Path) -> AgentSettings | None:
    """The settings of the running agent that looks after the map pinned at ``path``.

    Looks at the default state folder and at those of labs; None where none of them does.
    """
    candidates = [default_state_dir(), *sorted(labs_dir().glob("*/state"))]
    for folder in candidates:
        with suppress(FormatError):
            settings = agent_at(folder, path)
            if settings is not None:
                return settings
    return None


def agent_at(folder: Path, path: Path) -> AgentSettings | None:
    """The settings of the agent that runs on a state folder, if the map at ``path`` is its own.

    Raises:
        FormatError: the folder's ``agent.json`` is damaged.
    """
    state = StateDir(folder)
    settings = state.load_settings()
    if settings is None or not path.absolute().is_relative_to(settings.bpf_root):
        return None
    return settings if state.running_pid() is not None else None


def write_whole(path: Path, text: str) -> None:
    """Write a file of the state folder, which is made where missing; see `files.write_whole`.

    Raises:
        AgentError: the folder cannot be written.
    """
    try:
        private.make_folder(path.parent)
        files.write_whole(path, text)
    except OSError as error:
        raise AgentError(f"Cannot write {path}: {error.strerror}") from error


def save_endpoint(state_dir: Path, endpoint: Endpoint) -> None:
    """Remember an endpoint; the agent restores it at its next start or regeneration."""
    path = StateDir(state_dir).endpoints / f"{endpoint.id}.json"
    write_whole(path, json.dumps(asdict(endpoint), indent=2))


def remove_endpoint(state_dir: Path, endpoint_id: int) -> bool:
    """Forget an endpoint.

    Returns:
        False where it was not known.

    Raises:
        AgentError: its file cannot be removed.
    """
    path = StateDir(state_dir).endpoints / f"{endpoint_id}.json"
    try:
        path.unlink()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise AgentError(f"Cannot remove {path}: {error.strerror}") from error
    return True


def load_endpoints(state_dir: Path) -> list[Endpoint]:
    """Every endpoint remembered, by id.

    Raises:
        FormatError: a file is damaged, or the folder cannot be read; names it.
    """
    folder = StateDir(state_dir).endpoints
    try:
        files = [path for path in folder.iterdir() if re.fullmatch(r"[0-9]+\.json", path.name)]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise FormatError(f"{folder} cannot be read: {error.strerror}") from error
    return sorted((_load_endpoint(path) for path in files), key=lambda endpoint: endpoint.id)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no option's text")
    return value


def _load_endpoint(path: Path) -> Endpoint:
    try:
        found = json.loads(path.read_text("utf-8"))
        return Endpoint(**{**found, "labels": tuple(found.get("labels", ()))})
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise FormatError(
            f"The endpoint {path} cannot be restored: {error}", hint="Remove the file"
        ) from error
