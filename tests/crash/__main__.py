"""``make crash``: break off and double whatever changes a node, and look whether it is whole.

Signals at random moments of restart, recreate, flush, resize, undo, guard, lab up, lab demo and
the console, with connections through the lab that have to live on; two of everything at once;
names, answers, logs and archives that mean no good. Prints every try that went wrong and the
sums; any is exit code 1.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from ctconsole.lab import folders, lifecycle
from ctconsole.lab.signals import stopping
from tests.crash import deeds, hostile
from tests.crash.node import node
from tests.support.guard import MARK, default_signals, end_tree, marked

DEEDS = {**deeds.DEEDS, **hostile.DEEDS}


def main() -> int:
    """Run the tries asked for."""
    parser = argparse.ArgumentParser(prog="make crash", description=__doc__)
    parser.add_argument("--tries", type=int, default=52, help="in all, spread over the deeds")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    parser.add_argument("--verbose", action="store_true", help="print every try")
    parser.add_argument("deeds", nargs="*", metavar="DEED", help=f"of {', '.join(DEEDS)}")
    options = parser.parse_args()
    unknown = sorted(set(options.deeds) - set(DEEDS))
    if unknown:
        parser.error(f"no deed is called {', '.join(unknown)}; there are {', '.join(DEEDS)}")
    default_signals()
    os.environ[MARK] = f"crash-{os.getpid()}"
    with stopping(), tempfile.TemporaryDirectory(prefix="ctt-") as folder:
        os.environ["CTCONSOLE_RUN_DIR"] = folder
        print(f"seed {options.seed}", flush=True)
        try:
            kinds = run(options.deeds or list(DEEDS), options.tries, options.seed, options.verbose)
        finally:
            # Whoever builds a lab first, so that none comes after the last one went.
            for pid in marked():
                end_tree(pid)
            lifecycle.clean_dead()
            for lab in folders.all_labs():
                lifecycle.down(lab)
        left = [str(path) for path in Path(folder, "labs").glob("*")]
    kinds.update("file" for _ in left)
    print("\n".join(f"left: {path}" for path in left))
    sums = (
        ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
        or "nothing lost or left"
    )
    print(f"{options.tries} tries: {sums}")
    return 1 if kinds else 0


def run(names: list[str], tries: int, seed: int, verbose: bool) -> Counter[str]:  # noqa: FBT001 - the flag's value
    """So many tries over these deeds; how often each kind of fault was seen."""
    found: Counter[str] = Counter()
    chance = random.Random(seed)  # noqa: S311 - nothing secret
    with node(f"crash-{os.getpid()}") as lab:
        for number in range(tries):
            started = time.monotonic()
            name = names[number % len(names)]
            try:
                tried = DEEDS[name](lab, chance)
            except subprocess.TimeoutExpired as error:
                tried = deeds.Tried(name, [f"hangs: {error.cmd!r}", *lab.faults()])
            found.update(fault.partition(":")[0] for fault in tried.faults)
            if verbose or tried.faults:
                seconds = time.monotonic() - started
                verdict = "; ".join(tried.faults) or "whole"
                print(f"{number + 1:4} {tried.what} ({seconds:.1f} s): {verdict}", flush=True)
    return found


if __name__ == "__main__":
    sys.exit(main())
