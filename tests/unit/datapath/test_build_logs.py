from __future__ import annotations

from ctconsole.datapath.build_logs import clang_errors, verifier_end

CLANG = """\
In file included from <built-in>:4:
/tree/include/x.h:1:9: warning: 'A' macro redefined [-Wmacro-redefined]
#define A 1
        ^
/virtual/main.c:3:9: error: use of undeclared identifier 'nothing'
        return nothing;
               ^
1 warning and 1 error generated.
Traceback (most recent call last):
  File "worker.py", line 1, in <module>
Exception: Failed to compile BPF module <text>
"""


def test_clang_s_errors_are_kept_and_the_rest_is_not() -> None:
    assert clang_errors(CLANG).splitlines() == [
        "/virtual/main.c:3:9: error: use of undeclared identifier 'nothing'",
        "        return nothing;",
        "               ^",
    ]


def test_a_failure_that_is_not_clang_s_keeps_its_last_lines() -> None:
    text = "Traceback (most recent call last):\n  File x\nOSError: libbcc.so.0: not found\n"
    assert clang_errors(text).endswith("OSError: libbcc.so.0: not found")


def test_the_end_of_a_verifier_log_is_kept_without_its_totals() -> None:
    steps = [f"{number}: (bf) r1 = r6" for number in range(100)]
    text = "\n".join([*steps, "R0 !read_ok", "processed 101 insns (limit 1000000)", ""])
    lines = verifier_end(text).splitlines()
    assert lines[0] == "... 81 lines before"
    assert lines[1] == steps[81]
    assert lines[-1] == "R0 !read_ok"
