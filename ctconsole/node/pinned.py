"""Where verbs get live entries from: the pinned maps.

The kernel needs about as long to hand half a million entries over as Python needs to find out
about the node and to print them. So maps are read in a thread of their own, and where the output
allows it a map comes in parts, of which the first is printed while the others are read.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import replace
from queue import Empty, Queue
from threading import Thread
from typing import TYPE_CHECKING, Final, TypeAlias

from ctconsole.errors import BpfError, FormatError, GoneError
from ctconsole.handles import Closing
from ctconsole.kernel.clock import moment
from ctconsole.kernel.maps import BpfMap
from ctconsole.model.catalogue import GLOBAL_MAPS
from ctconsole.model.ct.clock import KTIME
from ctconsole.model.ct.layout import LAYOUTS, VALUE_SIZE, Layout
from ctconsole.model.ct.table import UNWALKED
from ctconsole.model.raw import Raw
from ctconsole.paths import GLOBALS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    from ctconsole.model.ct.clock import ClockSource
    from ctconsole.model.ct.reading import Reading
    from ctconsole.model.ct.table import Walk
    from ctconsole.observe.families import Families

    Bytes: TypeAlias = npt.NDArray[np.uint8]
    Tell: TypeAlias = Callable[[str], None]

_PART: Final = 1 << 16
"""Entries of a part: enough for two threads to print while the next is read."""

_AHEAD: Final = 12
"""Parts that may wait for whoever prints them, some 5 MB each; four more are being read."""

_PATIENCE: Final = 0.05
"""Seconds to wait for a thread that is to end before looking again."""

_SAMPLE: Final = 1 << 14
"""Entries of each map that are asked for the layout of all."""


def readable(
    names: Iterable[str], read: Callable[[str], Iterable[Raw]], tell: Tell
) -> Iterator[Raw]:
    """Maps one after the other; one that cannot be read is passed over.

    Args:
        names: which.
        read: the parts of the map of a name.
        tell: takes why a map was passed over.

    Raises:
        BpfError: none can be read.
        FormatError: none is a map of the sort.
    """
    failure: BpfError | FormatError | None = None
    opened = False
    for name in names:
        try:
            yield from read(name)
            opened = True
        except (BpfError, FormatError) as error:
            # Gone since it was listed, or no map at all: the others are worth showing.
            tell(f"Passed over: {error}")
            failure = error
    if failure is not None and not opened:
        raise failure


def skipping(path: Path, reason: str) -> str:
    """What the tools up to 1.13 say of a map that is not there."""
    return f"Unable to open {path}: Unable to get object {path}: {reason}. Skipping."


def pinned(
    root: Path, names: Iterable[str], clock: ClockSource | None, tell: Tell
) -> Iterator[Raw]:
    """Maps of any sort, each whole; conntrack maps in parts are read by `PinnedTables`.

    Args:
        root: the bpffs.
        names: which of the maps pinned where Cilium pins its own.
        clock: what the node's agent stamps entries with; None for ktime.
        tell: takes why a map was passed over.

    Raises:
        BpfError: none can be read.
        FormatError: none is a map.
    """

    def read(name: str) -> Iterator[Raw]:
        with BpfMap.open(root / GLOBALS / name) as live:
            raw = live.read()
        yield replace(raw, at=moment(clock or KTIME))

    return readable(names, read, tell)


class ReadAhead:
    """Reads one map in a thread of its own, not far ahead; closes it.

    Args:
        live: the map.
        whole: hand it over as one part, as is done with what is no conntrack map.

    Raises:
        FormatError: it is a per-CPU map.
    """

    def __init__(self, live: BpfMap, *, whole: bool) -> None:
        self.info = live.info
        if self.info.type.is_per_cpu:
            live.close()
            raise FormatError(f"{self.info.label} is a per-CPU map, no conntrack map")
        self._live = live
        self._whole = whole or self.info.value_size != VALUE_SIZE
        self._walk = UNWALKED
        self._failure: BaseException | None = None
        self._given_up = False
        self._parts: Queue[tuple[Bytes, Bytes] | None] = Queue(_AHEAD)
        self._thread = Thread(target=self._run, name="read-ahead", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            with self._live:
                for part in self._read():
                    if self._given_up:
                        break
                    self._parts.put(part)
        except BaseException as error:  # noqa: BLE001 - raised again where the parts are taken
            self._failure = error
        finally:
            self._parts.put(None)

    def _read(self) -> Iterator[tuple[Bytes, Bytes]]:
        if self.info.type.is_hash and not self._whole and self._live.has_batch():
            # Each bucket comes once: there is nothing that only the whole map could tell.
            yield from self._live.read_parts(_PART)
            return
        dump = self._live.read()
        self._walk = dump.walk
        yield dump.keys, dump.values

    def parts(self, reading: Reading) -> Iterator[Raw]:
        """The parts of the map, at least one.

        Raises:
            BpfError: the map cannot be read at all.
        """
        at = moment(reading.clock)

        def part(keys: Bytes, values: Bytes, walk: Walk = UNWALKED, problem: str = "") -> Raw:
            return Raw(self.info, keys, values, walk, problem).known(reading, at)

        held: tuple[Bytes, Bytes] | None = None
        while (found := self._parts.get()) is not None:
            if held is not None:
                yield part(*held).part()
            held = found
        if self._failure is not None and (held is None or not isinstance(self._failure, BpfError)):
            raise self._failure
        note = str(self._failure or self._walk.note)
        problem = f"{self.info.label} was read in part: {note}" if note else ""
        keys, values = held or self._live.no_entries()
        yield part(keys, values, self._walk, problem)

    def close(self) -> None:
        """Stop reading; the parts not taken are lost."""
        self._given_up = True
        while self._thread.is_alive():
            # It may wait for room.
            with suppress(Empty):
                self._parts.get(timeout=_PATIENCE)


class PinnedTables(Closing):
    """The conntrack maps pinned on a bpffs; the first is read from the start on.

    Args:
        root: the bpffs; the maps are in its ``tc/globals``.
        whole: hand each map over as one part.
    """

    def __init__(self, root: Path, *, whole: bool) -> None:
        self._folder = root / GLOBALS
        self._whole = whole
        self._readers: dict[str, ReadAhead] = {}
        # Whatever is wrong with it is said when it is its turn.
        with suppress(BpfError, FormatError):
            self._open(GLOBAL_MAPS[0])

    def _open(self, name: str) -> ReadAhead:
        if name not in self._readers:
            live = BpfMap.open(self._folder / name)
            self._readers[name] = ReadAhead(live, whole=self._whole)
        return self._readers[name]

    def close(self) -> None:
        """Stop reading."""
        while self._readers:
            self._readers.popitem()[1].close()

    def samples(self) -> list[Bytes]:
        """Some values of each conntrack map, for `guess_layout`."""
        found = []
        for path in sorted(self._folder.glob("cilium_ct*")):
            with suppress(BpfError, FormatError), BpfMap.open(path) as live:
                if live.info.value_size == VALUE_SIZE and not live.info.type.is_per_cpu:
                    some = next(live.read_chunks(_SAMPLE), None)
                    found += [] if some is None else [some[1]]
        return found

    def maps(self, reading: Reading, tell: Tell, *, also_local: bool) -> Iterator[Raw]:
        """The maps that exist, in Cilium's order.

        Args:
            reading: what is known of the node.
            tell: takes why a map was passed over.
            also_local: list the maps of single endpoints too (``conntrack-local``).

        Raises:
            GoneError: there is none.
            BpfError: there are some, of which none can be opened.
        """
        names = [name for name in GLOBAL_MAPS if (self._folder / name).exists()]
        if also_local:
            every = sorted(path.name for path in self._folder.glob("cilium_ct*"))
            names += [name for name in every if name not in GLOBAL_MAPS]
        if not names:
            raise GoneError(
                2,
                "BPF_OBJ_GET",
                str(self._folder / GLOBAL_MAPS[0]),
                hint="Name the bpffs with --bpf-root, a map with --map-id or a file with "
                "--from-dump",
            )
        yield from readable(names, lambda name: self._open(name).parts(reading), tell)

    def maps_as_cilium(
        self, reading: Reading, layout: Layout, families: Families, tell: Tell, *, at_once: bool
    ) -> Iterator[Raw]:
        """The four global maps; about odd ones is done what that version's tool does.

        About a missing one those up to 1.13 say so and go on; later ones end there with an error.
        They leave out the maps of a family that the agent says is off.

        Args:
            reading: what is known of the node.
            layout: the version.
            families: which are on.
            tell: takes what the tool says of a map it passes over.
            at_once: look at all maps before the first is handed over, as the tools do for JSON,
                of which they print nothing where one map fails.

        Raises:
            GoneError: a map is missing and the layout's tool would end.
            FormatError: its values are of another size and the layout's tool would end.
        """
        asked = families.asked_by(layout)
        names = (GLOBAL_MAPS[:2] if asked.ipv4 else ()) + (GLOBAL_MAPS[2:] if asked.ipv6 else ())
        listed = (name for name in names if self._is_listed(name, layout, tell))
        for name in list(listed) if at_once else listed:
            yield from self._open(name).parts(reading)

    def _is_listed(self, name: str, layout: Layout, tell: Tell) -> bool:
        path, spec = self._folder / name, LAYOUTS[layout]
        try:
            with BpfMap.open(path) as live:
                size = live.info.value_size
        except GoneError as error:
            if not spec.skips_missing_maps:
                raise
            reason = os.strerror(error.errno or 0).lower()
            tell(skipping(path, reason))
            return False
        if size != VALUE_SIZE and not spec.any_value_size:
            raise FormatError(
                f"{path} has values of {size} bytes instead of {VALUE_SIZE}, at which the tool of "
                f"Cilium {layout} ends; --output table shows its bytes"
            )
        return True
