"""The tour's cases on services, policy, IPv6, NAT and tables: each step as it should be."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest


def tour(name: str) -> dict[str, str]:
    """Run one case as a person does; what was seen, by step."""
    argv = [sys.executable, "-m", "ctconsole", "lab", "tour", name, "--json", "--server", "small"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    (case,) = json.loads(done.stdout)["cases"]
    assert [step for step in case["steps"] if not step["ok"]] == []
    assert (case["name"], case["ok"], done.returncode) == (name, True, 0)
    assert "Traceback" not in done.stderr
    return {step["name"]: step["seen"] for step in case["steps"]}


def test_service() -> None:
    seen = tour("service")
    for step in ("the CT entries are created", 'the CT entries "came back"'):
        service, *flows = seen[step].splitlines()
        assert re.match(
            r"TCP OUT 10\.96\.0\.10:80 -> 10\.5\.5\.6:\d+ service .*RxBytes=1 ", service
        )
        assert sorted(line.split()[1] for line in flows) == ["IN", "OUT"]


def test_service_random() -> None:
    seen = tour("service-random")
    broke = {
        name: int(text.split(", ")[1].split()[0]) for name, text in seen.items() if " broke" in text
    }
    assert broke.pop("picked at random, some reach another backend and break") > 0
    assert set(broke) == {
        "with session affinity all live on",
        "with one backend all live on",
        "with Maglev all live on",
    }
    assert set(broke.values()) == {0}


def test_policy() -> None:
    seen = tour("policy")
    assert "nothing found" in seen["after the restart the server's line is denied"]
    assert "TCP IN" in seen["when the client speaks, the entry comes back and the line with it"]
    assert "TCP OUT" in seen["and makes an entry of the opposite direction"]


def test_ipv6() -> None:
    seen = tour("ipv6")
    assert "TCP IN fd05:e0::5b:" in seen['the CT entries "came back"']
    assert "fd96::10:80" in seen['the CT entries "came back"']


def test_nat() -> None:
    seen = tour("nat")
    assert seen["the NAT table has it both ways"].count("XLATE") == 2
    assert "from 203.0.113.90:" in seen["outside a pod's connection comes from the node"]


def test_per_endpoint() -> None:
    seen = tour("per-endpoint")
    assert seen["a new pod has tables of its own"].count("with 64000") == 4
    assert seen["the tables go with their pod"] == "none is left"


def test_map_full() -> None:
    seen = tour("map-full")
    refused = seen["a plain hash table of that size refuses what does not fit"]
    assert re.match(r"1024 entries, \d+ packets dropped with reason 155 ", refused)
    evicted = seen["the agent estimates how many entries were evicted"]
    assert 2976 <= int(evicted.removeprefix("about ")) <= 5024


def test_resize_up() -> None:
    seen = tour("resize-up")
    counted = seen["each entry counts exactly what its socket sent and got"]
    assert counted == "packets and bytes of 204 connections"
    assert seen["every connection goes on"].endswith("none missing")


def test_resize_down() -> None:
    seen = tour("resize-down")
    assert "none lost" in seen["the tables are resized to 32768"]


def test_kill_during_resize() -> None:
    seen = tour("kill-during-resize")
    assert "switch: " in seen["the command is killed in the middle"]


def test_recreate_forecast() -> None:
    seen = tour("recreate-forecast")
    assert re.match(r"\d+ of 24: ", seen["of those forecast to break, some did"])


def test_guard() -> None:
    seen = tour("guard")
    assert "200 entries carried over" in seen["every entry is in the new one"]
    assert "200 of 200 entries were found" in seen["every entry is in the new one"]
    counted = seen["each entry counts exactly what its socket got"]
    assert counted == "packets and bytes of 200 connections"


def test_pre_stage() -> None:
    seen = tour("pre-stage")
    assert "bpf-ct-global-tcp-max: 32768 -> 65536" in seen["the plan names setting and command"]
    assert seen["every entry is in the new table"] == "200 of 200"
    assert seen["who talks all the time misses nothing"].endswith(" 0 missing")


# Three agents compile their programs, and the client of Kubernetes is loaded for each command.
@pytest.mark.timeout(1500)
def test_fleet() -> None:
    seen = tour("fleet")
    killed = seen["the run is killed while the second node is at work"]
    assert killed.startswith("tables of 65536, ")
    assert "bpf-ct-global-tcp-max is 65536" in killed
    resumed = seen["resumed, it asks that node and goes on with the others"].splitlines()
    assert len(resumed) == 3
    assert (
        "every node of this run has the size before again"
        in seen[
            "trouble on the second node keeps the third from being begun, and leads the first back"
        ]
    )
    assert seen["every connection on every node goes on"].endswith("none missing")
