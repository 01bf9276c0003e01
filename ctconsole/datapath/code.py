"""Compiled programs before they are loaded: instructions with slots still open.

A slot is a 64-bit load (``BPF_LD | BPF_IMM | BPF_DW``, two instructions) whose source register
says what kind of slot it is and whose immediate which one, as ``bpf/ctconsole_abi.h`` defines.
Filling slots instead of compiling anew is how Cilium 1.9 loads one template for every endpoint
(``pkg/elf``): a compilation takes half a second, filling takes microseconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from ctconsole.errors import DatapathError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

_INSN = np.dtype([("code", "u1"), ("regs", "u1"), ("off", "<i2"), ("imm", "<i4")])
_LD_IMM64 = 0x18
_SOURCE_SHIFT = 4
_DESTINATION = 0x0F

_Slot = TypeVar("_Slot", bound=IntEnum)


class SlotKind(IntEnum):
    """``SLOT_KIND_*`` of the ABI header: the source register of an open slot."""

    MAP = 1
    ENDPOINT = 14


class MapSlot(IntEnum):
    """``enum map_slot`` of the ABI header; the names are Cilium's defines."""

    CT_MAP_TCP4 = 1
    CT_MAP_ANY4 = 2
    METRICS_MAP = 3
    CT_MAP_TCP6 = 4
    CT_MAP_ANY6 = 5
    LB4_SERVICES_MAP_V2 = 6
    LB4_BACKEND_MAP = 7
    LB4_REVERSE_NAT_MAP = 8
    LB6_SERVICES_MAP_V2 = 9
    LB6_BACKEND_MAP = 10
    LB6_REVERSE_NAT_MAP = 11
    LB4_AFFINITY_MAP = 12
    LB6_AFFINITY_MAP = 13
    LB_AFFINITY_MATCH_MAP = 14
    LB4_MAGLEV_MAP = 15
    LB6_MAGLEV_MAP = 16
    POLICY_MAP = 17
    IPCACHE_MAP = 18
    ENDPOINTS_MAP = 19
    CALLS_MAP = 20
    POLICY_CALL_MAP = 21
    EVENTS_MAP = 22
    SIGNAL_MAP = 23
    SNAT_MAPPING_IPV4 = 24
    IPV4_FRAG_DATAGRAMS_MAP = 25


class EndpointSlot(IntEnum):
    """``enum endpoint_slot`` of the ABI header."""

    EP_IDENTITY = 1
    EP_ID = 2
    EP_POLICY = 3
    NETDEV_IPV4 = 4
    NETDEV_EXCLUDED = 5
    NETDEV_EXCLUDED_MASK = 6


class PolicyBit(IntFlag):
    """``EP_POLICY_*``: directions in which only what the policy map allows passes."""

    INGRESS = 1
    EGRESS = 2


@dataclass(frozen=True, slots=True)
class Program:
    """One compiled program.

    Attributes:
        name: the C function's.
        insns: its instructions, 8 bytes each, machine byte order.
    """

    name: str
    insns: bytes

    def map_slots(self) -> frozenset[MapSlot]:
        """The maps this program wants.

        Raises:
            DatapathError: the program has a map slot this table does not know.
        """
        insns = np.frombuffer(self.insns, _INSN)
        return frozenset(
            self._known(MapSlot, number)
            for number in np.unique(insns["imm"][_open(insns, SlotKind.MAP)]).tolist()
        )

    def bind(self, maps: Mapping[MapSlot, int], endpoint: Mapping[EndpointSlot, int]) -> bytes:
        """The instructions with every slot filled, ready to load.

        Args:
            maps: file descriptor for each map slot.
            endpoint: unsigned 32-bit number for each endpoint slot.

        Raises:
            DatapathError: a slot of the program is in neither.
        """
        insns = np.frombuffer(self.insns, _INSN).copy()
        for at in np.flatnonzero(_open(insns, SlotKind.MAP)).tolist():
            insns["imm"][at] = self._value(maps, self._known(MapSlot, int(insns["imm"][at])))
        for at in np.flatnonzero(_open(insns, SlotKind.ENDPOINT)).tolist():
            slot = self._known(EndpointSlot, int(insns["imm"][at]))
            insns["regs"][at] &= _DESTINATION
            insns["imm"][at] = np.uint32(self._value(endpoint, slot)).view(np.int32)
        return insns.tobytes()

    def _known(self, kind: type[_Slot], number: int) -> _Slot:
        try:
            return kind(number)
        except ValueError as error:
            raise DatapathError(
                f"{self.name} has slot {number}, which no {kind.__name__} is",
                hint="bpf/ctconsole_abi.h and ctconsole.datapath.code are of different versions",
            ) from error

    def _value(self, values: Mapping[_Slot, int], slot: _Slot) -> int:
        try:
            return values[slot]
        except KeyError as error:
            raise DatapathError(f"{self.name} wants {slot.name} and was given none") from error


def _open(insns: npt.NDArray[np.void], kind: SlotKind) -> npt.NDArray[np.bool]:
    """Mask of the open slots of one kind; the second half of a 64-bit load has code 0."""
    mask: npt.NDArray[np.bool] = insns["code"] == _LD_IMM64
    mask &= insns["regs"] >> _SOURCE_SHIFT == kind
    return mask
