from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest

from ctconsole.lab.server import find_nginx


@pytest.mark.parametrize("server", ["nginx", "small"])
def test_inbound_goes_as_the_article_says(server: str) -> None:
    assert find_nginx()
    argv = [sys.executable, "-m", "ctconsole", "lab", "tour", "inbound", "--json"]
    done = subprocess.run([*argv, "--server", server], capture_output=True, text=True, check=False)
    result = json.loads(done.stdout)
    (case,) = result["cases"]
    assert [step for step in case["steps"] if not step["ok"]] == []
    assert (result["ok"], case["ok"], case["name"], done.returncode) == (True, True, "inbound", 0)
    seen = {step["name"]: step["seen"] for step in case["steps"]}
    flow = r"TCP IN 10\.5\.224\.91:\d+ -> 10\.5\.5\.5:80 expires=\d+ RxPackets=(\d+) "
    before, after = (
        re.match(flow, seen[name])
        for name in ("its CT entry is created", 'the CT entry "came back"')
    )
    assert before
    assert after
    assert int(after[1]) >= 1
    assert ("nginx" if server == "nginx" else "ctconsole-lab") in seen[
        "the server answers what is typed with 400"
    ]
    assert "Traceback" not in done.stderr


def test_an_unknown_case_is_refused_with_the_cases_there_are() -> None:
    argv = [sys.executable, "-m", "ctconsole", "lab", "tour", "nonsense"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "nonsense" in done.stderr
    assert "inbound" in done.stderr
