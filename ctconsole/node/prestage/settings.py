"""Where an agent that is not ours has the sizes of its tables from, and changing them there.

A file of its configuration folder is written where that can be: there is one file for each
option. A folder that Kubernetes or ``cilium-dbg build-config`` keeps has its files behind a link
``..data`` and is made anew from the ConfigMap; options on the command line or in the environment
win over any folder. Those have to be changed by whoever keeps them, and it is said how.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ctconsole.config import NAT_DEFAULT
from ctconsole.errors import UsageError
from ctconsole.kernel import procs
from ctconsole.kernel.files import write_whole
from ctconsole.model.catalogue import option_of
from ctconsole.observe import agentflags
from ctconsole.observe.agents import path_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ctconsole.observe.agents import AgentProcess

TCP_MAX: Final = "bpf-ct-global-tcp-max"
ANY_MAX: Final = "bpf-ct-global-any-max"
NAT_MAX: Final = "bpf-nat-global-max"

_SOURCE: Final = re.compile(r"config-map:([a-z0-9.-]{1,253})/([a-z0-9.-]{1,253})")
"""How ``cilium-dbg build-config`` writes in the file ``config-sources`` what it read."""

_LARGEST: Final = 1 << 16
"""Bytes of an option's file that are read at most."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One option that has to have another value when the agent starts.

    Attributes:
        option: its name.
        now: the value the agent has, empty where that is not known.
        value: the value it has to have.
        file: where it is written, None where it is not ours to write.
        text: what is in that file now, None where there is none.
        deed: what somebody has to do instead, empty where ``file`` is written.
        undo: what undoes that.
        shared: whether that changes it for other nodes too.
    """

    option: str
    now: str
    value: str
    file: Path | None = None
    text: str | None = None
    deed: str = ""
    undo: str = ""
    shared: bool = False

    @property
    def sentence(self) -> str:
        """``bpf-ct-global-tcp-max in /etc/cilium: 32768 -> 65536``."""
        change = f"{self.now or 'not known'} -> {self.value}"
        if self.file is None:
            return f"{self.option}: {change}, which is yours to do before: {self.deed}"
        was = "" if self.text is not None else ", a new file"
        return f"{self.file}: {change}{was}"

    @property
    def new_text(self) -> str:
        """What the file is to have; it ends as it does now."""
        text = self.text or ""
        return self.value + text[len(text.rstrip()) :]


def settings_for(
    agent: AgentProcess | None, options: Mapping[str, str], sizes: Mapping[str, int]
) -> tuple[Setting, ...]:
    """Which options have to change for tables to have other sizes, and where.

    Args:
        agent: the agent, None where none runs.
        options: what is known of its options.
        sizes: by name of the pin the capacity wished for.
    """
    wanted = {option: size for name, size in sizes.items() if (option := option_of(name))}
    # Translations that follow the tables by the agent's own rule have no setting of their own.
    if TCP_MAX in wanted or ANY_MAX in wanted:
        wanted.pop(NAT_MAX, None)
    return tuple(
        _setting(agent, option, options.get(option, ""), str(size))
        for option, size in sorted(wanted.items())
    )


def translations_with(flags: Mapping[str, str], now: int, tables: Mapping[str, int]) -> int | None:
    """The capacity that the agent will give the tables of translations, None where it keeps it.

    They may not be larger than the conntrack tables together; the default gives way, to two
    thirds of them (``checkMapSizeLimits`` of ``pkg/option/config.go``).

    Args:
        flags: the agent's options as they were given to it.
        now: entries of the table of translations.
        tables: entries of the conntrack tables as they will be, by option.

    Raises:
        UsageError: the agent would refuse to start.
    """
    given = flags.get(NAT_MAX, "")
    together = sum(tables.values())
    # A share of the memory, if it is one: then the size is what it was.
    is_share = bool(flags.get("bpf-map-dynamic-size-ratio", "").strip("0."))
    wish = int(given) if given.isdigit() else now if is_share else NAT_DEFAULT
    if wish <= together:
        return None if wish == now else wish
    if wish == NAT_DEFAULT:
        follows = together * 2 // 3
        return None if follows == now else follows
    raise UsageError(
        f"The agent would refuse to start: its tables of translations have {wish} entries "
        f"({NAT_MAX}), more than the conntrack tables would have together ({together})",
        hint=f"Give a larger size, or make {NAT_MAX} smaller first",
    )


def write(settings: Iterable[Setting]) -> None:
    """Write every setting that is ours to write, each file whole.

    Raises:
        OSError: a folder cannot be written.
    """
    for one in settings:
        if one.file is not None:
            write_whole(one.file, one.new_text, mode=_mode(one.file))


def put_back(file: Path, text: str | None, written: str | None) -> bool:
    """Give a file what it had before; one that somebody changed since stays.

    Args:
        file: the option's file.
        text: what it had, None where it was not there.
        written: what was written into it, None if it was removed.

    Returns:
        Whether the file is as it was.

    Raises:
        OSError: the folder cannot be written.
    """
    now = read_file(file)
    if now != written:
        return now == text
    if text is None:
        file.unlink(missing_ok=True)
    else:
        write_whole(file, text, mode=_mode(file))
    return True


def read_file(file: Path) -> str | None:
    """What an option's file has, None where there is none."""
    return agentflags.read_text(file.parent, file.name, _LARGEST)


def _setting(agent: AgentProcess | None, option: str, now: str, value: str) -> Setting:
    if agent is None:
        deed = (
            f"set it to {value} where the agent is configured; none can be seen that could be asked"
        )
        return Setting(option, now, value, deed=deed, undo=_set_back(option, now))
    pid = agent.process.pid
    for where, given in (
        (f"on the command line of process {pid}", agentflags.arguments(agent.process.argv)),
        (f"in the environment of process {pid}", agentflags.environment(procs.environment(pid))),
    ):
        if option in given:
            deed = f"it is set {where}, where it has to be {value}"
            return Setting(option, given[option], value, deed=deed, undo=_set_back(option, now))
    folder = agent.flags.get(agentflags.CONFIG_DIR)
    if not folder:
        deed = f"the agent has no configuration folder; start it with --{option}={value}"
        return Setting(option, now, value, deed=deed, undo=_set_back(option, now))
    return _in_folder(agent, path_in(agent, Path(folder)), option, now, value)


def _in_folder(agent: AgentProcess, folder: Path, option: str, now: str, value: str) -> Setting:
    file = folder / _name_in(folder, option)
    if (folder / "..data").is_symlink() or file.is_symlink():
        map_of = _config_map(agent, folder)
        text = read_file(file)
        before = json.dumps(text.strip()) if text is not None else "null"
        return Setting(
            option,
            now,
            value,
            deed=_patch(map_of, file.name, json.dumps(value)),
            undo=_patch(map_of, file.name, before),
            shared=True,
        )
    if not os.access(folder, os.W_OK):
        deed = f"set it to {value} where {folder} comes from, which cannot be written here"
        return Setting(option, now, value, deed=deed, undo=_set_back(option, now))
    return Setting(option, now, value, file=file, text=read_file(file))


def _name_in(folder: Path, option: str) -> str:
    """The name an option has in a folder: an old one where only that is set."""
    old = {new: name for name, new in agentflags.RENAMED.items()}.get(option)
    if old and (folder / old).exists() and not (folder / option).exists():
        return old
    return option


def _config_map(agent: AgentProcess, folder: Path) -> tuple[str, str]:
    """Namespace and name of the ConfigMap a folder comes from; Helm's where nothing tells."""
    found = _SOURCE.search(read_file(folder / "config-sources") or "")
    if found:
        return found[1], found[2]
    return namespace_of(agent), "cilium-config"


def namespace_of(agent: AgentProcess) -> str:
    """The agent's namespace in Kubernetes; Helm's where it does not tell."""
    told = procs.environment(agent.process.pid).get("CILIUM_K8S_NAMESPACE", "")
    return told if re.fullmatch(r"[a-z0-9-]{1,63}", told) else "kube-system"


def _patch(map_of: tuple[str, str], key: str, value: str) -> str:
    data = f'{{"data":{{{json.dumps(key)}:{value}}}}}'
    return f"kubectl -n {map_of[0]} patch configmap {map_of[1]} --type merge -p {shlex.quote(data)}"


def _set_back(option: str, now: str) -> str:
    return f"set {option} to {now} again" if now else f"set {option} as it was"


def _mode(file: Path) -> int:
    try:
        return stat.S_IMODE(file.stat().st_mode)
    except FileNotFoundError:
        return 0o644
