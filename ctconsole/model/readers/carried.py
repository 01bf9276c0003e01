"""Text as another program carries it: in JSON, as a web page, with other line ends.

What is told here is told of a whole text by its beginning. What stands before a line, which may
differ from line to line, is in `model.readers.lines`.
"""

from __future__ import annotations

import json
from itertools import chain
from typing import TYPE_CHECKING, Final

from ctconsole.model.readers import prometheus_api
from ctconsole.model.readers.lines import LONGEST_LINE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_HEAD: Final = 1 << 16
_HOST: Final = "_HOSTNAME"
_INNER: Final = ("MESSAGE", "log", "message")
"""Where JSON that carries a line has it: the journal, Docker's json-file driver, log shippers."""

_LONGEST: Final = 1 << 20
"""Bytes of a line that is looked into."""

_ENTITIES: Final = ((b"&gt;", b">"), (b"&lt;", b"<"), (b"&quot;", b'"'), (b"&amp;", b"&"))
_BLANK: Final = "\u00a0".encode()


def uncarried(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """A text without what carried it; every line stays one line.

    Args:
        blocks: UTF-8, in pieces of any size.
    """
    blocks = iter(blocks)
    head = b""
    for block in blocks:
        head += block
        if len(head) >= _HEAD:
            break
    if prometheus_api.is_answer(head):
        return _answer(head, blocks)
    whole = chain([head] if head else [], blocks)
    text = head.rstrip()
    if b"\n" not in text and b"\r" in text:
        return (block.replace(b"\r", b"\n") for block in whole)
    first = head.lstrip().split(b"\n", 1)[0]
    if first.startswith(b"{") and _inside(first) is not None:
        return _unpacked(whole)
    if b"-&gt; " in head or _BLANK in head:
        return _plain(whole)
    return whole


def with_metrics(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """A text as it is, but for what a Prometheus answered: that becomes its metrics' text."""
    blocks = iter(blocks)
    head = next(blocks, b"")
    return _answer(head, blocks) if prometheus_api.is_answer(head) else chain([head], blocks)


def _answer(head: bytes, blocks: Iterator[bytes]) -> Iterator[bytes]:
    """The metrics in what a Prometheus answered; the answer itself where it cannot be read."""
    taken = [head]
    size = len(head)
    for block in blocks:
        taken.append(block)
        size += len(block)
        if size > prometheus_api.LARGEST:
            yield from chain(taken, blocks)
            return
    text = b"".join(taken)
    metrics = prometheus_api.as_metrics(text)
    yield text if metrics is None else metrics


def _unpacked(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """The lines inside JSON objects; a line that is none stays as it is."""
    rest = b""
    for block in blocks:
        *lines, rest = (rest + block).split(b"\n")
        for line in lines:
            inside = _inside(line)
            yield (line if inside is None else inside) + b"\n"
        if len(rest) > _LONGEST:
            yield rest
            rest = b""
    if rest:
        inside = _inside(rest)
        yield rest if inside is None else inside


def _inside(line: bytes) -> bytes | None:
    """The line in a JSON object, behind its host's name where that is told; None of another."""
    if not line.lstrip().startswith(b"{") or len(line) > LONGEST_LINE * 4:
        return None
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict):
        return None
    inside = next((found[name] for name in _INNER if isinstance(found.get(name), str)), None)
    if inside is None:
        return None
    host = found.get(_HOST)
    prefix = f"{host}: " if isinstance(host, str) and host else ""
    text = inside.rstrip("\r\n").replace("\n", " ")
    return f"{prefix}{text}".encode("utf-8", "replace")


def _plain(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Whole lines without the entities of a web page and without blanks that do not break."""
    rest = b""
    for block in blocks:
        text, end, rest = (rest + block).rpartition(b"\n")
        yield _replaced(text + end)
        if len(rest) > _LONGEST:
            yield _replaced(rest)
            rest = b""
    yield _replaced(rest)


def _replaced(text: bytes) -> bytes:
    text = text.replace(_BLANK, b" ")
    for entity, letter in _ENTITIES:
        text = text.replace(entity, letter)
    return text
