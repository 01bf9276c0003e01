"""How labs and their namespaces are called."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ctconsole.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Container

PREFIX = "ctlab-"
"""Every network namespace of every lab starts with this, and nothing else does."""

DEFAULT = "lab"
"""What a lab is called when nobody says."""

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,29}[a-z0-9])?")


def check(name: str) -> str:
    """The name as it is; `UsageError` unless it fits a file name and a namespace name."""
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} cannot name a lab",
            hint="Use 1 to 31 of a-z, 0-9 and -, with a letter or digit at both ends",
        )
    return name


def namespace(lab: str, role: str) -> str:
    """The network namespace in which ``role`` (``node``, ``server``, ...) of a lab lives."""
    return f"{PREFIX}{lab}-{role}"


def free(base: str, taken: Container[str]) -> str:
    """``base`` itself, or ``base-2``, ``base-3``, ... : the first not in ``taken``."""
    if base not in taken:
        return base
    number = 2
    while f"{base}-{number}" in taken:
        number += 1
    return f"{base}-{number}"
