#!/usr/bin/env bash
# A Ctrl-C that comes while numpy.random is loaded is dropped: no exception, no word, exit code 0.
#
# A signal's handler that raises (KeyboardInterrupt by default, SystemExit where a program ends in
# good order on SIGTERM) interrupts whatever Python code runs. Where Python cannot raise, as objects
# are finalised, it says "Exception ignored in", and sys.unraisablehook is told. Modules that
# Cython made register their generator type with collections.abc as they are initialised, by a call
# into Python code (ABCMeta.register), and clear whatever that raised. So the handler has run, the
# program has "handled" its signal, and goes on as if nobody had pressed a key. numpy.random loads
# a handful of such modules, at the first use of `np.random`, which is where a long run begins.
# The hook is not told either.
#
# Here the signal is sent from within that call, so that it does not depend on the moment; on a
# busy machine one of fifteen signals sent during the start of a program met it by itself.
#
# Seen with NumPy 2.4.6, CPython 3.11, Linux x86_64.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --only-binary :all: numpy==2.4.6

"$folder/venv/bin/python" - <<'PYTHON'
import abc
import signal
import sys
from collections.abc import Sequence

import numpy

real, sent, told = abc.ABCMeta.register, [], []


def register(cls, subclass):
    if not sent and subclass.__module__.startswith("numpy.random") and cls is Sequence:
        sent.append(f"{subclass.__module__}.{subclass.__name__} as a {cls.__name__}")
        signal.raise_signal(signal.SIGINT)
    return real(cls, subclass)


abc.ABCMeta.register = register
sys.unraisablehook = told.append
print("numpy", numpy.__version__)
try:
    numpy.random
except KeyboardInterrupt:
    sys.exit("KeyboardInterrupt came through: this is not so any more")
if not sent:
    sys.exit("numpy.random registers no sequence as it is loaded: this is not so any more")
print(f"SIGINT came while {sent[0]} was registered")
print(f"numpy.random is loaded, KeyboardInterrupt is gone; sys.unraisablehook was told {len(told)} times")
if told:
    sys.exit("the hook was told: this is not so any more")
PYTHON
