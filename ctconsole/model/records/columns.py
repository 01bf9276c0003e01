"""The cells of `model.records.spec` as columns of text, whole tables at once."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from ctconsole.model.ct.cells import protocols
from ctconsole.model.ct.layout import Layout
from ctconsole.model.packets.reasons import direction_name, file_name, reason_name
from ctconsole.model.records.service_flags import ServiceFlag, flag_texts
from ctconsole.model.records.spec import Form
from ctconsole.model.records.structs import (
    ENDPOINT_KEY_IPV6,
    IPCACHE_STATIC_PREFIX,
    LB_ALGORITHMS,
    LB_TIMEOUT_BITS,
    POLICY_STATIC_PREFIX,
)
from ctconsole.model.text.addresses import address
from ctconsole.model.text.cells import CSV, optional
from ctconsole.model.text.columns import (
    TextColumn,
    TokenTable,
    decimal,
    literal,
    rows_of,
    signed,
    token_table,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from ctconsole.model.records.spec import ListColumn
    from ctconsole.model.records.table import RecordTable
    from ctconsole.model.text.cells import Style

    Bytes: TypeAlias = npt.NDArray[np.uint8]
    Records: TypeAlias = npt.NDArray[Any]

_NANOSECONDS: Final = 1 << 32
_IPV4_BYTES: Final = 4
_OF_SERVICE: Final = frozenset(
    {Form.SERVICE_FLAGS, Form.OF_SLOT, Form.AFFINITY, Form.PROXY_PORT, Form.ALGORITHM}
)
_UNKNOWN: Final = np.uint64((1 << 64) - 1)


def columns(table: RecordTable, cell: ListColumn, style: Style) -> list[TextColumn]:  # noqa: PLR0911 - one line per form
    """A cell of every row."""
    field = table.column(cell.field)
    match cell.form:
        case Form.ADDRESS:
            return _quoted(address(field), style)
        case Form.EITHER_ADDRESS:
            return _quoted(either_address(field, _family(table, cell)), style)
        case Form.PREFIX:
            return _quoted([*_prefixed(table, cell), *_bits(table)], style)
        case Form.MAC:
            return _quoted(mac(field), style)
        case Form.AGE:
            return _age(table, style)
        case Form.PREFIX_BITS:
            return signed(field.astype(np.int64) - POLICY_STATIC_PREFIX)
        case Form.COUNTER:
            return optional(decimal(native(field)), field != _UNKNOWN, style.null)
        case Form.NUMBER:
            return decimal(native(field))
        case form if form in _OF_SERVICE:
            return _of_service(table, form, style)
        case _:
            return [_words(cell.form, style, table.release).column(field)]


def native(column: Records) -> Records:
    """Numbers in the host's order."""
    return column.astype(column.dtype.newbyteorder("<"))


def either_address(raw: Bytes, family: Records) -> list[TextColumn]:
    """Addresses of 16 bytes, of which the first four count where the family is not IPv6."""
    six = family == ENDPOINT_KEY_IPV6
    four = [TextColumn(part.tokens, part.lengths * ~six) for part in address(raw[:, :_IPV4_BYTES])]
    return [*four, *(TextColumn(part.tokens, part.lengths * six) for part in address(raw))]


def mac(raw: Bytes) -> list[TextColumn]:
    """Six bytes in capitals with colons, the first byte in memory first."""
    table, last = _mac_bytes(), raw.shape[1] - 1
    return [table[index == last].column(raw[:, index]) for index in range(raw.shape[1])]


def age(table: RecordTable) -> npt.NDArray[np.int64]:
    """Whole seconds since ``created``, in the units of the node's agent (`record_data`).

    Numbers past 2**32 are 1.9's nanoseconds. Jiffies are turned into seconds one by one before
    they are subtracted, as Cilium does (``pkg/maps/timestamp``).
    """
    created = table.column("created")
    nanoseconds = created >= _NANOSECONDS
    seconds = np.where(nanoseconds, created // np.uint64(10**9), created).astype(np.int64)
    if not table.hertz:
        return np.asarray(table.now - seconds)
    counted = (table.jiffies << 8) // table.hertz - (seconds << 8) // table.hertz
    return np.where(nanoseconds, table.now - seconds, counted)


@cache
def _mac_bytes() -> tuple[TokenTable, TokenTable]:
    return (
        token_table(b"%02X:" % value for value in range(256)),
        token_table(b"%02X" % value for value in range(256)),
    )


def _family(table: RecordTable, cell: ListColumn) -> Records:
    return table.column("node_family" if cell.field.startswith("node_") else "family")


def _prefixed(table: RecordTable, cell: ListColumn) -> list[TextColumn]:
    field = table.column(cell.field)
    if "family" not in (table.spec.key.names or ()):
        return address(field)
    return either_address(field, _family(table, cell))


def _bits(table: RecordTable) -> list[TextColumn]:
    length = table.column("prefixlen").astype(np.int64) - IPCACHE_STATIC_PREFIX
    return [literal(b"/"), *signed(length)]


def _age(table: RecordTable, style: Style) -> list[TextColumn]:
    if not table.now:
        return [literal(style.null)] if style.null else []
    return signed(age(table))


def _quoted(text: list[TextColumn], style: Style) -> list[TextColumn]:
    return [literal(style.quote), *text, literal(style.quote)] if style.quote else text


def service_word(table: RecordTable, form: Form) -> tuple[Records, npt.NDArray[np.bool_]]:
    """What the first word of services is for, and where it is that.

    Returns:
        Numbers, and of which rows they are; of the algorithm its place in `LB_ALGORITHMS`.
    """
    word, flags = native(table.column("backend_id")), _flags_of(table)
    front = table.column("backend_slot") == 0
    proxied = (flags & ServiceFlag.L7_LOAD_BALANCER) != 0
    if form is Form.OF_SLOT:
        return word, ~front
    if form is Form.PROXY_PORT:
        return word.astype(np.uint16).byteswap(), front & proxied
    if form is Form.AFFINITY:
        timeout = word & np.uint32((1 << LB_TIMEOUT_BITS) - 1)
        return timeout, front & ~proxied & ((flags & ServiceFlag.AFFINITY) != 0)
    algorithm = word >> np.uint32(LB_TIMEOUT_BITS)
    known = np.minimum(algorithm, len(LB_ALGORITHMS) - 1)
    return known, front & ~proxied & (algorithm > 0)


def _of_service(table: RecordTable, form: Form, style: Style) -> list[TextColumn]:
    if form is Form.SERVICE_FLAGS:
        return _service_flags(table, style)
    numbers, there = service_word(table, form)
    if form is Form.ALGORITHM:
        words = token_table(style.text(word) for word in LB_ALGORITHMS)
        return optional([words.column(numbers.astype(np.intp))], there, style.null)
    return optional(decimal(numbers), there, style.null)


def _flags_of(table: RecordTable) -> npt.NDArray[np.uint16]:
    flags = table.column("flags").astype(np.uint16)
    return np.asarray(flags | table.column("flags2").astype(np.uint16) << 8)


def _service_flags(table: RecordTable, style: Style) -> list[TextColumn]:
    seen, which = np.unique(_flags_of(table), return_inverse=True)
    words = (style.listed(flag_texts(int(value), Layout.V1_18)) for value in seen)
    return [token_table(words).column(which)] if len(seen) else []


@cache
def _words(form: Form, style: Style, release: Layout | None) -> TokenTable:
    """Words chosen by one byte, some of them by that release's names."""
    if form is Form.PROTOCOL:
        return protocols(style)
    name: Callable[[int], str] = {
        Form.DIRECTION: lambda code: "in" if code & 1 else "out",
        Form.TRAFFIC: lambda code: "egress" if code & 1 else "ingress",
        Form.REASON: reason_name,
        Form.METRIC_DIRECTION: lambda code: direction_name(code & 3).lower(),
        Form.FILE: lambda code: file_name(code, release or Layout.V1_18),
        Form.DENY: lambda code: "deny" if code & 1 else "allow",
    }[form]

    def word(code: int) -> bytes:
        text = name(code)
        # A comma in a reason must not end its cell.
        return f'"{text}"'.encode() if style == CSV and "," in text else style.text(text)

    return rows_of(word)
