"""Changing an agent's options where its next start finds them, and putting them back exactly.

An option is set in the config folder or, given as a flag, among the settings in ``agent.json``,
which win. It is changed where it is set.
"""

from __future__ import annotations

import stat
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING

from ctconsole.agent.state import StateDir
from ctconsole.config import read_dir, write_option
from ctconsole.errors import AgentError
from ctconsole.kernel import files

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from ctconsole.agent.state import AgentSettings


@dataclass(frozen=True, slots=True)
class _Written:
    """A file as it was, None where it was not there, and as it was written."""

    path: Path
    before: str | None
    mode: int
    after: str


class OptionChange:
    """A change of options that was written; made by `change_options`.

    Attributes:
        settings: with those of the changes that belong there.
    """

    def __init__(self, settings: AgentSettings) -> None:
        self.settings = settings
        self._written: list[_Written] = []

    def write(self, path: Path, write: Callable[[], None]) -> None:
        """Have one of the files written; for `change_options`."""
        before = path.read_text("utf-8") if path.exists() else None
        mode = stat.S_IMODE(path.stat().st_mode) if before is not None else 0
        write()
        after = path.read_text("utf-8")
        if after != before:
            self._written.append(_Written(path, before, mode, after))

    def __bool__(self) -> bool:
        return bool(self._written)

    def undo(self) -> None:
        """Put every file back as it was; one that somebody else changed since stays.

        Raises:
            AgentError: a folder cannot be written any more; names the files that stay changed.
        """
        failed = []
        while self._written:
            one = self._written.pop()
            try:
                if one.path.read_text("utf-8") != one.after:
                    continue
                if one.before is None:
                    one.path.unlink()
                else:
                    files.write_whole(one.path, one.before, mode=one.mode)
            except FileNotFoundError:
                continue
            except OSError as error:
                failed.append(f"{one.path} ({error.strerror})")
        if failed:
            raise AgentError(
                f"The options could not be put back in {', '.join(failed)}",
                hint="Put them back by hand: the agent's next start goes by them",
            )


def change_options(settings: AgentSettings, changes: Mapping[str, str]) -> OptionChange:
    """Give options of an agent other values, where each is set.

    Args:
        settings: how the agent is to be started; kept as such where it was started before.
        changes: new values by option.

    Returns:
        What was written, to be undone.

    Raises:
        ConfigError: the agent cannot run with them, or the folder cannot be written; nothing
            is changed.
        AgentError: the state folder cannot be written; nothing is changed.
    """
    folder = settings.config_dir
    filed = {
        name: value
        for name, value in changes.items()
        if folder is not None and name not in settings.options
    }
    among = {name: value for name, value in changes.items() if name not in filed}
    # All of them at once: what no option can check alone.
    replace(settings, options={**settings.options, **changes}).read_config()
    change = OptionChange(
        replace(settings, options=MappingProxyType({**settings.options, **among}))
    )
    try:
        if folder is not None:
            for name, value in filed.items():
                change.write(folder / name, partial(write_option, folder, name, value))
        state = StateDir(settings.state_dir)
        if state.settings_file.exists():
            change.write(state.settings_file, partial(state.save_settings, change.settings))
    except BaseException:
        with suppress(AgentError):
            change.undo()
        raise
    return change


def set_values(settings: AgentSettings, names: Iterable[str]) -> dict[str, str | None]:
    """What options are set to; None for one that is not set.

    Raises:
        ConfigError: the config folder cannot be read.
    """
    filed = read_dir(settings.config_dir).options if settings.config_dir else {}
    return {name: settings.options.get(name, filed.get(name)) for name in names}


def store_options(settings: AgentSettings, values: Mapping[str, str | None]) -> AgentSettings:
    """Set and unset options where the agent's next start finds them, each where it is set.

    Args:
        settings: how the agent was started.
        values: by option; None unsets one.

    Returns:
        The settings with those that belong there.

    Raises:
        ConfigError: a value is out of range.
        CtconsoleError: a folder cannot be written.
    """
    options = dict(settings.options)
    for name, value in values.items():
        if settings.config_dir is not None and name not in settings.options:
            if value is None:
                (settings.config_dir / name).unlink(missing_ok=True)
            else:
                write_option(settings.config_dir, name, value)
        elif value is None:
            options.pop(name, None)
        else:
            options[name] = value
    changed = replace(settings, options=MappingProxyType(options))
    state = StateDir(settings.state_dir)
    if changed.options != settings.options and state.settings_file.exists():
        state.save_settings(changed)
    return changed
