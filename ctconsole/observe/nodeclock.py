"""What a node's entries are stamped with, where no agent tells."""

from __future__ import annotations

import os
import re
from pathlib import Path

from ctconsole.errors import CtconsoleError
from ctconsole.kernel import clock
from ctconsole.model.ct.clock import ClockSource, guess_clock

_SAMPLE = 4096


def clock_of_entries(folder: Path) -> tuple[ClockSource, str] | None:
    """What the lifetimes in the tables count, by where they lie, and the reason for a person.

    None where they do not tell, or where jiffies cannot be turned into seconds.
    """
    try:
        paths = sorted(folder.glob("cilium_ct*"))
    except OSError:
        return None
    if not paths:
        return None
    # Most nodes tell their clock: what reads maps is loaded where none does.
    from ctconsole.kernel.maps import BpfMap
    from ctconsole.model.ct.layout import Layout, value_dtype
    from ctconsole.observe.source import is_conntrack

    for path in paths:
        try:
            with BpfMap.open(path) as live:
                if not is_conntrack(live.info):
                    continue
                _, values = next(live.read_chunks(_SAMPLE), (None, None))
            if values is None:
                continue
            # Lifetimes stand at the same place in every layout.
            lifetimes = values.view(value_dtype(Layout.V1_9))["lifetime"].reshape(-1)
            mode = guess_clock(lifetimes, clock.ktime(), clock.jiffies() >> clock.JIFFIES_SHIFT)
            hertz = clock.measured_hertz() if mode == "jiffies" else None
        except CtconsoleError:
            continue
        if mode == "ktime" or hertz:
            reason = f"guessed: the lifetimes in {path.name} lie around now by that clock"
            return ClockSource(mode or "ktime", hertz or 0), reason
    return None


def kernel_hertz() -> int | None:
    """CONFIG_HZ of the running kernel, from its config file; None where there is none."""
    try:
        text = Path(f"/boot/config-{os.uname().release}").read_text("utf-8", "replace")
    except OSError:
        return None
    found = re.search(r"^CONFIG_HZ=([0-9]+)$", text, re.MULTILINE)
    return int(found[1]) if found else None
