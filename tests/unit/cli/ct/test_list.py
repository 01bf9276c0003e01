"""``ct list`` on dump files, as a person starts it."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.support.captures import CAPTURES, FOLDERS, dump_files, printed
from tests.support.terminals import printed_on_terminal

if TYPE_CHECKING:
    from pathlib import Path

SVC = dump_files("real-1.18-svc")
NAT = CAPTURES / "handmade-1.9" / "cilium_snat_v4_external.bpftool.json"


def ct_list(*arguments: str, dumps: list[Path]) -> subprocess.CompletedProcess[bytes]:
    files = [part for path in dumps for part in ("--from-dump", str(path))]
    command = [sys.executable, "-m", "ctconsole", "ct", "list", *arguments, *files]
    return subprocess.run(command, capture_output=True, check=False)


@pytest.mark.parametrize("folder", FOLDERS)
def test_cilium_output_guesses_the_layout_and_orders_the_maps(folder: str) -> None:
    done = ct_list("-v", "--output", "cilium", dumps=dump_files(folder)[::-1])
    assert (done.returncode, done.stdout) == (0, printed(folder, "ct-list.txt"))
    assert done.stderr.startswith(f"layout {folder.split('-')[1]}: ".encode())


def test_cilium_json_says_that_1_9_repeats_keys() -> None:
    done = ct_list("-o", "cilium-json", "--layout", "1.9", dumps=dump_files("handmade-1.9"))
    assert (done.returncode, done.stdout) == (0, printed("handmade-1.9", "ct-list.json"))
    assert b"last key for all" in done.stderr
    quiet = ct_list("-o", "cilium-json", "--layout", "1.18", dumps=SVC)
    assert (quiet.stdout, quiet.stderr) == (printed("real-1.18-svc", "ct-list.json"), b"")


def test_time_diff_counts_from_the_given_clock() -> None:
    done = ct_list("-d", "--now", "4325", "-o", "cilium", dumps=SVC)
    assert done.stdout == printed("real-1.18-svc", "ct-list-timediff.txt")


@pytest.mark.parametrize(
    "arguments",
    [
        ("-d",),
        ("-d", "-o", "cilium"),
        ("--map-id", "1"),
        ("--layout", "1.8"),
        ("--from-dump", "/nowhere"),
    ],
)
def test_what_cannot_be_meant_is_exit_code_2(arguments: tuple[str, ...]) -> None:
    done = ct_list(*arguments, dumps=SVC)
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"Traceback" not in done.stderr


def test_our_json_of_several_files() -> None:
    done = ct_list("-o", "json", "--now", "4325", dumps=SVC)
    found = json.loads(done.stdout)
    assert [entry["map"] for entry in found] == [
        *["cilium_ct4_global"] * 3,
        *["cilium_ct_any4_global"] * 2,
    ]
    assert {entry["alive"] for entry in found} == {True}


def test_a_map_of_another_size_is_shown_as_hexadecimal() -> None:
    done = ct_list(dumps=[NAT])
    assert done.returncode == 0
    assert b"keys of 14 and values of 40 bytes: no conntrack map" in done.stderr
    assert b"key 0a 01 01 01 0a 00 00 0a 00 50 a8 ca 06 00  value 00 9e 51" in done.stdout


def test_a_map_with_sizes_like_conntrack_is_told_by_its_name(tmp_path: Path) -> None:
    nat6 = tmp_path / "cilium_snat_v6_external.json"
    nat6.write_bytes(dump_files("handmade-1.9")[2].read_bytes())
    done = ct_list("-o", "ndjson", dumps=[nat6])
    assert (done.returncode, done.stdout) == (0, b"")
    assert b"cilium_snat_v6_external has keys of 38" in done.stderr


def test_a_conntrack_map_that_cannot_be_listed_is_a_failure(tmp_path: Path) -> None:
    short = tmp_path / "cilium_ct4_global.json"
    short.write_text(f'[{{"key":{["0x00"] * 14},"value":{["0x00"] * 48}}}]'.replace("'", '"'))
    done = ct_list("-o", "cilium", dumps=[short])
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"values of 48 bytes" in done.stderr


def test_a_truncated_file_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    cut = tmp_path / SVC[0].name
    cut.write_bytes(SVC[0].read_bytes()[:1100])
    done = ct_list("--layout", "1.18", "-o", "cilium", dumps=[cut, SVC[1]])
    whole = printed("real-1.18-svc", "ct-list.txt").split(b"\n")
    assert done.returncode == 1
    assert done.stdout.split(b"\n")[:2] == whole[:2]
    assert done.stdout.split(b"\n")[3] == whole[4]
    assert f"{cut} is damaged at byte ".encode() in done.stderr


def test_a_closed_pipe_is_no_error() -> None:
    files = [part for path in SVC * 200 for part in ("--from-dump", str(path))]
    command = [sys.executable, "-m", "ctconsole", "ct", "list", "-v", "-o", "cilium-json", *files]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stderr
        assert process.stdout.read(2) == b"[\n"
        process.stdout.close()
        said = process.stderr.read()
    assert process.returncode == 0
    assert said.startswith(b"layout 1.18")
    assert said.count(b"\n") == 1


CT4 = CAPTURES / "real-1.18-svc" / "cilium_ct4_global.bpftool.json"


def rows_of(*arguments: str) -> list[dict[str, object]]:
    done = ct_list("-o", "ndjson", *arguments, dumps=[CT4])
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_entries_are_sorted_cut_and_shown_by_the_fields_asked_for() -> None:
    every = rows_of()
    largest = rows_of("--sort", "bytes", "--limit", "2")
    counts = sorted((int(str(row["bytes"])) for row in every), reverse=True)
    assert [row["bytes"] for row in largest] == counts[:2]
    assert [row["bytes"] for row in rows_of("--sort", "-bytes")] == counts[::-1]
    assert {*rows_of("--columns", "dir,proto")[0]} == {"direction", "protocol"}
    text = ct_list("--sort", "bytes", "--limit", "1", dumps=[CT4]).stdout.decode()
    assert f"{len(every)} entries" in text
    assert "; 1 shown" in text.splitlines()[0]
    assert len(text.splitlines()) == 4
    csv = ct_list("-o", "csv", "--columns", "dir", "--limit", "3", dumps=[CT4]).stdout.split()
    assert (csv[0], len(csv)) == (b"direction", 4)


def test_maps_are_named_as_people_name_them() -> None:
    assert {row["map"] for row in rows_of("ct4")} == {"cilium_ct4_global"}
    refused = ct_list("any4", dumps=[CT4])
    assert refused.returncode == 2
    assert b"There is no map any4 in the files" in refused.stderr
    assert b"Did you mean" in ct_list("ct44", dumps=[CT4]).stderr
    assert ct_list("ct4", "-o", "cilium", dumps=[CT4]).returncode == 2
    assert b"Did you mean bytes?" in ct_list("--sort", "bites", dumps=[CT4]).stderr


def test_without_doubt_nothing_is_said_on_stderr_but_with_v() -> None:
    assert ct_list(dumps=[CT4]).stderr.count(b"layout") == 0
    assert ct_list("-v", dumps=[CT4]).stderr.startswith(b"layout 1.1")


@pytest.mark.parametrize("columns", [60, 80, 120, 200])
def test_a_table_fits_the_terminal_and_has_its_colours(columns: int) -> None:
    argv = ("ct", "list", "--from-dump", str(CT4))
    plain = printed_on_terminal(*argv, columns=columns, NO_COLOR="1")
    assert max(map(len, plain.splitlines()[1:])) <= columns
    assert "SOURCE" in plain
    assert ("IDENTITY" in plain) == (columns >= 120)
    coloured = printed_on_terminal(*argv, columns=columns, NO_COLOR="")
    assert "\x1b[1mSOURCE\x1b[0m" in coloured
    wide = printed_on_terminal(*argv, "-o", "wide", columns=columns, NO_COLOR="1")
    assert "IDENTITY" in wide
