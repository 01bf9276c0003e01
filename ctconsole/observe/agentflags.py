"""An agent's options as its command line, environment and files give them.

Of several the agent believes, in this order, its arguments, its environment, its config folder
(viper's order; ``InitConfig`` of ``pkg/option/config.go``).
"""

from __future__ import annotations

import os
import re
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from ctconsole.kernel.beneath import read_beneath
from ctconsole.model.readers.agentjson import CONFIG_NAMES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import PurePath

CONFIG_DIR: Final = "config-dir"

RENAMED: Final[Mapping[str, str]] = MappingProxyType(
    {
        "ct-global-max-entries-tcp": "bpf-ct-global-tcp-max",
        "ct-global-max-entries-other": "bpf-ct-global-any-max",
    }
)
"""Names of files that 1.9 still takes for the new ones (``ReplaceDeprecatedFields``)."""

ENVIRONMENT: Final[Mapping[str, str]] = MappingProxyType(
    {
        # The older names stand first, so that the newer ones win.
        "CILIUM_GLOBAL_CT_MAX_TCP": "bpf-ct-global-tcp-max",
        "CILIUM_GLOBAL_CT_MAX_ANY": "bpf-ct-global-any-max",
        **{
            f"CILIUM_{name.upper().replace('-', '_')}": name
            for name in (CONFIG_DIR, "state-dir", "socket-path", *CONFIG_NAMES.values())
        },
    }
)
"""Options by environment variable (``getEnvName``); others may be Kubernetes' own."""

_LARGEST_CONFIG = 8 << 20
"""Bytes of all files of a folder together; a ConfigMap has at most 1 MiB."""

_MOST_FILES = 4096
_FLAG = re.compile(r"--([a-z0-9-]+)(?:=(.*))?", re.DOTALL)
_SETTING = re.compile(r"^([a-z0-9-]{1,100}): (\S.{0,4096})$", re.MULTILINE)


def collect(
    argv: Sequence[str], variables: Mapping[str, str], place: Callable[[Path], Path]
) -> dict[str, str]:
    """All options given to an agent, by name without dashes.

    Args:
        argv: its command line.
        variables: its environment.
        place: where a path of the agent's file system is found from here.
    """
    given = environment(variables) | arguments(argv)
    folder = given.get(CONFIG_DIR)
    return (read_config_dir(place(Path(folder))) if folder else {}) | given


def arguments(argv: Sequence[str]) -> dict[str, str]:
    """Flags of a command line, by name without dashes; one without a value is ``true``.

    As pflag reads them: ``--name=value``, ``--name value`` unless the next word is a flag.
    """
    found: dict[str, str] = {}
    words = list(argv)
    for word, following in zip(words, [*words, "--"][1:], strict=True):
        match = _FLAG.fullmatch(word)
        if match is None:
            continue
        name, value = match[1], match[2]
        if value is None:
            value = "true" if following.startswith("-") else following
        found[name] = value
    return found


def environment(variables: Mapping[str, str]) -> dict[str, str]:
    """Options out of the environment; an empty variable is none."""
    return {name: variables[key] for key, name in ENVIRONMENT.items() if variables.get(key)}


def read_config_dir(folder: Path) -> dict[str, str]:
    """A mounted ConfigMap: a file for each option. What cannot be read is left out."""
    found = {}
    room = _LARGEST_CONFIG
    try:
        with os.scandir(folder) as entries:
            # Sorted, so that it is always the same ones that are left out of too many.
            names = sorted(entry.name for entry in islice(entries, _MOST_FILES))
    except OSError:
        return {}
    for name in names:
        text = None if name.startswith(".") else read_text(folder, name, room)
        if text is not None:
            room -= len(text)
            found[name] = text.strip()
    renamed = {new: found[old] for old, new in RENAMED.items() if old in found}
    return renamed | found


def stored(text: str) -> dict[str, str]:
    """Options out of ``viper-agent-config.yaml``, which has every option with its default too.

    Lists and what stands deeper are left out, and a size of 0, which is whatever fits the node.
    """
    return {
        name: value
        for name, raw in _SETTING.findall(text)
        if (value := raw.strip("\"' "))
        and value[0] not in "[{|>"
        and not (value == "0" and name.endswith("-max"))
    }


def read_text(folder: Path, name: PurePath | str, most: int = _LARGEST_CONFIG) -> str | None:
    """A small file's text; None where it cannot be read, or is not the agent's to give.

    Args:
        folder: the folder that a process named.
        name: the file's path in it; who is led out of the folder is not followed.
        most: bytes to read at most.
    """
    try:
        return read_beneath(folder, str(name), most).decode("utf-8", "replace")
    except OSError:
        return None
