"""What is printed, as a child of a terminal, a pipe, a full disk and nothing at all gets it."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from ctconsole.cli.common import print_columns, run
from ctconsole.cli.main import root

if TYPE_CHECKING:
    from pathlib import Path

HOSTILE = "cilium_\x1b]0;title\x07\x9b31m\u202eevil"
ESCAPED = r"cilium_\x1b]0;title\x07\x9b31m\u202eevil"
RAW = (HOSTILE + "\n").encode()
VERSION = [sys.executable, "-m", "ctconsole", "--version"]
DUMP = '[{"key": ["0x01"], "value": ["0x02"]}]'


def on_a_terminal(code: str) -> str:
    """What a program of our streams prints on a terminal, standard output and error together."""
    ours, theirs = pty.openpty()
    text = b""
    with subprocess.Popen(
        [sys.executable, "-c", f"from ctconsole.cli import streams; streams.prepare()\n{code}"],
        stdout=theirs,
        stderr=theirs,
        stdin=subprocess.DEVNULL,
    ) as child:
        os.close(theirs)
        try:
            while part := os.read(ours, 1 << 16):
                text += part
        except OSError:  # EIO: the other end is closed
            pass
        child.wait()
    os.close(ours)
    return text.decode().replace("\r\n", "\n")


@pytest.mark.parametrize(
    "code",
    [
        f"print({HOSTILE!r})",
        f"import click; click.echo({HOSTILE!r}, err=True)",
        f"import sys; sys.stdout.buffer.write({RAW!r})",
        # A character that is cut in two.
        f"import sys; [sys.stdout.buffer.write(bytes([one])) for one in {RAW!r}]",
    ],
)
def test_a_terminal_gets_controls_as_escapes(code: str) -> None:
    assert on_a_terminal(code) == ESCAPED + "\n"


def test_an_error_that_nobody_foresaw_is_harmless_too() -> None:
    said = on_a_terminal(f"raise RuntimeError({HOSTILE!r})")
    assert ESCAPED in said
    assert "\x1b" not in said


def test_our_own_colours_and_columns_stay() -> None:
    code = "from ctconsole.cli.common import styled; styled('ok', fg='green'); print('\\tx')"
    assert on_a_terminal(code).replace(" ", "") in {
        "\x1b[32mok\x1b[0m\tx\n",
        "\x1b[32mok\x1b[0mx\n",
    }


def test_a_pipe_gets_every_byte_as_it_is() -> None:
    code = "from ctconsole.cli import streams; streams.prepare(); print('\\x1b\\x9b\\udcff')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stdout == b"\x1b\xc2\x9b\xff\n"


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["map", "list"]])
@pytest.mark.parametrize(
    ("redirection", "why"),
    [("> /dev/full", "No space left on device"), (">&-", "it is closed")],
)
def test_output_that_is_lost_is_one_sentence(
    arguments: list[str], redirection: str, why: str, tmp_path: Path
) -> None:
    (tmp_path / "cilium_x.json").write_text(DUMP)
    dump = ["--from-dump", str(tmp_path / "cilium_x.json")] if "map" in arguments else []
    line = " ".join([*VERSION[:-1], *arguments, *dump, redirection])
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=False)
    assert done.stderr == f"ctconsole: Standard output cannot be written: {why}\n"
    assert done.returncode == 1


def test_closed_streams_are_no_traceback() -> None:
    line = " ".join([*VERSION[:-1], "console <&-"])
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "needs a terminal" in done.stderr
    line = " ".join([*VERSION[:-1], "no-such-verb 2>&-"])
    assert subprocess.run(["sh", "-c", line], check=False).returncode == 2


def test_no_file_takes_the_place_of_a_closed_stream() -> None:
    code = (
        "from ctconsole.cli import streams; streams.prepare(); f=open('/dev/null'); "
        "assert f.fileno() > 2"
    )
    line = f'{sys.executable} -c "{code}" <&- >&- 2>&-'
    assert subprocess.run(["sh", "-c", line], check=False).returncode == 0


def test_a_newline_in_a_cell_breaks_no_row_and_a_long_one_widens_no_other(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_columns([("NAME", "ID"), ("a\nb", "1"), ("x" * 255, "22")], right={1})
    assert capsys.readouterr().out.splitlines() == [
        "NAME    ID",
        r"a\x0ab   1",
        "x" * 255 + "  22",
    ]


def test_no_memory_is_one_sentence(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def greedy(**_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(root, "main", greedy)
    assert run(root) == 1
    assert "not enough memory" in capsys.readouterr().err
