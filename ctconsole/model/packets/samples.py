"""Records of a perf event array as they left the kernel, before anybody knows what they are."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from ctconsole.errors import FormatError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    Bytes: TypeAlias = npt.NDArray[np.uint8]
    Numbers: TypeAlias = npt.NDArray[np.int64]

_COLUMNS = {"data": "u1", "starts": "i8", "sizes": "i8", "times": "u8", "cpus": "u2"}


@dataclass(frozen=True, slots=True)
class Samples:
    """What one read brought: records of any size, one after the other in one buffer.

    Attributes:
        data: u1[bytes], every record, with what the kernel puts between them.
        starts: where in ``data`` each record begins.
        sizes: bytes of each; up to 7 of them may be padding at the end.
        times: when each was written, nanoseconds of CLOCK_MONOTONIC.
        cpus: which CPU wrote each.
        lost: records the kernel could not store since the read before, of all CPUs.
    """

    data: Bytes
    starts: Numbers
    sizes: Numbers
    times: npt.NDArray[np.uint64]
    cpus: npt.NDArray[np.uint16]
    lost: int = 0

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def nbytes(self) -> int:
        """Memory it takes."""
        columns = (self.data, self.starts, self.sizes, self.times, self.cpus)
        return sum(column.nbytes for column in columns)

    def record(self, number: int) -> bytes:
        """The bytes of one record."""
        start = int(self.starts[number])
        return self.data[start : start + int(self.sizes[number])].tobytes()

    def heads(self, size: int) -> Bytes:
        """The first ``size`` bytes of every record, u1[n, size]; short ones are filled with 0."""
        at = self.starts[:, None] + np.arange(size)
        inside = np.arange(size) < self.sizes[:, None]
        if not len(self.data):
            return np.zeros((len(self), size), np.uint8)
        found: Bytes = np.where(inside, self.data[np.minimum(at, len(self.data) - 1)], np.uint8(0))
        return found


NO_SAMPLES = Samples(
    np.zeros(0, np.uint8),
    np.zeros(0, np.int64),
    np.zeros(0, np.int64),
    np.zeros(0, np.uint64),
    np.zeros(0, np.uint16),
)
"""A read that brought nothing."""


def joined(parts: list[Samples], lost: int = 0) -> Samples:
    """Several reads as one, in the order of their times; ``lost`` is added to theirs."""
    if not parts:
        return Samples(
            NO_SAMPLES.data,
            NO_SAMPLES.starts,
            NO_SAMPLES.sizes,
            NO_SAMPLES.times,
            NO_SAMPLES.cpus,
            lost,
        )
    offsets = np.cumsum([0, *(len(part.data) for part in parts[:-1])])
    times = np.concatenate([part.times for part in parts])
    order = np.argsort(times, kind="stable") if len(parts) > 1 else slice(None)
    starts = np.concatenate(
        [part.starts + offset for part, offset in zip(parts, offsets, strict=True)]
    )
    return Samples(
        data=np.concatenate([part.data for part in parts]),
        starts=starts[order],
        sizes=np.concatenate([part.sizes for part in parts])[order],
        times=times[order],
        cpus=np.concatenate([part.cpus for part in parts])[order],
        lost=lost + sum(part.lost for part in parts),
    )


def to_wire(samples: Samples) -> dict[str, str | int]:
    """A read as JSON values, to be undone by `from_wire` on the same machine."""
    columns = {name: getattr(samples, name) for name in _COLUMNS}
    packed = {name: base64.b64encode(array.tobytes()).decode() for name, array in columns.items()}
    return {**packed, "lost": samples.lost}


def from_wire(fields: Mapping[str, Any]) -> Samples:
    """Undo `to_wire`.

    Raises:
        FormatError: something is missing or damaged.
    """
    try:
        arrays = {
            name: np.frombuffer(base64.b64decode(fields[name], validate=True), dtype)
            for name, dtype in _COLUMNS.items()
        }
        return Samples(**arrays, lost=int(fields["lost"]))
    except (KeyError, TypeError, ValueError) as error:
        raise FormatError(f"Records from the agent are damaged: {error!r}") from error
