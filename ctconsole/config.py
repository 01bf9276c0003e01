"""The agent's options: names, defaults and limits of Cilium 1.9, from flags and from a folder.

A config folder holds one file for each option, named as the option, as Kubernetes mounts a
ConfigMap and as cilium-compose lays it out. Flags win over files, files over defaults.

Defaults and limits are those of ``pkg/option/config.go`` and ``pkg/defaults/defaults.go`` (1.9).
"""

from __future__ import annotations

import re
import stat
from dataclasses import dataclass, fields
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias, get_args, get_type_hints

from ctconsole.errors import ConfigError, CtconsoleError
from ctconsole.kernel.files import write_whole
from ctconsole.model.catalogue import LIMIT_TABLE_MIN, TABLE_LIMITS
from ctconsole.private import make_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

NAT_DEFAULT = 524288
"""``NATMapEntriesGlobalDefault``: two thirds of the default CT tables together."""

MAGLEV_SIZES = (251, 509, 1021, 2039, 4093, 8191, 16381, 32749, 65521, 131071)
"""The primes Cilium accepts for ``bpf-lb-maglev-table-size``."""

HISTORY_MAX_AGE = 7 * 24 * 3600.0
"""Seconds for which a history keeps events unless told otherwise."""

HISTORY_MAX_EVENTS = 50_000
"""Events a history keeps unless told otherwise: some 20 MB."""

Value: TypeAlias = bool | int | float | str


@dataclass(frozen=True, slots=True)
class TextRule:
    """What an option's text has to be, if there is any.

    Attributes:
        words: the same for a person, e.g. ``a name``.
        fits: whether a text is one.
    """

    words: str
    fits: Callable[[str], bool]


def _is_network4(text: str) -> bool:
    """Go's net.ParseCIDR wants the prefix; bits beyond it are most likely a slip."""
    from ipaddress import IPv4Network

    try:
        return bool(re.search("/[0-9]{1,2}$", text, re.ASCII)) and bool(IPv4Network(text))
    except ValueError:
        return False


def _is_interface(text: str) -> bool:
    """``dev_valid_name`` of ``net/core/dev.c``."""
    return (
        0 < len(text.encode(errors="replace")) < _IFNAMSIZ
        and text not in {".", ".."}
        and not any(sign in "/:" or sign.isspace() for sign in text)
    )


_IFNAMSIZ = 16
_NETWORK4 = TextRule(
    "an IPv4 network such as 10.0.0.0/8, without bits beyond its prefix", _is_network4
)
_INTERFACE = TextRule("the name of an interface", _is_interface)


@dataclass(frozen=True, slots=True)
class OptionRule:
    """What an option's text may be.

    Attributes:
        help: one line for a person.
        low: smallest number accepted, None without a limit.
        high: largest number accepted, None without a limit.
        choices: the only values accepted, empty where any is.
        seconds: whether the option is a duration; written as Go writes one (``6h0m0s``), or
            as a plain number of seconds.
        shape: what a text has to be, where not any will do.
    """

    help: str
    low: int | None = None
    high: int | None = None
    choices: tuple[str, ...] = ()
    seconds: bool = False
    shape: TextRule | None = None

    @property
    def range(self) -> str:
        """What is accepted, in words, for messages and help."""
        if self.shape is not None:
            return f"{self.shape.words}, or nothing"
        if self.choices:
            return "one of " + ", ".join(self.choices)
        unit = " seconds" if self.seconds else ""
        if self.high is not None:
            return f"{self.low} to {self.high}{unit}"
        return f"{self.low} or more{unit}" if self.low is not None else "any text"


_BOOL = ("true", "false")
_TABLE = TABLE_LIMITS
_SIDE = (1 << 8, 1 << 16)
_U32 = (1 << 32) - 1


def _switch(text: str) -> OptionRule:
    return OptionRule(text, choices=_BOOL)


def _timeout(text: str) -> OptionRule:
    return OptionRule(text, 1, _U32, seconds=True)


@dataclass(frozen=True, slots=True)
class AgentConfig:
    """Every option of the agent; this class body is the one table of them.

    A field's name is the option's with ``_`` for ``-``. Durations are seconds.
    """

    bpf_ct_global_tcp_max: Annotated[
        int, OptionRule("Entries of the TCP conntrack tables", *_TABLE)
    ] = 524288
    bpf_ct_global_any_max: Annotated[
        int, OptionRule("Entries of the conntrack tables of everything but TCP", *_TABLE)
    ] = 262144
    bpf_nat_global_max: Annotated[int, OptionRule("Entries of the NAT tables", *_TABLE)] = (
        NAT_DEFAULT
    )
    bpf_fragments_map_max: Annotated[
        int, OptionRule("Entries of the table of IPv4 fragments", *_SIDE)
    ] = 8192
    bpf_policy_map_max: Annotated[
        int, OptionRule("Entries of an endpoint's policy map", *_SIDE)
    ] = 16384
    enable_ipv4: Annotated[bool, _switch("Track IPv4")] = True
    enable_ipv6: Annotated[bool, _switch("Track IPv6")] = True
    enable_node_port: Annotated[bool, _switch("NodePort services, and with them NAT")] = False
    enable_session_affinity: Annotated[bool, _switch("Session affinity of services")] = False
    enable_svc_source_range_check: Annotated[
        bool, _switch("Check loadBalancerSourceRanges of services")
    ] = True
    enable_ipv4_fragment_tracking: Annotated[bool, _switch("Follow IPv4 fragments")] = True
    conntrack_local: Annotated[bool, _switch("Conntrack tables of each endpoint's own")] = False
    preallocate_bpf_maps: Annotated[
        bool, _switch("Allocate all entries of hash maps when they are created")
    ] = True
    tunnel: Annotated[
        str, OptionRule("Encapsulation between nodes", choices=("vxlan", "geneve", "disabled"))
    ] = "vxlan"
    bpf_lb_algorithm: Annotated[
        str, OptionRule("How a service picks its backend", choices=("random", "maglev"))
    ] = "random"
    bpf_lb_maglev_table_size: Annotated[
        int, OptionRule("Slots of a Maglev table", choices=tuple(map(str, MAGLEV_SIZES)))
    ] = 16381
    bpf_ct_timeout_regular_tcp: Annotated[
        int, _timeout("Life of an established TCP entry after its last packet")
    ] = 21600
    bpf_ct_timeout_regular_any: Annotated[
        int, _timeout("Life of an entry that is not TCP after its last packet")
    ] = 60
    bpf_ct_timeout_service_tcp: Annotated[
        int, _timeout("Life of a service's TCP entry after its last packet")
    ] = 21600
    bpf_ct_timeout_service_any: Annotated[
        int, _timeout("Life of a service's entry that is not TCP after its last packet")
    ] = 60
    bpf_ct_timeout_regular_tcp_syn: Annotated[
        int, _timeout("Life of a TCP entry that has seen only a SYN")
    ] = 60
    bpf_ct_timeout_regular_tcp_fin: Annotated[
        int, _timeout("Life of a TCP entry closed by both sides")
    ] = 10
    enable_ipv4_masquerade: Annotated[bool, _switch("Let pods leave under the node's address")] = (
        False
    )
    ipv4_native_routing_cidr: Annotated[
        str, OptionRule("Network that pods reach under their own addresses", shape=_NETWORK4)
    ] = ""
    devices: Annotated[
        str,
        OptionRule(
            "Interface pods leave through; the default route's where none is given",
            shape=_INTERFACE,
        ),
    ] = ""
    enable_monitor: Annotated[bool, _switch("Tell of packets in cilium_events")] = True
    monitor_aggregation: Annotated[
        str,
        OptionRule(
            "How many of the packets that pass are told of",
            choices=("none", "lowest", "low", "medium", "maximum"),
        ),
    ] = "medium"
    trace_payloadlen: Annotated[int, OptionRule("Bytes of a packet that are told", 0, 1500)] = 128
    monitor_aggregation_interval: Annotated[
        int, _timeout("Least time between two reports of one connection")
    ] = 5
    endpoint_regeneration_delay: Annotated[
        float,
        OptionRule(
            "Wait between one endpoint's new programs and the next's", 0, 3600, seconds=True
        ),
    ] = 0.0
    conntrack_gc_interval: Annotated[
        float,
        OptionRule("Time between two GC passes; 0 adapts to the table", 0, _U32, seconds=True),
    ] = 0.0
    conntrack_gc_max_interval: Annotated[
        float,
        OptionRule("Longest adapted time between two passes; 0 is 12 h", 0, _U32, seconds=True),
    ] = 0.0
    history_max_age: Annotated[
        float,
        OptionRule("Age at which events leave the history; 0 keeps them", 0, _U32, seconds=True),
    ] = HISTORY_MAX_AGE
    history_max_events: Annotated[
        int, OptionRule("Events the history keeps; 0 keeps all", 0, _U32)
    ] = HISTORY_MAX_EVENTS

    def __post_init__(self) -> None:
        """Check what no option can check alone.

        Raises:
            ConfigError: neither IP family is on, or NAT is larger than conntrack.
        """
        if not (self.enable_ipv4 or self.enable_ipv6):
            raise ConfigError(
                "enable-ipv4 and enable-ipv6 are both false",
                hint="Enable at least one of them",
            )
        if self.nat_max > self.ct_max_sum:
            raise ConfigError(
                f"bpf-nat-global-max={self.bpf_nat_global_max} is larger than the conntrack "
                f"tables together ({self.ct_max_sum})",
                hint=f"Give a value from {LIMIT_TABLE_MIN} to {self.ct_max_sum}",
            )

    @property
    def ct_max_sum(self) -> int:
        """Entries of the TCP and the other conntrack table together."""
        return self.bpf_ct_global_tcp_max + self.bpf_ct_global_any_max

    @property
    def nat_max(self) -> int:
        """Entries a NAT table is really given.

        A NAT table left at its default shrinks to two thirds of conntrack tables smaller than
        it; it does not grow with them (``checkMapSizeLimits``).
        """
        if self.bpf_nat_global_max == NAT_DEFAULT and self.ct_max_sum < NAT_DEFAULT:
            return self.ct_max_sum * 2 // 3
        return self.bpf_nat_global_max

    @classmethod
    def from_options(cls, options: Mapping[str, str]) -> AgentConfig:
        """A config with these options, by their kebab-case names, over the defaults.

        Raises:
            ConfigError: an unknown name, or a value out of its range.
        """
        # Any: the type checker cannot see that parse() answers with each field's own type.
        values: dict[str, Any] = {
            OPTIONS.find(name).field: parse(name, text) for name, text in options.items()
        }
        return cls(**values)

    def with_options(self, options: Mapping[str, str]) -> AgentConfig:
        """This config with some options given other values.

        Raises:
            ConfigError: an unknown name, or a value out of its range.
        """
        return self.from_options(self.as_options() | dict(options))

    def as_options(self) -> dict[str, str]:
        """Every option as text, by its kebab-case name; `from_options` undoes it."""
        values = {option.name: getattr(self, option.field) for option in OPTIONS.values()}
        return {name: _text(value) for name, value in values.items()}


@dataclass(frozen=True, slots=True)
class Option:
    """One line of the table: an option's names, type, default and rule."""

    name: str
    field: str
    type: type[bool | int | float | str]
    default: Value
    rule: OptionRule


class _Options(dict[str, Option]):
    """The table by kebab-case name, with a lookup that refuses in words."""

    def find(self, name: str) -> Option:
        """The option of this name; `ConfigError` suggests the closest one."""
        if name in self:
            return self[name]
        import difflib

        close = difflib.get_close_matches(name, self, n=1)
        hint = f"Did you mean {close[0]}?" if close else "See ctconsole agent start --help"
        raise ConfigError(f"{name} is not an option of the agent", hint=hint)


@cache
def _table() -> _Options:
    hints = get_type_hints(AgentConfig, include_extras=True)
    defaults = AgentConfig()
    table = _Options()
    for field in fields(AgentConfig):
        kind, rule = get_args(hints[field.name])
        name = field.name.replace("_", "-")
        table[name] = Option(name, field.name, kind, getattr(defaults, field.name), rule)
    return table


OPTIONS = _table()
"""Every option by its kebab-case name, in the order of `AgentConfig`."""


def parse(name: str, text: str) -> Value:
    """The value that ``text`` means for an option.

    Raises:
        ConfigError: naming option, value and range.
    """
    option = OPTIONS.find(name)
    value = _convert(option, text.strip())
    rule = option.rule
    if (
        value is None
        or (rule.shape is not None and value and not rule.shape.fits(str(value)))
        or (rule.choices and _text(value) not in rule.choices)
        or (not isinstance(value, str) and rule.low is not None and value < rule.low)
        or (not isinstance(value, str) and rule.high is not None and value > rule.high)
    ):
        raise ConfigError(f"{name}={text.strip()} is out of range", hint=f"Give {rule.range}")
    return value


# Go's strconv.ParseBool, which reads Cilium's options.
_TRUE = frozenset({"1", "t", "T", "true", "TRUE", "True"})
_FALSE = frozenset({"0", "f", "F", "false", "FALSE", "False"})
_INTEGER = re.compile(r"[+-]?[0-9]{1,20}", re.ASCII)
_GO_PART = r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|ms|s|m|h)"
_GO_DURATION = re.compile(rf"(?:{_GO_PART})+", re.ASCII)
_UNIT = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


def _convert(option: Option, text: str) -> Value | None:
    """``text`` as the option's type, None where it is no such thing."""
    if option.type is bool:
        return True if text in _TRUE else False if text in _FALSE else None
    if option.type is str:
        return text
    number: float | None = float(int(text)) if _INTEGER.fullmatch(text) else None
    if option.rule.seconds and number is None and _GO_DURATION.fullmatch(text):
        number = sum(float(n) * _UNIT[unit] for n, unit in re.findall(_GO_PART, text))
    if number is None or (option.type is int and not number.is_integer()):
        return None
    return int(number) if option.type is int else number


def _text(value: Value) -> str:
    """A value as the config folder writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else f"{round(value * 1000)}ms"
    return str(value)


@dataclass(frozen=True, slots=True)
class ConfigDir:
    """What was found in a config folder.

    Attributes:
        options: known options and their text, unchecked.
        unknown: names of files that are no option of ours; a real Cilium folder has many.
    """

    options: Mapping[str, str]
    unknown: tuple[str, ...]


def read_dir(path: Path) -> ConfigDir:
    """Read a config folder; hidden files and folders are skipped, as Kubernetes needs it.

    Raises:
        ConfigError: the folder or a file in it cannot be read.
    """
    options: dict[str, str] = {}
    unknown: list[str] = []
    try:
        names = sorted(entry.name for entry in path.iterdir() if entry.is_file())
        for name in names:
            if name.startswith("."):
                continue
            if name in OPTIONS:
                options[name] = (path / name).read_text(encoding="utf-8").strip()
            else:
                unknown.append(name)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"cannot read the config folder {path}: {error}", hint="Give --config-dir DIR"
        ) from error
    return ConfigDir(options, tuple(unknown))


def write_option(directory: Path, name: str, value: str) -> None:
    """Give an option a value in a config folder; whoever reads sees the old or the new file.

    Raises:
        ConfigError: the value is out of range.
        CtconsoleError: the folder cannot be written.
    """
    parse(name, value)
    try:
        make_folder(directory)
        write_whole(directory / name, f"{value}\n", mode=_mode(directory / name))
    except OSError as error:
        raise CtconsoleError(f"cannot write {directory / name}: {error.strerror}") from error


def _mode(file: Path) -> int:
    """Permissions of an option's file: those it has, else this user's alone."""
    try:
        return stat.S_IMODE(file.stat().st_mode)
    except FileNotFoundError:
        return 0o600
