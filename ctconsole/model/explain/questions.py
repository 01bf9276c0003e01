"""The questions that can be asked, one row each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from ctconsole.model.explain import causes, filling

if TYPE_CHECKING:
    from collections.abc import Callable

    from ctconsole.model.explain.answer import Answer
    from ctconsole.model.explain.facts import Known


class Question(NamedTuple):
    """A question.

    Attributes:
        key: the word by which it is asked.
        text: the question.
        answer: finds the answer.
    """

    key: str
    text: str
    answer: Callable[[Known], Answer]


QUESTIONS: Final = (
    Question("full", "How full are the tables, and since when?", filling.how_full),
    Question("stays", "Why do they not empty?", filling.why_not_empty),
    Question("who", "Who fills them?", filling.who_fills),
    Question("expires", "What does expires mean here?", causes.what_expires),
    Question("recreated", "Why was a table re-created?", causes.why_recreated),
    Question("insertion", 'Is "Map insertion failed" a full table?', causes.is_it_full),
    Question("zero", "Why are the counters zero?", causes.why_no_counts),
    Question("size", "How big should they be?", filling.how_big),
)


def asked(keys: tuple[str, ...]) -> tuple[Question, ...]:
    """The questions of these words, all where none is given."""
    return tuple(one for one in QUESTIONS if not keys or one.key in keys)
