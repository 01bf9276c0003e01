from __future__ import annotations

import json
import subprocess
import sys


def test_a_foreign_agents_restart_and_split_brain_are_told_right() -> None:
    argv = [sys.executable, "-m", "ctconsole", "lab", "tour", "foreign-restart", "split-brain"]
    done = subprocess.run([*argv, "--json"], capture_output=True, text=True, check=False)
    result = json.loads(done.stdout)
    wrong = [step for case in result["cases"] for step in case["steps"] if not step["ok"]]
    assert wrong == []
    assert [case["name"] for case in result["cases"]] == ["foreign-restart", "split-brain"]
    seen = {step["name"]: step["seen"] for case in result["cases"] for step in case["steps"]}
    assert "200 entries lost" in seen["one story tells it right"]
    assert "--map-id" in seen["the pin is new, the programs are not: an alarm"]
    assert done.returncode == 0
    assert "Traceback" not in done.stderr
