"""``ctconsole watch --log``: what can be read of a log is told, whatever ends it."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

import pytest

from ctconsole.cli.node.watch import command
from ctconsole.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

LINE = (
    'time=2025-03-01T10:00:00Z level=warning msg="Max entries mismatch for BPF map" '
    "file-path=/sys/fs/bpf/tc/globals/cilium_ct4_global new=2 old=1\n"
)


def test_the_story_of_a_log_that_is_cut_is_told_before_the_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "agent.log.gz"
    path.write_bytes(gzip.compress((LINE + "".join(map(str, range(9999)))).encode())[:-2000])
    with pytest.raises(UsageError, match="cannot be read"):
        command.main(["--log", str(path)], standalone_mode=False)
    assert "cilium_ct4_global" in capsys.readouterr().out.splitlines()[-1]


def test_a_file_that_is_no_log_is_not_passed_over_in_silence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "export.json"
    path.write_text('[{"textPayload": "level=info"}]\n', "utf-8")
    command.main(["--log", str(path)], standalone_mode=False)
    assert "no line tells of a map" in capsys.readouterr().err
