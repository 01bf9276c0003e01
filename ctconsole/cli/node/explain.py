"""``ctconsole explain``: what operators ask of a node, answered from what is at hand."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

import click

from ctconsole.cli.common import message, styled
from ctconsole.cli.options import (
    bpf_root_option,
    check_now,
    from_dump_option,
    memory_option,
    now_option,
    over_option,
    state_dir_option,
)
from ctconsole.cli.printing import print_json
from ctconsole.cli.shown import json_option
from ctconsole.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from click.shell_completion import CompletionItem

    from ctconsole.model.explain.answer import Answer
    from ctconsole.model.explain.questions import Question

_WIDTH = 100


class QuestionWord(click.ParamType[str]):
    """The word of a question; the table of questions is looked at only when it is needed."""

    name = "question"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """See click."""
        from ctconsole.model.explain.questions import QUESTIONS

        words = [one.key for one in QUESTIONS]
        if value not in words:
            self.fail(f"{value!r} is none of {', '.join(words)}.", param, ctx)
        return value

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """See click."""
        del ctx, param
        from click.shell_completion import CompletionItem

        from ctconsole.model.explain.questions import QUESTIONS

        return [
            CompletionItem(one.key, help=one.text)
            for one in QUESTIONS
            if one.key.startswith(incomplete)
        ]


@click.command(name="explain")
@click.argument("words", nargs=-1, metavar="[QUESTION]...", type=QuestionWord())
@from_dump_option
@over_option("Look twice, so long apart, to see how the tables grow and what full ones throw out.")
@memory_option("where no log of it tells")
@now_option
@state_dir_option
@bpf_root_option
@json_option
def command(
    *,
    words: tuple[str, ...],
    dumps: tuple[Path, ...],
    seconds: float | None,
    memory: str | None,
    now: int | None,
    state_dir: Path | None,
    bpf_root: Path,
    as_json: bool,
) -> None:
    """Answer what operators ask, in sentences with figures; changes nothing.

    How full the tables are and since when, why they do not empty, who fills them, what expires
    means, why a table was re-created, whether "Map insertion failed" is a full table, why
    counters are zero, and how big the tables should be. Each answer names what it rests on and
    what it does not know. Files may be maps and archives, an agent's log, the output of its
    monitor, its metrics, also as a Prometheus answers them, Hubble's flows, and cilium status
    --verbose; or a recording, whose last moment counts.

    \b
    Questions: full, stays, who, expires, recreated, insertion, zero, size; all without one.

    \b
    Examples:
      ctconsole explain
      ctconsole explain stays who
      ctconsole explain full size --over 10
      ctconsole explain recreated --from-dump cilium-agent.log
      ctconsole explain --from-dump cilium-sysdump.zip --memory 32G -o json
    """
    from ctconsole.model.explain.questions import asked
    from ctconsole.model.units import parse_size
    from ctconsole.node import explaining, explaining_past

    check_now(now, dumps)
    recording = explaining_past.recording_among(dumps)
    if dumps:
        if seconds:
            raise UsageError("--over is for live maps; a dump is one moment")
        room = parse_size(memory) if memory else 0
        if recording is not None:
            if now or room:
                raise UsageError("A recording has its own clock: --now and --memory are for dumps")
            known = explaining_past.known_of_recording(recording)
        else:
            known = explaining.known_of_files(dumps, message, now=now or 0, memory=room)
    elif memory:
        raise UsageError("--memory is for --from-dump; a live node is asked")
    else:
        known = explaining.known_of_node(
            bpf_root, message, state_dir=state_dir, over=seconds or 0.0
        )
    found = [(one, one.answer(known)) for one in asked(words)]
    if as_json:
        print_json(
            {
                "live": known.live,
                "sources": list(known.sources),
                "answers": [_dict(one, answer) for one, answer in found],
            }
        )
        return
    for number, (one, answer) in enumerate(found):
        if number:
            click.echo()
        styled(f"{one.text}\n", bold=True)
        for line in _lines(answer):
            click.echo(line)


def _lines(answer: Answer) -> Iterator[str]:
    """An answer for people: sentences, then what they rest on and what is not known."""
    from ctconsole.model.explain.answer import sentence
    from ctconsole.model.text.safe import cell

    for told in answer.sentences:
        yield from _wrapped("", cell(sentence(told)))
    if answer.rests_on:
        yield from _wrapped("rests on: ", cell("; ".join(answer.rests_on)))
    for told in answer.unknown:
        yield from _wrapped("not known: ", cell(told))


def _wrapped(label: str, text: str) -> list[str]:
    return textwrap.wrap(
        f"{label}{text}.",
        _WIDTH,
        initial_indent="  ",
        subsequent_indent="    ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _dict(one: Question, answer: Answer) -> dict[str, Any]:
    return {
        "question": one.key,
        "text": one.text,
        "sentences": answer.sentences,
        "rests_on": answer.rests_on,
        "unknown": answer.unknown,
    }
