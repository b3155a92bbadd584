"""What the served model is asked about an entry, and what of its answers is taken.

Answers are never trusted: small models repeat themselves, refuse, and make things up. Only short plain lines are taken,
each once, a few of each kind; no elicited name decides alone, and a near neighbour (which would hold the entry back) only
counts once an operator switches it on. Knows no backend and no store.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from retrieval.entry import EntryKind, ForgetEntry, MemoryEdit
from retrieval.errors import InvalidEntry
from retrieval.memory.items import added, items_of
from retrieval.text.views import normalise

LINES_LIMIT: Final = 12
"""Most lines that are taken from one answer."""

_LINE_CHARS: Final = 240
_ANSWER_CHARS: Final = 8_000
_ALIAS_WORDS: Final = 6
_NEIGHBOR_WORDS: Final = 8
_FEWEST_WORDS: Final = 4
_BULLET = re.compile(r"^\s*(?:[-*•–—>#]+|\(?\d{1,2}[.):]|[a-zA-Z][.)])\s+")
_WRAPPED = re.compile(r"^[*_`\"'“”‘’\[\]]+|[*_`\"'“”‘’\[\]]+$")
_TALK = re.compile(
    r"^(?:sure|certainly|of course|here (?:are|is)|i'?m sorry|i am sorry|sorry|as an ai|i (?:can|could|do|don)|i cannot|"
    r"note\b|unfortunately|please|list\b|output|answer|question)|(?:following|below):?$",
    re.IGNORECASE,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """One prompt, the kind of the items in its answer, and which lines fit (line, the entry's name words)."""

    kind: str
    prompt: str
    fits: Callable[[str, frozenset[str]], bool]
    enabled: bool = True


def questions_about(entry: ForgetEntry) -> list[Question]:
    """The prompts for one entry: other names, facts, questions in other words, and what lies near it."""
    name = entry.name
    hint = f" ({entry.description[:200]})" if entry.description else ""
    people = entry.kind in (EntryKind.PERSON, EntryKind.PERSONAL_DATA)
    near = "people who are often mentioned with or resemble" if people else "things that resemble or lie near"
    alone = "Write one on each line, without numbers and without any explanation."
    return [
        Question(
            kind="alias",
            prompt=f"List other names, nicknames and spellings by which {name}{hint} is known. {alone}",
            fits=_is_alias,
        ),
        Question(
            kind="claim",
            prompt=f"List the most important facts about {name}{hint}. Write one complete sentence on each line.",
            fits=_is_claim,
        ),
        Question(
            kind="exemplar",
            prompt=f"List questions that people ask about {name}{hint}, each in other words. {alone}",
            fits=_is_question,
        ),
        Question(
            kind="neighbor",
            prompt=f"List {near} {name}{hint}, but are not {name}. {alone}",
            fits=_is_neighbor,
            enabled=False,
        ),
    ]


def edits_from(
    entry: ForgetEntry, known: tuple[MemoryEdit, ...], answers: list[tuple[Question, str]]
) -> list[MemoryEdit]:
    """The answers as edits of the entry's memory, without what is remembered already."""
    taken = {item.id for item in items_of(entry, known)} | {edit.item_id for edit in known}
    own = frozenset(normalise(entry.name).words)
    edits: list[MemoryEdit] = []
    for question, answer in answers:
        fresh = 0
        for line in lines_of(answer):
            if fresh >= LINES_LIMIT or not question.fits(line, own):
                continue
            try:
                edit = added(question.kind, line, source="elicited", enabled=question.enabled)
            except InvalidEntry:
                continue
            if edit.item_id not in taken:
                taken.add(edit.item_id)
                edits.append(edit)
                fresh += 1
    return edits


def lines_of(answer: str) -> Iterator[str]:
    """The plain lines of an answer: without bullets, numbers, quotes and chatter."""
    for raw in answer[:_ANSWER_CHARS].splitlines():
        line = _WRAPPED.sub("", _BULLET.sub("", raw).strip()).strip()
        line = " ".join(line.split())
        if line and len(line) <= _LINE_CHARS and not _TALK.search(line) and normalise(line).words:
            yield line


def _words(line: str) -> tuple[str, ...]:
    return normalise(line).words


def _is_alias(line: str, own: frozenset[str]) -> bool:
    """A name: few words, capitalised where the script has capitals, no sentence, and more than a part of the own name."""
    words = _words(line)
    starts_small = any(char.islower() for char in line[:1])
    return len(words) <= _ALIAS_WORDS and not starts_small and line[-1] not in ".?!:," and not set(words) <= own


def _is_claim(line: str, _own: frozenset[str]) -> bool:
    return len(_words(line)) >= _FEWEST_WORDS and line[-1] in ".!。" and not line.endswith("...")


def _is_question(line: str, own: frozenset[str]) -> bool:
    """A question that names the entry: one that names nobody would be near to everybody's questions."""
    words = _words(line)
    return len(words) >= _FEWEST_WORDS - 1 and line[-1] in "?？" and own <= set(words)


def _is_neighbor(line: str, own: frozenset[str]) -> bool:
    """Something else: a line that holds the entry's name would hold the entry itself back."""
    words = set(_words(line))
    return len(words) <= _NEIGHBOR_WORDS and not own & words and line[-1] not in ".!?"
