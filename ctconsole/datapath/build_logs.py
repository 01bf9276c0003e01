"""What matters in the logs of clang and of the kernel's verifier."""

from __future__ import annotations

import re

_ERROR = re.compile(r"\b(fatal )?error:")
_OTHER = re.compile(r" (warning|note):|^In file included|^[\d a-z]+ generated\.$")
_TOTALS = re.compile(r"^(processed \d+ insns|verification time|stack depth|max_states)")
_CLANG_LINES = 30
_VERIFIER_LINES = 20


def clang_errors(text: str) -> str:
    """Clang's errors with the source lines they point at; warnings and tracebacks are left out.

    Where there is no error of clang's (bcc itself failed), the last lines instead.
    """
    kept: list[str] = []
    keeping = False
    for line in text.split("Traceback (most recent call last):", 1)[0].splitlines():
        if _ERROR.search(line):
            keeping = True
        elif _OTHER.search(line):
            keeping = False
        if keeping:
            kept.append(line)
    if not kept:
        kept = text.strip().splitlines()[-5:]
    return "\n".join(kept[:_CLANG_LINES])


def verifier_end(text: str) -> str:
    """The instructions that led to the refusal and the refusal, without the totals after it."""
    lines = [line for line in text.splitlines() if line.strip() and not _TOTALS.match(line)]
    cut = len(lines) - _VERIFIER_LINES
    if cut > 0:
        return "\n".join([f"... {cut} lines before", *lines[-_VERIFIER_LINES:]])
    return "\n".join(lines)
