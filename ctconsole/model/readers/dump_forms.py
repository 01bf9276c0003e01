"""What ``bpftool map dump`` writes: how its two ways look, and what a file of it is.

Source of the formats: ``tools/bpf/bpftool/map.c`` of Linux 6.1 and dumps made with it.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

# Possessive and unambiguous throughout: a damaged file must not make a pattern try again.
_ANNOTATIONS = rb"(?:\s|\#[^\n]*\n|`+[^\n]*\n)*+"
_HEX_LIST = rb'\s*+("0x[0-9a-fA-F]{2}"(?:\s*+,\s*+"0x[0-9a-fA-F]{2}")*+)\s*+\]'
_HEX_TEXT = rb"((?:[0-9a-f]{2}\s*+)++)"


class Flavour(NamedTuple):
    """One way of writing entries: patterns, and what starts an entry when looking for one."""

    entry: re.Pattern[bytes]
    failed: re.Pattern[bytes]
    begin: re.Pattern[bytes]
    between: re.Pattern[bytes]
    end: re.Pattern[bytes]
    close: re.Pattern[bytes]
    digits: re.Pattern[bytes]
    marker: bytes


_JSON: Final = Flavour(
    entry=re.compile(
        rb'\{\s*"key"\s*:\s*\[' + _HEX_LIST + rb'\s*,\s*"value"\s*:\s*\[' + _HEX_LIST + rb"\s*"
        rb'(?:\}|,\s*"formatted"\s*:\s*(?=\{))'
    ),
    failed=re.compile(
        rb'\{\s*"key"\s*:\s*\[' + _HEX_LIST + rb'\s*,\s*"value"\s*:\s*'
        rb'\{\s*"error"\s*:\s*"[^"\n]{0,200}"\s*\}\s*\}'
    ),
    begin=re.compile(_ANNOTATIONS + rb"\[\s*"),
    between=re.compile(rb"[\s,]*"),
    end=re.compile(rb"\s*\]\s*" + _ANNOTATIONS + rb"\Z"),
    close=re.compile(rb"\s*\]"),
    digits=re.compile(rb"(?<=0x)[0-9a-fA-F]{2}"),
    marker=b'{"key"',
)
_PLAIN: Final = Flavour(
    entry=re.compile(rb"key:\s*" + _HEX_TEXT + rb"value:\s*" + _HEX_TEXT),
    failed=re.compile(rb"key:\s*" + _HEX_TEXT + rb"value:\s*[^\n]*[^\s0-9a-f][^\n]*\n"),
    begin=re.compile(_ANNOTATIONS),
    between=re.compile(rb"\s*"),
    end=re.compile(rb"\s*Found \d+ elements?\s*" + _ANNOTATIONS + rb"\Z"),
    close=re.compile(rb"\s*Found \d+ elements?"),
    digits=re.compile(rb"[0-9a-f]{2}"),
    marker=b"key:",
)
FLAVOURS: Final = (_JSON, _PLAIN)
MARKERS: Final = {
    _JSON.marker: re.compile(rb'\{\s*"key"\s*:'),
    _PLAIN.marker: re.compile(rb"\bkey:"),
}
_TOOL_ERROR: Final = re.compile(
    _ANNOTATIONS + rb'(?:\{"error":\s*"(?P<json>[^"\n]{1,1000})"|Error: (?P<plain>[^\n]{1,1000})|'
    rb"> Error while running [^\n]{1,1000}:  (?P<tool>[^\n]{1,1000})|"
    rb"(?P<shell>bash: [^\n]{1,1000}|exec timeout))"
)
_SAID: Final = re.compile(rb"^(?:Error|ERROR|error): ([^\n]{1,1000})", re.MULTILINE)
_DECODED: Final = re.compile(
    _ANNOTATIONS + rb'\[\s*\{\s*"key"\s*:\s*(?:\{\s*"|-?\d+\s*,\s*"values?"\s*:)'
)
_NO_SUCH_MAP: Final = "No such file or directory"


def map_name_of(file_name: str) -> str:
    """The map a dump file's name speaks of, as bpftool users, sysdumps and bugtool name files.

    ``cilium_ct4_global.bpftool.json`` and
    ``bpftool-map-dump-pinned--sys-fs-bpf-tc-globals-cilium_ct4_global.md`` both speak of
    ``cilium_ct4_global``; a name without ``cilium_`` is taken up to its first dot.
    """
    found = re.search(r"cilium_[A-Za-z0-9_]+", file_name)
    return found.group() if found else file_name.split(".", 1)[0]


def tool_error(head: bytes) -> str | None:
    """What went wrong, where a file holds a tool's error instead of entries; None for others.

    bugtool runs its commands for maps that the node may not have, and keeps what they print
    (``writeCmdToFile`` of ``bugtool/cmd/root.go``).

    Args:
        head: the beginning of the file.
    """
    found = _TOOL_ERROR.match(head)
    if not found:
        return None
    if found["tool"]:
        # How a command ended says less than what it said.
        found = _SAID.search(head, found.end()) or found
    return next(text for text in found.groups() if text).strip().decode("utf-8", "replace")


def looks_like_dump(head: bytes) -> bool:
    """Whether there is an entry among the first lines of a file.

    Args:
        head: the beginning of the file.
    """
    return any(flavour.entry.search(head) or flavour.failed.search(head) for flavour in FLAVOURS)


def is_decoded(head: bytes) -> bool:
    """Whether bpftool has put a map's fields in the place of its bytes.

    So it does for maps with BTF where ``-j`` is not given (``do_dump_btf`` of its ``map.c``), and
    what a field was called in one release does not tell where another has it.

    Args:
        head: the beginning of the file.
    """
    return _DECODED.match(head) is not None


def is_missing(error: str) -> bool:
    """Whether a tool's error says that there is no such map."""
    return error.endswith((_NO_SUCH_MAP, _NO_SUCH_MAP.lower()))
