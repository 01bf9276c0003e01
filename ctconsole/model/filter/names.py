"""What a saved filter may be called, and how it is named in another."""

from __future__ import annotations

import re
from typing import Final

SIGN: Final = "@"
"""Stands before the name of a saved filter."""

NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
"""What one may be called."""
