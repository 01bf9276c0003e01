"""How the many modules are loaded that are needed before there is anything to see."""

from __future__ import annotations

import gc
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def loading() -> Iterator[None]:
    """Import what is imported within, without a look for garbage.

    Modules make many objects and hardly any garbage, and stay to the end: to look through them
    takes a twelfth of a console's start, and would halt its screen from time to time later.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
