"""A question with its gold answer, and the file format in which suites hold them.

One JSON object a line: `{"id", "question", "answer", "paraphrased_question"?, "paraphrased_answer"?,
"perturbed_answers"?, "split", "entry"?, "group"?}`. `perturbed_answers` are wrong answers in the form of the right one,
`paraphrased_answer` is the right one in other words; truth ratios compare them. Other fields are ignored, unless they
look like a misspelt one. It does not know models, metrics or entries beyond their ids.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Literal, get_args

import orjson

from finetune.data.rows import Row, rows_of
from finetune.data.whole_files import write_whole
from finetune.errors import InvalidData

Split = Literal["forget", "paraphrase", "adversarial", "neighbor", "retain", "utility"]
"""What a question is asked for: what must be forgotten, the same in other words, the same under attack, what lies near,
what must stay, what everybody knows."""

SPLITS: tuple[Split, ...] = get_args(Split)

_FIELDS = (
    "id",
    "question",
    "answer",
    "paraphrased_question",
    "paraphrased_answer",
    "perturbed_answers",
    "split",
    "entry",
    "group",
)
_MISSPELT = 0.85


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """A question and its gold answer. `entry` is whom or what it is about, `group` a free label."""

    id: str
    question: str
    answer: str
    split: Split
    paraphrased_question: str | None = None
    paraphrased_answer: str | None = None
    perturbed_answers: tuple[str, ...] = ()
    entry: str | None = None
    group: str | None = None

    @property
    def cluster(self) -> str:
        """What questions are drawn together by in a bootstrap: the entry, or the question alone."""
        return self.entry or self.id


def read_questions(path: Path, *, entries: Collection[str] | None = None) -> list[Question]:
    """The questions of a JSON Lines file; given `entries`, a question's entry must be one of these ids.

    Raises `InvalidData` naming file and line.
    """
    found: dict[str, Question] = {}
    for row in rows_of(path):
        question = _question(row)
        if question.id in found:
            raise row.wrong(f"the id '{question.id}' stands in an earlier line; ids must differ")
        if entries is not None and question.entry is not None and question.entry not in entries:
            raise row.wrong(f"'entry' names '{question.entry}', which is no id of the entries")
        found[question.id] = question
    if not found:
        raise InvalidData(
            f"{path} holds no question; write one JSON object a line, with {', '.join(_FIELDS[:3])}, split."
        )
    return list(found.values())


def write_questions(path: Path, questions: Iterable[Question]) -> None:
    """The file that `read_questions` reads; it replaces an older one as a whole."""
    lines = [orjson.dumps({key: value for key, value in asdict(one).items() if value}) for one in questions]
    write_whole(path, b"".join(line + b"\n" for line in lines))


def paraphrases_of(questions: Iterable[Question]) -> list[Question]:
    """The paraphrased questions that forget questions carry, as questions of their own."""
    return [
        replace(
            one,
            id=f"{one.id}/paraphrased",
            question=one.paraphrased_question,
            paraphrased_question=None,
            split="paraphrase",
        )
        for one in questions
        if one.paraphrased_question and one.split == "forget"
    ]


def _question(row: Row) -> Question:
    for field in row.value:
        near = get_close_matches(field, _FIELDS, n=1, cutoff=_MISSPELT)
        if near and field not in _FIELDS:
            raise row.wrong(f"unknown field '{field}'; did you mean '{near[0]}'?")
    return Question(
        id=row.text("id"),
        question=row.text("question"),
        answer=row.text("answer"),
        split=_split(row),
        paraphrased_question=row.optional_text("paraphrased_question"),
        paraphrased_answer=row.optional_text("paraphrased_answer"),
        perturbed_answers=row.texts("perturbed_answers"),
        entry=row.optional_text("entry"),
        group=row.optional_text("group"),
    )


def _split(row: Row) -> Split:
    given = row.text("split")
    for split in SPLITS:
        if given == split:
            return split
    near = get_close_matches(given, SPLITS, n=1)
    # Anything else may be a question or an answer in the wrong place, which no message may hold.
    what = f"is '{given}' (did you mean '{near[0]}'?)" if near else "is no split"
    raise row.wrong(f"'split' {what}; it must be one of {', '.join(SPLITS)}")
