"""What a person typed and saved is kept, for this user alone."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import pytest

from ctconsole.errors import CtconsoleError, UsageError
from ctconsole.filterbook import REMEMBERED, FilterBook

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def book(tmp_path: Path) -> FilterBook:
    return FilterBook(tmp_path / "config" / "ctconsole", tmp_path / "state" / "ctconsole")


def test_what_was_typed_is_remembered_the_newest_last(book: FilterBook, tmp_path: Path) -> None:
    for text in ("tcp", "dport:443", "tcp", "", "a\nb"):
        book.remember("entries", text)
    assert book.typed("entries") == ["dport:443", "tcp"]
    assert book.typed("events") == []
    file = tmp_path / "state" / "ctconsole" / "filters-entries"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def test_only_so_many_are_remembered(book: FilterBook, tmp_path: Path) -> None:
    file = tmp_path / "state" / "ctconsole" / "filters-entries"
    file.parent.mkdir(parents=True)
    file.write_text("".join(f"dport:{n}\n" for n in range(REMEMBERED + 50)))
    book.remember("entries", "tcp")
    assert len(book.typed("entries")) == REMEMBERED
    assert book.typed("entries")[-2:] == [f"dport:{REMEMBERED + 49}", "tcp"]


def test_what_cannot_be_read_is_forgotten(book: FilterBook, tmp_path: Path) -> None:
    file = tmp_path / "state" / "ctconsole" / "filters-entries"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"\xff\xfe")
    assert book.typed("entries") == []


def test_a_saved_filter_is_there_until_it_is_dropped(book: FilterBook) -> None:
    assert book.saved() == {}
    odd = 'text:"Ünïcode \\" \U0001f600"'
    book.save("web", " dport:80,443 ")
    book.save("a.b-c_d", odd)
    book.save("web", "dport:8080")
    assert book.saved() == {"web": "dport:8080", "a.b-c_d": odd}
    assert stat.S_IMODE(book.path.stat().st_mode) == 0o600
    book.drop("web")
    assert book.saved() == {"a.b-c_d": odd}
    with pytest.raises(UsageError, match=r"no saved filter @web. Saved are a.b-c_d"):
        book.drop("web")


@pytest.mark.parametrize(
    ("name", "text"), [("", "in"), ("a b", "in"), ("web", " "), ("w", "a\x00")]
)
def test_what_cannot_be_saved_is_refused(book: FilterBook, name: str, text: str) -> None:
    with pytest.raises(UsageError):
        book.save(name, text)
    assert not book.path.exists()


@pytest.mark.parametrize("text", ["web = ", "web = 5", '"a b" = "in"', "[web]\nx = 1"])
def test_a_list_that_is_none_is_named(book: FilterBook, text: str) -> None:
    book.path.parent.mkdir(parents=True)
    book.path.write_text(text)
    with pytest.raises(UsageError, match=str(book.path)):
        book.saved()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    book = FilterBook(tmp_path / "file" / "below", tmp_path / "file" / "below")
    with pytest.raises(CtconsoleError, match="cannot be written"):
        book.remember("entries", "tcp")
    with pytest.raises(CtconsoleError, match="cannot be"):
        book.save("web", "tcp")
