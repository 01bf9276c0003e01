"""What is told to end while it goes on: it ends where it can say how everything stands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ctconsole.cli.common import message
from ctconsole.errors import CtconsoleError

if TYPE_CHECKING:
    from collections.abc import Callable


def carry_out(act: Callable[[], object]) -> int:
    """Do something that hears by itself of signals that ask this process to end.

    Returns:
        The exit code: 0, or 128 and the signal's number where it did not come to its end because
        of one. Then what it raised is told. What had come too far to be ended is done: 0.

    Raises:
        CtconsoleError: it failed by itself.
    """
    from ctconsole.manager.interrupts import Interrupts

    with Interrupts() as heard:
        try:
            act()
        except (CtconsoleError, KeyboardInterrupt) as error:
            if not heard.noted:
                raise
            if isinstance(error, CtconsoleError):
                message(f"ctconsole: {error}")
            return 128 + heard.noted
    return 0
