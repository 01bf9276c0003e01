"""``ctconsole explain`` on files as operators send them."""

from __future__ import annotations

import json
from pathlib import Path

import click
import pytest

from ctconsole.cli.node.explain import command
from ctconsole.errors import UsageError

CASES = Path(__file__).parents[2] / "data" / "cases"


def run(*words: str) -> None:
    command.main(list(words), standalone_mode=False)


def case(number: str) -> str:
    [file] = CASES.glob(f"{number}-*")
    return str(file)


def shown(capsys: pytest.CaptureFixture[str]) -> str:
    return " ".join(capsys.readouterr().out.split())


def test_a_table_of_half_closed_services_is_told_why(capsys: pytest.CaptureFixture[str]) -> None:
    run("stays", "who", "--from-dump", case("87"))
    told = shown(capsys)
    assert "8 (88.9%) are half-closed, 8 of them of services" in told
    assert "up to 5h 50m" in told
    assert "most by service: TCP 10.96.77.12:80 8 (88.9%)" in told


def test_unanswered_questions_to_a_name_server_are_told(
    capsys: pytest.CaptureFixture[str],
) -> None:
    run("stays", "who", "expires", "--from-dump", case("85"))
    told = shown(capsys)
    assert "6 (100.0%) were never answered and live for a minute each" in told
    assert "UDP 169.254.20.10:53 6 (100.0%)" in told
    assert "The clock stood at 880010" in told
    assert "the default of 1.15 and later for TCP" in told


def test_a_log_alone_answers_what_it_can(capsys: pytest.CaptureFixture[str]) -> None:
    run("recreated", "size", "--from-dump", case("69"))
    told = shown(capsys)
    assert told.count("dynamic sizing of bpf-ct-global-tcp-max follows the node's memory") == 3
    assert "not known: how full any table is" in told


def test_a_log_and_a_listing_are_read_together(capsys: pytest.CaptureFixture[str]) -> None:
    run("-o", "json", "--from-dump", case("62"), "--from-dump", case("87"))
    told = json.loads(capsys.readouterr().out)
    assert [one["question"] for one in told["answers"]][:2] == ["full", "stays"]
    assert len(told["answers"]) == 8
    assert not told["live"]
    [full] = [one for one in told["answers"] if one["question"] == "full"]
    assert full["sentences"][0].startswith("cilium_ct4_global holds 9 entries")
    assert any("an agent's log" in one for one in told["sources"])


def test_a_sysdump_tells_its_nodes_apart(capsys: pytest.CaptureFixture[str]) -> None:
    run("full", "who", "--from-dump", case("70"))
    told = shown(capsys)
    assert "By node: " in told
    assert "cilium-4zq7p: cilium_ct4_global holds 2 of 287,994 entries" in told


def test_a_question_that_is_none_names_those_there_are() -> None:
    with pytest.raises(click.UsageError, match="is none of full, stays, who"):
        run("why")


def test_what_belongs_to_files_is_refused_elsewhere() -> None:
    with pytest.raises(UsageError, match="--over is for live maps"):
        run("--over", "5", "--from-dump", case("87"))


def test_a_scripts_output_answers_from_all_of_its_listings(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "output.txt"
    parts = ("79", "09", "49")
    file.write_text("".join(Path(case(number)).read_text("utf-8") for number in parts), "utf-8")
    run("full", "expires", "insertion", "--from-dump", str(file))
    told = shown(capsys)
    assert "cilium_ct4_global holds 3 of 287,994 entries" in told
    assert "the kernel's jiffies / 256" in told
    assert "15,338" in told
    assert "no conntrack entries are at hand" not in told


def test_a_status_behind_a_long_listing_tells_its_clock(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    entries = Path(case("09")).read_text("utf-8")
    many = "".join(entries.replace("47771", str(10000 + number)) for number in range(100))
    file = tmp_path / "output.txt"
    file.write_text(many + Path(case("79")).read_text("utf-8"), "utf-8")
    run("expires", "--from-dump", str(file))
    assert "the kernel's jiffies / 256" in shown(capsys)


STARTS = {
    "cilium-4zq7p": (
        'level=info msg="Memory available for map entries (0.003% of 30064771072B): 75161927B"\n'
        'level=info msg="option bpf-ct-global-tcp-max set by dynamic sizing to 263725"\n'
    ),
    "cilium-9vv2m": (
        'level=info msg="Memory available for map entries (0.003% of 8589934592B): 21474836B"\n'
        'level=info msg="option bpf-ct-global-tcp-max set by dynamic sizing to 75350"\n'
        'time="2025-03-01T10:00:00.123456Z" level=warning msg="Max entries mismatch for BPF map" '
        "file-path=/sys/fs/bpf/tc/globals/cilium_ct4_global new=75350 old=75100\n"
    ),
}


def test_each_nodes_log_tells_of_its_own_memory(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for pod, text in STARTS.items():
        file = tmp_path / f"logs-{pod}-cilium-agent-20250301-101112.log"
        file.write_text(text, "utf-8")
    run("recreated", "--from-dump", str(tmp_path))
    told = shown(capsys)
    assert "cilium-9vv2m: cilium_ct4_global from 75,100 to 75,350 entries" in told
    assert "which was 28.0 GiB" not in told
    assert "which is 8.0 GiB" in told


def test_a_log_names_the_share_that_a_status_would(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    log, listing = tmp_path / "agent.log", tmp_path / "ct.txt"
    log.write_text(STARTS["cilium-4zq7p"], "utf-8")
    listing.write_bytes(Path(case("79")).read_bytes() + Path(case("09")).read_bytes())
    run("size", "--from-dump", str(log), "--from-dump", str(listing))
    told = shown(capsys)
    assert "not known: the node's memory" not in told


def test_a_change_that_is_not_told_is_not_made_up(capsys: pytest.CaptureFixture[str]) -> None:
    run("recreated", "--from-dump", case("61"))
    told = shown(capsys)
    assert "cilium_ct4_global: the log does not tell what was different" in told
    assert "from to" not in told


def test_a_log_behind_a_listing_and_a_listing_behind_a_log(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    log, listing = Path(case("69")).read_text("utf-8"), Path(case("87")).read_text("utf-8")
    for number, text in enumerate((log + listing, listing + log)):
        file = tmp_path / f"{number}.txt"
        file.write_text(text, "utf-8")
        run("full", "recreated", "--from-dump", str(file))
        told = shown(capsys)
        assert "cilium_ct4_global holds 9 entries" in told
        assert told.count("from 260,580 to 263,725 entries") == 2


FULL = "CT: Map insertion failed"
DROPS = {
    "metric": {"__name__": "cilium_drop_count_total", "reason": FULL},
    "value": [1, "3"],
}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "flows.json",
            '{"flow":{"verdict":"FORWARDED"},"node_name":"a"}\n'
            + '{"flow":{"verdict":"DROPPED","drop_reason":155},"node_name":"a"}\n' * 3,
        ),
        (
            "monitor.json",
            '{"cpu":"CPU 01:","type":"drop","reason":"CT: Map insertion failed"}\n' * 3,
        ),
        (
            "metrics.json",
            json.dumps([{"reason": FULL, "direction": "egress", "packets": 3, "bytes": 9}]),
        ),
        (
            "answer.json",
            json.dumps({"data": {"resultType": "vector", "result": [DROPS]}}),
        ),
    ],
)
def test_drops_are_counted_in_whatever_form_they_come(
    name: str, text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / name).write_text(text)
    run("insertion", "--from-dump", str(tmp_path / name))
    told = shown(capsys)
    assert "3 drops, without the kernel's error" in told


def test_of_several_agents_the_fullest_table_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    series = [
        {
            "metric": {"__name__": "cilium_bpf_map_pressure", "map_name": "ct4_global", "pod": pod},
            "value": [1, share],
        }
        for pod, share in (("cilium-4zq7p", "0.97"), ("cilium-x7k2m", "0.4"))
    ]
    document = {"data": {"resultType": "vector", "result": series}}
    (tmp_path / "a.json").write_text(json.dumps(document))
    run("full", "--from-dump", str(tmp_path / "a.json"))
    assert "ct4_global is 97.0% full" in shown(capsys)
