"""How a line of ``cilium bpf ct list global`` looks, release by release.

Every line tells by its own fields which releases print it so (`SHAPES`); what tells releases apart
that print the same fields is found over many lines (`Apart`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from ctconsole.model.ct.layout import LAYOUTS, IpProtocol, Layout

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Fields: TypeAlias = tuple[str, ...]

_ADDRESS: Final = r"\[?([0-9a-fA-F:.]{2,45}?)\]?:(\d{1,5})"
_BLANKS: Final = r"[ \t]{1,40}"
_TUPLE: Final = (
    rf"(\w{{1,8}}){_BLANKS}(IN|OUT|SVC){_BLANKS}{_ADDRESS}{_BLANKS}->{_BLANKS}{_ADDRESS}{_BLANKS}"
    rf"(related{_BLANKS})?(service{_BLANKS})?expires=(\d{{1,10}})"
    r"(?: \(remaining: (-?\d{1,12}) sec\(s\)\))?"
)
FIXED: Final = 10
"""Groups of `_TUPLE`, which each line has before the fields of its release."""

HEAD: Final = re.compile(
    rf"(?<![\w.])(?:[A-Za-z]\w{{1,7}}|\d{{1,3}}){_BLANKS}(?:IN|OUT|SVC){_BLANKS}"
    r"\[?[0-9a-fA-F:.]{2,45}\]?:\d"
)
"""Where an entry begins in a line."""

_LABEL: Final = re.compile(r" (\w{1,20})=(?!\S* \])")
_IN_BRACKETS: Final = re.compile(r"\[[^\]]*\]")
BARE: Final = ("flags", "rxflagsseen", "txflagsseen")
"""Labels whose numbers are hexadecimal."""


class Shape(NamedTuple):
    """What a line of some releases has behind ``expires=``.

    Attributes:
        layout: the oldest layout known whose tool prints it so.
        labels: of the fields in their order, in small letters and without underscores.
    """

    layout: Layout
    labels: tuple[str, ...]


_APART: Final = (
    "rxpackets rxbytes rxflagsseen lastrxreport txpackets txbytes txflagsseen lasttxreport flags "
    "revnat"
)
_MERGED: Final = (
    "packets bytes rxflagsseen lastrxreport txflagsseen lasttxreport flags revnat sourcesecurityid"
)
SHAPES: Final = tuple(
    Shape(layout, tuple(labels.split()))
    for layout, labels in (
        (Layout.V1_9, f"{_APART} sourcesecurityid ifindex"),
        # 1.6 and 1.7
        (Layout.V1_9, f"{_APART} sourcesecurityid"),
        # 1.4 and 1.5
        (Layout.V1_9, f"{_APART} slave sourcesecurityid"),
        # 1.0 to 1.3
        (Layout.V1_9, "rxpackets rxbytes txpackets txbytes flags revnat srcsecid"),
        (Layout.V1_9, "rxpackets rxbytes txpackets txbytes flags revnat proxyport srcsecid"),
        (Layout.V1_16, f"{_MERGED} ifindex backendid"),
        (Layout.V1_18, f"{_MERGED} backendid"),
        (Layout.V1_19, f"{_MERGED} backendid natport"),
    )
)
"""Source: ``pkg/maps/ctmap/types.go`` and what was before it, of Cilium 1.0 to 1.19."""


def shape_of(body: str) -> Shape | None:
    """The shape of a line that begins with its protocol; None where no release prints such."""
    _, _, tail = _IN_BRACKETS.sub("", body).partition("expires=")
    labels = tuple(label.lower().replace("_", "") for label in _LABEL.findall(tail))
    return next((shape for shape in SHAPES if shape.labels == labels), None)


_NAMED_BY_1_20: Final = {
    name.encode()
    for number, name in LAYOUTS[Layout.V1_20].protocols.items()
    if number not in LAYOUTS[Layout.V1_19].protocols
}


@dataclass
class Apart:
    """What tells releases apart that print the same fields of the same bytes.

    Among 1.9 to 1.15, 1.13 named two flags, of which 1.14 took one back and named another; 1.15
    brought the direction of service entries. 1.20 names protocols that are numbers to 1.19.
    """

    inverted: bool = False
    service: bool = False
    later: bool = False
    asked_to_authenticate: bool = False
    newest: bool = False

    def see(self, text: str, fields: Fields) -> None:
        """Take an entry."""
        self.inverted |= fields[1] == "SVC"
        self.service |= bool(fields[7])
        self.later |= "FromL7LB" in text or "FromTunnel" in text
        self.asked_to_authenticate |= "AuthRequired" in text
        self.newest |= fields[0].encode() in _NAMED_BY_1_20

    def see_all(
        self, text: bytes, direction: npt.NDArray[np.bytes_], service: npt.NDArray[np.bool_]
    ) -> None:
        """Take the entries of a text."""
        self.inverted |= bool((direction == b"SVC").any())
        self.service |= bool(service.any())
        self.later |= b"FromL7LB" in text or b"FromTunnel" in text
        self.asked_to_authenticate |= b"AuthRequired" in text
        # Only texts since 1.19 are looked through for that; they are known at their first line.
        if b"NatPort=" in text:
            self.newest |= any(name + b" OUT " in text for name in _NAMED_BY_1_20)

    def of(self, layout: Layout) -> Layout:
        """The oldest that prints all of them, of those with the fields of a layout."""
        if layout is Layout.V1_19:
            return Layout.V1_20 if self.newest else layout
        if layout is not Layout.V1_9:
            return layout
        if self.asked_to_authenticate:
            return Layout.V1_13
        if self.inverted or (self.later and not self.service):
            return Layout.V1_15
        return Layout.V1_14 if self.later else Layout.V1_9


@cache
def pattern(shape: Shape, blanks: str = _BLANKS) -> re.Pattern[str]:
    """A whole line of a shape; groups are those of `_TUPLE` and then one for each field.

    Args:
        shape: which.
        blanks: what may stand between two words; one blank, as tools print it, is fastest.
    """
    parts = [_TUPLE.replace(_BLANKS, blanks)]
    for label in shape.labels:
        name = "_?".join(re.escape(letter) for letter in label)
        if label == "flags":
            number = r"(?:0x)?([0-9a-f]{1,4})(?: \[ (?:[\w=]{1,20} ){0,16}\])?"
        elif label in BARE:
            number = r"0x([0-9a-f]{1,2})"
        else:
            number = r"(\d{1,20})"
        written = printed_labels().get(label) if blanks == " " else None
        parts.append(rf"{blanks}{written or f'(?i:{name})'}={number}")
    return re.compile("".join(parts))


@cache
def printed_labels() -> dict[str, str]:
    """Labels as the releases known print them, by their small letters."""
    labels = (part.label.rstrip("=") for spec in LAYOUTS.values() for part in spec.text)
    return {label.lower(): label for label in labels}


@cache
def protocol_numbers() -> dict[str, int]:
    """Protocols by the names that releases print."""
    names = {name: number for spec in LAYOUTS.values() for number, name in spec.protocols.items()}
    return names | {"TCP": int(IpProtocol.TCP)}
