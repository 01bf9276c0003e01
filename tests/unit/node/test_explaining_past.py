"""Questions answered from a recording, as of one of its moments."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from ctconsole.cli.node.explain import command
from ctconsole.errors import FormatError, UsageError
from ctconsole.model.event import Event, EventKind
from ctconsole.model.explain.questions import QUESTIONS
from ctconsole.node.explaining_past import known_at
from ctconsole.observe.offline import read_offline
from ctconsole.observe.recording.moment import VERSION, Head
from ctconsole.observe.recording.reader import Recording
from ctconsole.observe.recording.taking import Taker
from ctconsole.observe.recording.writer import RecordingWriter
from tests.support.fakes import CT4, EPOCH, FakeSource, random_table

if TYPE_CHECKING:
    from pathlib import Path

    from ctconsole.model.event import Scalar
    from ctconsole.model.explain.facts import Known


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """A table of 100 entries that grows by ten a second, and is re-created in the fifth."""
    path, time = tmp_path / "node.ctrec", EPOCH
    node = FakeSource(clock=lambda: time)
    row = node.rows[CT4]
    whole = random_table(row.info, 400)
    with RecordingWriter(path, Head(VERSION, "node-1", "0.1.0", EPOCH, 1.0), 1 << 24) as writer:
        taker = Taker(node, writer, clock=lambda: time)
        for second in range(10):
            time = EPOCH + second
            entries = 100 + 10 * second
            node.rows[CT4] = replace(row, entries=entries)
            node.tables[CT4] = replace(whole.take(slice(entries)), taken_at=time)
            changed: dict[str, Scalar] = {"property": "Max entries", "old": 1, "new": 2}
            mismatch = Event(
                EPOCH + 5, EventKind.MAP_MISMATCH, "log", str(CT4), "m", fields=changed
            )
            node.log = [(1, mismatch)] if second >= 5 else []
            assert taker.take()
    return path


def answer(key: str, known: Known) -> str:
    [question] = [one for one in QUESTIONS if one.key == key]
    return " ".join(question.answer(known).sentences)


def test_it_answers_as_of_the_moment_shown(recording: Path) -> None:
    with Recording(recording) as opened:
        early, late = (known_at(opened, EPOCH + second) for second in (2, 9))
    assert "holds 120" in answer("full", early)
    assert "holds 190" in answer("full", late)
    assert "no map was re-created" in answer("recreated", early)
    assert "from 1 to 2 entries" in answer("recreated", late)
    assert late.now == EPOCH + 9
    assert not late.live
    assert answer("who", late)


def test_the_last_moment_of_a_recording_counts(
    recording: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command.main(["full", "--from-dump", str(recording)], standalone_mode=False)
    told = " ".join(capsys.readouterr().out.split())
    assert "holds 190" in told


def test_a_recording_is_asked_about_alone(recording: Path, tmp_path: Path) -> None:
    other = tmp_path / "agent.log"
    other.write_text('level=info msg="x"\n', "utf-8")
    words = ["--from-dump", str(recording), "--from-dump", str(other)]
    with pytest.raises(UsageError, match="is asked about alone"):
        command.main(words, standalone_mode=False)


def test_lists_say_what_opens_a_recording(recording: Path) -> None:
    with pytest.raises(FormatError, match="holds a recording: use ctconsole replay"):
        raise read_offline([recording]).without("a map", [recording])
