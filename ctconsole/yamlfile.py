"""Small YAML files of somebody else's form: read within a bound, with no key that is not known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ctconsole.errors import MissingFeatureError, UsageError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

_LARGEST: Final = 1 << 20
"""Bytes of a configuration, a password or a token; they have a few hundred."""


def read_small(path: Path) -> str:
    """The text of a file.

    Raises:
        UsageError: it cannot be read, is too large, or is no text.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST + 1)
        if len(content) > _LARGEST:
            raise UsageError(f"{path} is too large")
        return content.decode()
    except (OSError, UnicodeDecodeError) as error:
        said = error.strerror if isinstance(error, OSError) else "it is no text"
        raise UsageError(f"{path} cannot be read: {said}") from error


def read_yaml(path: Path, what: str) -> object:
    """What a file holds.

    Args:
        path: the file.
        what: it is to be, for the sentences: ``web configuration``.

    Raises:
        MissingFeatureError: there is no library for YAML.
        UsageError: it cannot be read, or is no YAML; says in which line.
    """
    try:
        import yaml
    except ModuleNotFoundError as error:
        raise MissingFeatureError(
            f"A {what} needs yaml", hint="pip install 'ctconsole[web]'"
        ) from error
    text = read_small(path)
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        place = getattr(error, "problem_mark", None)
        where = f", line {place.line + 1}" if place else ""
        raise UsageError(f"{path}{where}: this is no YAML") from error


def mapping(found: object, path: Path, known: Collection[str], what: str) -> Mapping[str, Any]:
    """A mapping of these keys only; an empty one where nothing was written.

    Raises:
        UsageError: it is none, or has a key that nobody here carries out.
    """
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise UsageError(f"{path} is no {what}", hint=f"It has {', '.join(sorted(known))}")
    unknown = sorted(str(key) for key in found if key not in known)
    if unknown:
        raise UsageError(
            f"{path}: {', '.join(unknown)} is not known here",
            hint=f"Known are {', '.join(sorted(known))}",
        )
    return found
