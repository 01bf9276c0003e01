"""The same listing as other programs hand it on: every entry is the same, whatever carried it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ctconsole.observe.offline import read_offline

if TYPE_CHECKING:
    from collections.abc import Callable

CASES = Path(__file__).parents[2] / "data" / "cases"


def case(number: str) -> list[str]:
    [file] = CASES.glob(f"{number}-*")
    lines = file.read_text("utf-8").splitlines()
    return [line for line in lines if "expires=" in line or "XLATE_" in line]


def content(folder: Path, text: str) -> tuple[list[tuple[str, bytes, bytes]], list[object], int]:
    """Entries, rows, and how many lines are told."""
    file = folder / "listing.txt"
    file.write_bytes(text.encode())
    found = read_offline([file])
    said = "\n".join([*found.notes, *found.problems, *(one.problem for one in found.maps)])
    maps = sorted((m.info.label, m.keys.tobytes(), m.values.tobytes()) for m in found.maps)
    rows: list[object] = [row for one in found.printed for row in one.rows]
    return maps, rows, len(re.findall(r"\n  line \d+: ", said))


def stamp(number: int) -> str:
    return f"2024-05-10T11:22:{number:02}.123456789Z"


CARRIERS: dict[str, Callable[[list[str]], str]] = {
    "the journal as JSON": lambda lines: "\n".join(
        json.dumps({"__REALTIME_TIMESTAMP": "1", "_HOSTNAME": "node-a", "MESSAGE": line})
        for line in lines
    ),
    "Docker's log files": lambda lines: "\n".join(
        json.dumps({"log": f"{line}\n", "stream": "stdout", "time": stamp(0)}).replace(
            ">", "\\u003e"
        )
        for line in lines
    ),
    "kubectl logs --prefix --timestamps": lambda lines: "\n".join(
        f"[pod/cilium-4zq7p/cilium-agent] {stamp(n)} {line}" for n, line in enumerate(lines)
    ),
    "stern": lambda lines: "\n".join(f"cilium-4zq7p cilium-agent {line}" for line in lines),
    "docker compose": lambda lines: "\n".join(f"agent-1  | {stamp(0)} {x}" for x in lines),
    "syslog": lambda lines: "\n".join(f"May 10 11:22:33 node-a cilium[12]: {x}" for x in lines),
    "lines ended by CR": "\r".join,
    "lines ended by CRLF": lambda lines: "\r\n".join(lines) + "\r\n",
    "a page": lambda lines: "\n".join(line.replace(">", "&gt;") for line in lines),
    "blanks that do not break": lambda lines: "\n".join(lines).replace(" ", "\u00a0"),
    "a spreadsheet": lambda lines: "".join(f'"{line}";\r\n' for line in lines),
    "numbered": lambda lines: "\n".join(f"{n:6}\t{x}" for n, x in enumerate(lines)),
}


@pytest.mark.parametrize("number", ["09", "40"])
@pytest.mark.parametrize("carried", CARRIERS.values(), ids=CARRIERS)
def test_what_carried_a_listing_changes_nothing(
    tmp_path: Path, number: str, carried: Callable[[list[str]], str]
) -> None:
    lines = case(number)
    maps, rows, _ = content(tmp_path, "\n".join(lines))
    assert maps or rows
    assert content(tmp_path, carried(lines)) == (maps, rows, 0)


def test_a_typescript_tells_its_own_lines_only(tmp_path: Path) -> None:
    lines = case("09")
    text = "\r\n".join(
        [
            'Script started on 2024-05-10 11:22:33+02:00 [TERM="xterm-256color" COLUMNS="213"]',
            "\x1b[?2004hroot@node-a:/# cilium bpf ct list global",
            *lines,
            "\x1b[?2004hroot@node-a:/# exit",
            'Script done on 2024-05-10 11:22:40+02:00 [COMMAND_EXIT_CODE="0"]',
        ]
    )
    maps, _, _ = content(tmp_path, "\n".join(lines))
    assert content(tmp_path, text) == (maps, [], 4)


@pytest.mark.parametrize("number", ["01", "02", "08", "09", "40", "83"])
def test_a_terminal_of_any_width_loses_no_field(tmp_path: Path, number: str) -> None:
    lines = case(number)
    whole = content(tmp_path, "\n".join(lines))
    for width in range(60, 258, 3):
        wrapped = [x[at : at + width] for x in lines for at in range(0, len(x), width)]
        assert content(tmp_path, "\n".join(wrapped)) == whole, width


def test_what_stands_at_a_terminals_edge_may_have_lost_its_blanks(tmp_path: Path) -> None:
    lines = case("09")
    whole = content(tmp_path, "\n".join(lines))
    for width in range(58, 130):
        wrapped = [x[at : at + width].rstrip() for x in lines for at in range(0, len(x), width)]
        assert content(tmp_path, "\n".join(wrapped)) == whole, width


def test_our_own_table_comes_back_from_a_spreadsheet(tmp_path: Path) -> None:
    head = (
        "map,protocol,direction,related,source,source_port,destination,destination_port,s"
        "tate,alive,expires,remaining_seconds,lifetime,packets,bytes,flags,rx_flags_seen,"
        "tx_flags_seen,last_rx_report,last_tx_report,rev_nat,backend_id,source_security_i"
        "d,ifindex"
    )
    row = (
        "cilium_ct4_global,TCP,service,false,10.244.0.62,47771,10.96.0.1,443,established,"
        "true,,7990,248326,0,0,SeenNonSyn,,SYN|PSH|ACK,,240326,1,1,0,0"
    )
    ours, _, _ = content(tmp_path, f"{head}\n{row}\n")
    assert len(ours) == 1
    for mark in (";", "\t"):
        text = f"{head}\n{row}\n".replace(",", mark)
        assert content(tmp_path, text) == (ours, [], 0)
