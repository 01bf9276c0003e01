"""The key of ``--anonymize``: made, kept, read again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ctconsole.cli.hiding import hiding_by
from ctconsole.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path


def test_without_a_file_nothing_is_hidden() -> None:
    assert hiding_by(None) is None


def test_a_key_is_made_once_and_is_its_users_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "key"
    first = hiding_by(file)
    assert "Made a key" in capsys.readouterr().err
    assert (file.stat().st_mode & 0o777, file.stat().st_size) == (0o600, 32)
    again = hiding_by(file)
    assert capsys.readouterr().err == ""
    assert first is not None
    assert again is not None
    assert first.text("10.0.1.7") == again.text("10.0.1.7") != "10.0.1.7"


@pytest.mark.parametrize("content", [b"", b"short"])
def test_a_file_that_holds_no_key_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "key").write_bytes(content)
    with pytest.raises(UsageError, match="holds no key"):
        hiding_by(tmp_path / "key")
    assert (tmp_path / "key").read_bytes() == content


def test_a_place_where_none_can_be_made_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be made: No such file or directory"):
        hiding_by(tmp_path / "nowhere" / "key")
    with pytest.raises(UsageError, match="cannot be read: Is a directory"):
        hiding_by(tmp_path)
