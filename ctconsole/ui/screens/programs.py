"""Everything about one program, and about one array of programs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ctconsole.ui.screens.details import Details
from ctconsole.ui.widgets.hook_rows import ProgramsSeen

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ctconsole.observe.calls import CallArray
    from ctconsole.observe.sampler import Sample
    from ctconsole.ui.screens.details import Facts


class CallDetails(Details):
    """Who calls whom through a program array."""

    def __init__(self, array: CallArray) -> None:
        super().__init__(array.path.name)
        self._array = array

    def on_mount(self) -> None:
        """Show the array of the sample it was opened on."""
        self.show(call_facts(self._array))

    def show_sample(self, sample: Sample) -> None:
        """Follow the pin: every generation of programs has an array of its own."""
        found = next((one for one in sample.calls if one.path == self._array.path), None)
        self.show(call_facts(found) if found else [("gone", "not pinned any more")])


def call_facts(array: CallArray) -> Facts:
    """The callers of an array with their hooks, then what stands in each of its places."""
    callers = [
        (f"caller {user.program.id}", f"{user.program.called}  {', '.join(user.where) or user.how}")
        for user in array.callers
    ]
    callees = [
        (f"place {one.index}", f"{one.prog_name or 'a program that has gone'} ({one.prog_id})")
        for one in array.callees
    ]
    return [
        *(callers or [("caller", "nobody calls through it")]),
        ("", ""),
        *(callees or [("places", "all empty")]),
    ]


class ProgramDetails(Details):
    """Where a program is met, what it costs, which maps it uses and whom it calls."""

    def __init__(self, number: int, sample: Sample) -> None:
        seen = ProgramsSeen(sample)
        super().__init__(seen.users[number].program.called if number in seen.users else str(number))
        self._number = number
        self._sample = sample

    def on_mount(self) -> None:
        """Show the program of the sample it was opened on."""
        self.show_sample(self._sample)

    def show_sample(self, sample: Sample) -> None:
        """Follow the program while the box is open."""
        facts = list(program_facts(ProgramsSeen(sample), self._number))
        self.show(facts or [("gone", "not loaded any more, or it uses no map of this node now")])


def program_facts(seen: ProgramsSeen, number: int) -> Iterator[tuple[str, str]]:
    """Everything about a program; nothing where it is not there."""
    user = seen.users.get(number)
    if user is None:
        return
    program = user.program
    yield "program", f"{program.called} ({number}), {program.type.name.lower()}"
    yield "tag", program.tag or "not told by the kernel"
    yield "endpoint", seen.endpoint(number) or "of none alone, by the maps it uses"
    yield "reached", user.how
    for where in user.where:
        yield ("called from" if user.how == "tail call" else "hook"), where
    yield "", ""
    run = seen.runs.get(number)
    if run is None:
        yield "runs", "not counted yet"
    else:
        each = "" if run.nanoseconds is None else f", {run.nanoseconds:,.0f} ns each"
        yield "runs", f"{run.rate:,.1f} a second{each}: {run.cpu:.2%} of a CPU"
        if len(user.where) > 1 and user.how == "attached":
            yield "", f"at its {len(user.where)} hooks together"
    yield "", ""
    for used in sorted(seen.maps.get(number, ()), key=lambda one: (one.pinned, one.pin)):
        how = "pinned now" if used.pinned else "an OLDER generation, which is pinned nowhere"
        yield "map", f"{used.pin} ({used.id}), {how}"
    yield "", ""
    arrays = seen.arrays.get(number, ())
    for array in arrays:
        for callee in array.callees:
            name = callee.prog_name or "a program that has gone"
            yield "tail call", f"{array.path.name} {callee.index}: {name} ({callee.prog_id})"
    if not any(array.callees for array in arrays):
        yield "tail call", "none through an array that is pinned here"
