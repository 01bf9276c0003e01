"""The manual of the language: what it is made of, and what can be asked of which rows."""

from __future__ import annotations

from textwrap import wrap
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ctconsole.model.filter.rules import Fields, FilterRule

WIDTH: Final = 98

LANGUAGE: Final = (
    ("proto:tcp dport:443", "terms that stand side by side must all hold; so with and"),
    ("proto:tcp or dport:53", "or: one of them must; it binds less than standing side by side"),
    (
        "(in or out) !dport:443",
        "parentheses; ! before a term or a parenthesis, or not: it must not",
    ),
    ("dport:80,443", "values with commas: any of them"),
    ("dport:8000-8100", "a range, of ports"),
    ("left<30s", "operators: : or = is, != is not, < > <= >= of what is a number or a time"),
    ("left>=2h", "times end with s, m, h or d"),
    ("packets>10k", "counts end with k, m or g: thousands"),
    ("bytes>1M", "sizes and rates end with k, m or g: times 1,024"),
    ("pod:shop/*", "* and ? stand for letters, where names or texts are meant"),
    ('node:"a node"', "quotes around what has blanks, commas or signs; \\ before a quote in it"),
    (
        "10.0.0.1 443 tcp syn",
        "what stands alone: an address, a port, a protocol, state or direction",
    ),
)
"""Examples of each thing that the language has, of entries, and what it means."""

EXAMPLES: Final = (
    (
        "entries",
        "dport:443 state:syn idle<30s !src:10.0.0.0/8",
        "who waits for an answer, from afar",
    ),
    ("entries", "(proto:udp or proto:icmp) left<5s", "what the collector takes next"),
    ("entries", "risk:breaks,at-risk svc:shop/*", "whom the loss of the table would hurt"),
    ("entries", "bytes>1G or rate>1M", "the large and the fast"),
    ("events", "level>=warning map:cilium_ct4_global age<1h", "trouble of one map"),
    ("events", "kind:map-* time>01:36 !text:guard", "what became of maps since then"),
    ("maps", "group:conntrack fill>80", "tables that fill up"),
    ("maps", "memory>10M or type:*hash max>=512k", "what takes room"),
    ("nodes", "fill>80% full_in<4h or split>0", "of a fleet, where somebody should look"),
)
"""Whole filters: of what, the text, and what it is for."""

_UNKNOWN: Final = (
    "What is not known is not guessed: where a table's clock, counters or names are not known, a "
    "term that asks for them is refused with the reason. A row of which something is not known "
    "(the rate of a connection that is new, the fill of a map that has no limit) passes only if "
    "it would pass whatever that is."
)
_SAVED: Final = (
    "@web stands for the filter that was saved as web: by ctrl+s in the console, by ctconsole "
    "filter save, or by hand."
)


def manual(places: Sequence[Fields[Any]]) -> str:
    """All of it, from the tables of fields."""
    return "\n".join(
        [
            *_titled("The language", _columns((text, told) for text, told in LANGUAGE)),
            *_titled("What is not known", _paragraph(_UNKNOWN)),
            *_titled("Saved filters", _paragraph(_SAVED)),
            *(line for fields in places for line in _place(fields)),
            *_titled("Examples", _columns((text, f"{of}: {told}") for of, text, told in EXAMPLES)),
        ]
    ).rstrip()


def _titled(title: str, lines: Iterable[str]) -> Iterator[str]:
    yield f"{title}:"
    yield from lines
    yield ""


def _place(fields: Fields[Any]) -> Iterator[str]:
    lines = (line for rule in fields.rules for line in _field(rule))
    return _titled(f"What {fields.what} are asked for", lines)


def _field(rule: FilterRule[Any]) -> Iterator[str]:
    asked = rule.asked
    operators = ": != < > <= >=" if rule.ordered else ": !="
    names = ", ".join(asked.names)
    yield f"  {asked.sample:<28} {asked.about}"
    yield from _paragraph(f"{names}; {operators}; {rule.takes}", 31)


def _columns(rows: Iterable[tuple[str, str]]) -> list[str]:
    pairs = list(rows)
    wide = max(len(left) for left, _ in pairs)
    if wide > WIDTH // 3:
        return [line for left, right in pairs for line in (f"  {left}", f"      {right}")]
    return [f"  {left:<{wide}}  {right}" for left, right in pairs]


def _paragraph(text: str, indent: int = 2) -> list[str]:
    blank = " " * indent
    return wrap(text, WIDTH, initial_indent=blank, subsequent_indent=blank)
