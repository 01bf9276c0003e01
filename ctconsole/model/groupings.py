"""What the entries of a conntrack table are put together by, and what such a group is called."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from ctconsole.model.ct.keyhash import hash_rows
from ctconsole.model.ct.words import protocol_name
from ctconsole.model.text.addresses import address_text, end_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy.typing as npt

    from ctconsole.model.ct.table import CtTable
    from ctconsole.model.names import Names

    Bools: TypeAlias = npt.NDArray[np.bool_]
    Numbers: TypeAlias = npt.NDArray[Any]
    Hashes: TypeAlias = npt.NDArray[np.uint64]
    Chosen: TypeAlias = tuple[Sequence[Numbers], Bools | None]

IPV4: Final = 4
"""Bytes of an address."""


class Grouping(StrEnum):
    """What entries are put together by; the value is what a person reads."""

    SOURCE = "source"
    ADDRESS = "destination address"
    DESTINATION = "destination with port"
    SERVICE = "service"
    POD = "pod"
    NAMESPACE = "namespace"
    IDENTITY = "identity"
    PROTOCOL = "protocol"


def groups_of(
    table: CtTable, grouping: Grouping, names: Names | None
) -> tuple[Hashes, Bools | None]:
    """The group of each row: a hash of what its entries have in common; which rows are in one.

    All columns of the table are looked at as a whole: give it in parts.
    """
    columns, among = _COLUMNS[grouping](table, names)
    return hash_rows(np.concatenate([_as_bytes(column) for column in columns], axis=1)), among


def told_of(table: CtTable, grouping: Grouping, names: Names | None) -> tuple[str, str]:
    """What the group of the first row is called, and the filter that shows it."""
    return _TOLD[grouping](table, names)


def _as_bytes(column: Numbers) -> npt.NDArray[np.uint8]:
    """A column as the bytes of each row."""
    whole = np.ascontiguousarray(column)
    width = whole.dtype.itemsize * int(np.prod(whole.shape[1:]))
    return whole.view(np.uint8).reshape(len(whole), width)


def _source(table: CtTable, names: Names | None) -> Chosen:
    del names
    return (table.ends.source,), None


def _address(table: CtTable, names: Names | None) -> Chosen:
    del names
    return (table.ends.destination,), ~table.service


def _destination(table: CtTable, names: Names | None) -> Chosen:
    del names
    ends = table.ends
    return (ends.destination, ends.destination_port, table.keys["nexthdr"]), ~table.service


def _service(table: CtTable, names: Names | None) -> Chosen:
    columns, _ = _destination(table, names)
    return columns, table.service


def _protocol(table: CtTable, names: Names | None) -> Chosen:
    del names
    return (table.keys["nexthdr"],), None


def _identity(table: CtTable, names: Names | None) -> Chosen:
    del names
    return (table.values["src_sec_id"],), None


def _pod(table: CtTable, names: Names | None) -> Chosen:
    return _called(table, names, lambda name: name)


def _namespace(table: CtTable, names: Names | None) -> Chosen:
    return _called(table, names, lambda name: name.partition("/")[0] if "/" in name else "")


def _called(table: CtTable, names: Names | None, part: Callable[[str], str]) -> Chosen:
    """The name of whoever is at the source, as bytes of one width, and which rows have one."""
    source = table.ends.source
    width = source.shape[1]
    pods = {one: part(name) for one, name in _pods(names).items() if len(one) == width}
    named = sorted((one, name.encode()) for one, name in pods.items() if name)
    if not named:
        none = np.zeros((len(table), 1), np.uint8)
        return (none,), np.zeros(len(table), np.bool_)
    # Compared as numbers, or as texts of one length, most significant byte first.
    kind = ">u4" if width == IPV4 else "S16"
    known = np.frombuffer(b"".join(one for one, _ in named), kind).astype(kind.replace(">", "="))
    asked = np.ascontiguousarray(source).view(kind).reshape(-1).astype(known.dtype)
    words = np.array([name for _, name in named])
    place = np.searchsorted(known, asked).clip(max=len(known) - 1)
    raw = words[place].view(np.uint8).reshape(len(table), words.dtype.itemsize)
    return (raw,), known[place] == asked


def _pods(names: Names | None) -> Mapping[bytes, str]:
    return names.endpoints if names is not None else {}


_COLUMNS: Final[Mapping[Grouping, Callable[[CtTable, Names | None], Chosen]]] = {
    Grouping.SOURCE: _source,
    Grouping.ADDRESS: _address,
    Grouping.DESTINATION: _destination,
    Grouping.SERVICE: _service,
    Grouping.POD: _pod,
    Grouping.NAMESPACE: _namespace,
    Grouping.IDENTITY: _identity,
    Grouping.PROTOCOL: _protocol,
}
"""What the entries of a group have in common, and which entries are in one; None: all."""


def _tell_source(table: CtTable, names: Names | None) -> tuple[str, str]:
    address = table.ends.source[0].tobytes()
    text = address_text(address)
    return _with_name(text, address, names), f"src:{text}"


def _tell_address(table: CtTable, names: Names | None) -> tuple[str, str]:
    address = table.ends.destination[0].tobytes()
    text = address_text(address)
    return _with_name(text, address, names), f"dst:{text} !dir:svc"


def _tell_destination(table: CtTable, names: Names | None) -> tuple[str, str]:
    return _end_told(table, names, "!dir:svc")


def _tell_service(table: CtTable, names: Names | None) -> tuple[str, str]:
    who, query = _end_told(table, None, "dir:svc")
    name = names.service(int(table.values["rev_nat_index"][0])) if names is not None else ""
    return f"{who}  {name}".rstrip(), query


def _end_told(table: CtTable, names: Names | None, where: str) -> tuple[str, str]:
    ends, protocol = table.ends, int(table.keys["nexthdr"][0])
    address, port = ends.destination[0].tobytes(), int(ends.destination_port[0])
    who = f"{protocol_name(protocol)} {end_text(address, port)}"
    query = f"dst:{address_text(address)} dport:{port} proto:{protocol} {where}"
    return _with_name(who, address, names), query


def _with_name(text: str, address: bytes, names: Names | None) -> str:
    name = _pods(names).get(address, "")
    return f"{text}  {name}" if name else text


def _tell_protocol(table: CtTable, names: Names | None) -> tuple[str, str]:
    del names
    number = int(table.keys["nexthdr"][0])
    return protocol_name(number), f"proto:{number}"


def _tell_identity(table: CtTable, names: Names | None) -> tuple[str, str]:
    number = int(table.values["src_sec_id"][0])
    name = names.identity(number) if names is not None else ""
    return f"{number}  {name}".rstrip(), f"identity:{number}"


def _tell_pod(table: CtTable, names: Names | None) -> tuple[str, str]:
    address = table.ends.source[0].tobytes()
    return _pods(names).get(address, ""), f"src:{address_text(address)}"


def _tell_namespace(table: CtTable, names: Names | None) -> tuple[str, str]:
    name = _pods(names).get(table.ends.source[0].tobytes(), "").partition("/")[0]
    return name, f"pod:{name}/*"


_TOLD: Final[Mapping[Grouping, Callable[[CtTable, Names | None], tuple[str, str]]]] = {
    Grouping.SOURCE: _tell_source,
    Grouping.ADDRESS: _tell_address,
    Grouping.DESTINATION: _tell_destination,
    Grouping.SERVICE: _tell_service,
    Grouping.POD: _tell_pod,
    Grouping.NAMESPACE: _tell_namespace,
    Grouping.IDENTITY: _tell_identity,
    Grouping.PROTOCOL: _tell_protocol,
}
"""What a group is called and the filter that shows it, told from the first row of a table."""


def why_none(grouping: Grouping, names: Names | None) -> str:
    """Why there is no group at all, where there are entries."""
    if grouping in {Grouping.POD, Grouping.NAMESPACE}:
        if names is None:
            return "Names are not known, or not yet."
        if not names.endpoints:
            return "No names of pods are known here."
        return "No entry comes from a pod whose name is known."
    if grouping is Grouping.SERVICE:
        return "No entry is for a service."
    return "No entry is there."
