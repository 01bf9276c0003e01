from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctconsole.observe import zipheads
from ctconsole.observe.archive import Walker

if TYPE_CHECKING:
    from pathlib import Path

MOST = 1 << 20


class _Pipe(io.BytesIO):
    """A stream that cannot go back, into which zip writes sizes behind the bytes."""

    def seekable(self) -> bool:
        return False

    def tell(self) -> int:
        raise io.UnsupportedOperation


def packed(*, stream: bool, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    target = _Pipe() if stream else io.BytesIO()
    with zipfile.ZipFile(target, "w", method) as archive:
        archive.writestr("a.json", b"a" * 1000)
        archive.writestr("b.json", bytes(range(256)) * 9)
    return target.getvalue()


@pytest.mark.parametrize("stream", [False, True])
def test_members_are_found_without_a_directory(*, stream: bool) -> None:
    data = packed(stream=stream)
    cut = data[: data.index(b"PK\x01\x02")]
    assert list(zipheads.members(io.BytesIO(cut), MOST)) == [
        ("a.json", b"a" * 1000),
        ("b.json", bytes(range(256)) * 9),
    ]


def test_a_cut_archive_gives_what_it_still_has_and_says_so(tmp_path: Path) -> None:
    data = packed(stream=False, method=zipfile.ZIP_STORED)
    path = tmp_path / "cut.zip"
    path.write_bytes(data[:1500])
    walker = Walker(lambda _: True)
    found = {one.name: b"".join(one.blocks) for one in walker.members(path)}
    assert found[f"{path}/a.json"] == b"a" * 1000
    assert 0 < len(found[f"{path}/b.json"]) < 500
    [problem] = walker.problems
    assert problem.startswith(f"{path} is damaged at byte 1500")


@given(st.binary(max_size=200), st.integers(0, 400))
def test_any_bytes_end(noise: bytes, at: int) -> None:
    data = packed(stream=True)
    list(zipheads.members(io.BytesIO(data[:at] + noise + data[at:]), MOST))
