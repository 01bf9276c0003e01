"""Which map the words of a command line mean."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ctconsole.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from click.shell_completion import CompletionItem

    from ctconsole.model.spec import MapInfo


class MapWord(click.ParamType[str]):
    """A map as people name it; completed by the shell with the pins of the node."""

    name = "map"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """See click; who presses tab is told nothing."""
        del param
        from contextlib import redirect_stderr, suppress
        from io import StringIO

        from click.shell_completion import CompletionItem

        from ctconsole.cli.place import the_place
        from ctconsole.errors import CtconsoleError
        from ctconsole.observe.agents import find_globals

        names: list[str] = []
        with suppress(CtconsoleError, OSError), redirect_stderr(StringIO()):
            given, lab = ctx.params.get("bpf_root"), ctx.params.get("lab_name")
            folder = find_globals(the_place(given, lab, writes=False).bpf_root)
            names = sorted(path.name for path in folder.iterdir())
        return [
            CompletionItem(name)
            for name in names
            if name.startswith((incomplete, f"cilium_{incomplete}"))
        ]


maps_argument = click.argument("maps", nargs=-1, metavar="[MAP]...", type=MapWord())
"""``[MAP]...``, handed over as ``maps``; none means all."""


class MapsMeant:
    """The maps that words mean, as they come by one after the other.

    Args:
        words: names, short names, paths or ids; none means every map.
    """

    def __init__(self, words: Sequence[str]) -> None:
        self._words = words
        self._unseen = set(words)
        self._names: dict[str, None] = {}

    def __bool__(self) -> bool:
        """Whether some are named at all."""
        return bool(self._words)

    def takes(self, info: MapInfo) -> bool:
        """Whether this map is meant."""
        self._names[info.label] = None
        found = {word for word in self._words if _means(word, info)}
        self._unseen -= found
        return bool(found) or not self._words

    def check(self, where: str) -> None:
        """Refuse words that meant none of the maps that came by.

        Args:
            where: in which place they were looked for.

        Raises:
            UsageError: there is such a word.
        """
        if missing := [word for word in self._words if word in self._unseen]:
            raise no_map(f"There is no map {', '.join(missing)} {where}", missing[0], self._names)


def _means(word: str, info: MapInfo) -> bool:
    from ctconsole.model.catalogue import is_called

    if "/" in word:
        return info.pin is not None and Path(str(info.pin)) == Path(word).absolute()
    return is_called(info.label, word) or (word.isdigit() and info.id == int(word))


def find_pin(folder: Path, word: str) -> Path:
    """The pin in a folder that a word means, whether or not anything is there."""
    from ctconsole.model.catalogue import is_called

    if "/" in word:
        return Path(word)
    try:
        names = sorted(path.name for path in folder.iterdir())
    except OSError:
        return folder / word
    return folder / next((name for name in names if is_called(name, word)), word)


def find_map(name: str, pinned: Mapping[Path, MapInfo], root: Path) -> MapInfo:
    """The map that a name, a short name, a path or an id means, of those pinned below ``root``.

    Raises:
        UsageError: none or several.
    """
    found = [info for path, info in pinned.items() if path.name == name]
    if not found:
        found = [info for info in pinned.values() if _means(name, info)]
    if len(found) == 1:
        return found[0]
    if found:
        pins = ", ".join(str(info.pin) for info in found)
        raise UsageError(f"{name} is pinned several times: {pins}", hint="Give the path")
    known = dict.fromkeys(path.name for path in pinned)
    raise no_map(f"No map {name} is pinned below {root}", name, known)


def is_meant(word: str, row: Mapping[str, Any]) -> bool:
    """Whether a word means the map of a row as ``map list`` has it."""
    from ctconsole.model.catalogue import is_called

    if "/" in word:
        return str(row["path"]) == str(Path(word).absolute())
    return is_called(row["name"], word) or (word.isdigit() and row["id"] == int(word))


def no_map(sentence: str, word: str, known: Iterable[str]) -> UsageError:
    """That there is no such map, and which may be meant."""
    from ctconsole.model.catalogue import short_name
    from ctconsole.model.filter.rules import meant

    names = list(known)
    return UsageError(
        sentence, hint=meant(word, [*names, *map(short_name, names)]) or "See ctconsole map list"
    )


def passing(word: str | None) -> Callable[[Path], bool]:
    """Whether a pin is meant by a word that may be missing."""
    from ctconsole.model.catalogue import is_called

    return lambda path: word is None or word == str(path) or is_called(path.name, word)
