"""What every view has around its body: the title with the views' names, and the status line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual.containers import Container, Horizontal
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Static

from ctconsole.keytable import BY_ID, VIEW_NAMES
from ctconsole.ui.console import console_of
from ctconsole.ui.text import clean

if TYPE_CHECKING:
    from collections.abc import Callable

    from textual.app import ComposeResult
    from textual.geometry import Size


class ViewTab(Static):
    """The name of a view; a click opens it."""

    class Clicked(Message):
        """The person wants this view."""

        def __init__(self, view: str) -> None:
            super().__init__()
            self.view = view

    def __init__(self, view: str, key: str, *, active: bool) -> None:
        told = f"{key} {BY_ID[f'view.{view}'].word}".lstrip()
        super().__init__(told, markup=False, classes="-active" if active else "")
        self._view = view

    def on_click(self) -> None:
        """Tell the app."""
        self.post_message(self.Clicked(self._view))


_LEAST_NAME = 8


def fitted(title: str, width: int) -> str:
    """A title in so many cells, if it can be: the name of the node, its first part, gives way.

    Which bpffs and whose agent are meant stands behind that, and is what must not be missed.
    """
    name, dot, rest = title.partition(" · ")
    over = len(title) - width
    if over <= 0 or len(name) <= _LEAST_NAME:
        return title
    return f"{name[: max(_LEAST_NAME, len(name) - over) - 1]}…{dot}{rest}"


class LookedAt(Static):
    """What is looked at, as far as there is room."""

    def __init__(self, title: str) -> None:
        super().__init__(id="source", markup=False)
        self.title = title

    def render(self) -> str:
        """The title in one line."""
        return fitted(clean(self.title), self.content_size.width)


class TitleBar(Container):
    """The program, what it looks at, and the views; two lines where one is too short."""

    def __init__(self, title: str, view: str) -> None:
        super().__init__()
        self._title = title
        self._view = view

    def compose(self) -> ComposeResult:
        """Program name, source, one tab for each view."""
        with Horizontal(id="meant"):
            yield Static("ctconsole", id="program", markup=False)
            yield LookedAt(self._title)
        with Horizontal(id="tabs"):
            for view in VIEW_NAMES:
                key = console_of(self.app).keyed(f"{{view.{view}}}")
                yield ViewTab(view, key, active=view == self._view)

    def show(self, title: str) -> None:
        """Say that this is looked at; more of it may be known by now."""
        if title != self._title:
            source = self.query_one(LookedAt)
            self._title = source.title = title
            source.refresh()


@dataclass(frozen=True, slots=True)
class Status:
    """What the status line says.

    Attributes:
        live: whether a node is looked at, rather than files.
        mode: which moment is shown, where it is neither the newest nor a frozen one.
        frozen: whether the screen holds an older sample.
        read_only: whether nothing can be changed.
        guard: what a guard that is on does; empty while it is off.
        recording: how large a recording that is written has become; empty while there is none.
        age: seconds since the sample shown was taken; None before the first.
        late: whether that is longer than samples are apart, so that a newer one should be there.
        cost: wall-clock seconds the sample cost.
        skipped: samples left out to keep the budget.
        shown: rows shown of those there are, e.g. ``12 of 34 maps``.
        flash: a short message about what was just done.
        error: what could not be read.
    """

    live: bool = True
    mode: str = ""
    frozen: bool = False
    read_only: bool = False
    guard: str = ""
    recording: str = ""
    age: float | None = None
    late: bool = False
    cost: float = 0.0
    skipped: int = 0
    shown: str = ""
    flash: str = ""
    error: str = ""

    @property
    def told(self) -> bool:
        """Whether something was said, or is in trouble."""
        return bool(self.error or self.flash)


_NARROW = 100
_WIDE = 160


class StatusBar(Widget):
    """One line: mode, age and cost of the sample, rows, and what just happened.

    What was said, or what is in trouble, may take more lines: its end is mostly the advice.
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "status-bar--live",
        "status-bar--frozen",
        "status-bar--read-only",
        "status-bar--guard",
        "status-bar--quiet",
        "status-bar--old",
        "status-bar--flash",
        "status-bar--error",
    }

    def __init__(self) -> None:
        super().__init__()
        self._status = Status()

    @property
    def status(self) -> Status:
        """What it says now."""
        return self._status

    def show(self, status: Status) -> None:
        """Say this from now on."""
        if status != self._status:
            before = self._lines(self.size.width)
            self._status = status
            self.refresh(layout=self._lines(self.size.width) != before)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """As many lines as it takes; see Textual."""
        del container, viewport
        return self._lines(width)

    def _lines(self, width: int) -> int:
        # Asked with each sample and at each tick of its age, when mostly nothing is said.
        if not (self._status.told and width):
            return 1
        return max(1, len(self.render().wrap(self.app.console, width)))

    def render(self) -> Text:
        """The line; what is always there is cut to the width by Textual."""
        status = self._status
        text = Text(no_wrap=not status.told, overflow="fold" if status.told else "ellipsis")

        def add(words: str, style: str) -> None:
            text.append(words, self.get_component_rich_style(f"status-bar--{style}"))

        add(*_mode(status))
        if status.read_only:
            add(" READ-ONLY ", "read-only")
        if status.guard:
            add(f"  {clean(status.guard)}", "guard")
        if status.recording:
            add(f"  {status.recording}", "error")
        # What was just said goes before what is always there.
        if self.size.width >= _WIDE or not (status.error or status.flash):
            if status.live and not status.mode:
                self._add_sample(add)
            if status.shown:
                add(f"  {status.shown}", "quiet")
        if status.error:
            add(f"  ▲ {clean(status.error)}", "error")
        elif status.flash:
            add(f"  {clean(status.flash)}", "flash")
        return text

    def _add_sample(self, add: Callable[[str, str], None]) -> None:
        """How old the sample is and what it cost; files have no such thing."""
        status = self._status
        if status.age is None:
            add("  waiting for the first sample", "quiet")
        else:
            old = status.late and not status.frozen
            add(f"  age {_short(status.age)}", "old" if old else "quiet")
            add(f"  cost {_short(status.cost)}", "quiet")
        if status.skipped and self.size.width >= _NARROW:
            add(f"  {status.skipped} skipped", "quiet")


def _mode(status: Status) -> tuple[str, str]:
    """What is looked at, and how that is to look."""
    if status.mode:
        return f" {status.mode} ", "frozen"
    if not status.live:
        return " ■ FILES ", "frozen"
    return (" ‖ FROZEN ", "frozen") if status.frozen else (" ● LIVE ", "live")


def _short(seconds: float) -> str:
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"  # noqa: PLR2004 - two digits are enough
