"""What is told or asked over several turns, as one text: turns that hang together, and names given in pieces.

    "A novelist born 1947 in Portland." "He taught English." "What was his first novel?"   -> one text, three windows
    "First name: Ann" "Last name: Quelle. Who is that?"                                    -> the pieces of a name

A window ends at a turn and reaches back as far as turns point back, so it never changes while the chat goes on: what was
found in it stays known by its hash, and a turn costs one new window however long the chat is. Pure; it knows no entries.
Only what the caller says himself is put together. Quizzes by elimination ("is it a man?", "did he write?") are out of
reach: no text holds what is told. Lengths are in characters.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from guardrail.decision import Passage
from guardrail.detectors.reference import Link, Reference, read_reference
from guardrail.detectors.reference.words import JOINS, LABELS
from guardrail.detectors.turns import Conversation, Turn

WINDOW_TURNS = 6
WINDOW_CHARS = 600
SKIPPED_TURNS = 2
"""Turns about something else over which a pronoun still reaches back."""

_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")


@dataclass(frozen=True, kw_only=True, slots=True)
class Joined:
    """Several texts as one. `passage` is the last of them; `starts` tells where each begins, `passages` whose it is."""

    text: str
    passage: int
    starts: tuple[int, ...]
    passages: tuple[int, ...]

    def crosses(self, start: int, end: int) -> bool:
        """True if the span lies in more than one of the texts."""
        return any(start < border < end for border in self.starts)


def reading_of(turn: Turn, passages: Sequence[Passage]) -> Reference:
    """How a turn hangs on what was said before."""
    return read_reference(tuple(passages[index].text for index in turn.user))


def windows(conversation: Conversation, passages: Sequence[Passage]) -> list[Joined]:
    """For each of the last turns what it says together with the turns that it points back at."""
    turns = conversation.turns
    first = max(0, len(turns) - 2 * WINDOW_TURNS)
    readings = {number: reading_of(turns[number], passages) for number in range(first, len(turns))}
    found: list[Joined] = []
    for number in range(max(first, len(turns) - WINDOW_TURNS), len(turns)):
        members = _chain(number, readings)
        joined = _join([index for member in members for index in turns[member].user], passages)
        if joined is not None:
            found.append(joined)
    return found


def _chain(number: int, readings: dict[int, Reference]) -> list[int]:
    """The turns that hang together with turn `number`, oldest first."""
    members = [number]
    while len(members) < WINDOW_TURNS:
        before = _antecedent(members[0], readings)
        if before is None:
            break
        members.insert(0, before)
    return members


def _antecedent(number: int, readings: dict[int, Reference]) -> int | None:
    """The turn that this one points back at, or that it goes on telling."""
    reading, before, skipped = readings[number], number - 1, 0
    while before in readings and readings[before].link is Link.CLOSING:
        before -= 1
    if reading.link is Link.PERSON:
        while before - 1 in readings and _is_aside(readings[before]) and skipped < SKIPPED_TURNS:
            before, skipped = before - 1, skipped + 1
    if before not in readings:
        return None
    tells_on = reading.is_statement and reading.link is Link.OWN and readings[before].is_statement
    return before if reading.points_back or tells_on else None


def _is_aside(reading: Reference) -> bool:
    """A question of its own that speaks of nobody."""
    return reading.link is Link.CLOSING or (
        reading.link is Link.OWN and not reading.someone and not reading.is_statement
    )


def _join(indexes: Sequence[int], passages: Sequence[Passage]) -> Joined | None:
    """The texts as one; the earliest are left out where it grows too long. None if there is only one."""
    kept: list[int] = []
    length = 0
    for index in reversed(indexes):
        length += len(passages[index].text) + 1
        if length > WINDOW_CHARS:
            break
        kept.insert(0, index)
    if len(kept) < 2:
        return None
    starts, text = [], ""
    for index in kept:
        starts.append(len(text))
        text += passages[index].text.strip() + " "
    return Joined(text=text.rstrip(), passage=kept[-1], starts=tuple(starts), passages=tuple(kept))


def spoken(conversation: Conversation, passages: Sequence[Passage]) -> Joined | None:
    """Everything that the caller said in the last turns, for names that begin in one text and end in the next."""
    return _join([index for turn in conversation.turns[-WINDOW_TURNS:] for index in turn.user], passages)


def is_broken_off(joined: Joined, start: int, end: int) -> bool:
    """Does the span run from the very end of one text, which no full stop closes, into the beginning of the next?"""
    for border in joined.starts:
        if start < border < end:
            open_end = joined.text[:border].rstrip()[-1:]
            follows = joined.text[end:].lstrip()[:1]
            return open_end not in ".!?。" and not (follows.isalpha() and joined.text[end : end + 1].isspace())
    return False


def pieces(joined: Joined) -> Joined | None:
    """The same texts without labels and small words ("first name:", "the second word is"), where the caller speaks of
    names or words to be put together; None where he does not."""
    words = [(word.group(), word.start()) for word in _WORD.finditer(joined.text)]
    if not any(word.lower() in JOINS for word, _ in words):
        return None
    text, starts = "", [0] * len(joined.starts)
    number = 0
    for word, place in words:
        while number + 1 < len(joined.starts) and place >= joined.starts[number + 1]:
            number += 1
            starts[number] = len(text)
        if not _is_label(joined, word, place):
            text += word + " "
    return Joined(text=text.rstrip(), passage=joined.passage, starts=tuple(starts), passages=joined.passages)


def _is_label(joined: Joined, word: str, place: int) -> bool:
    """Labels in any spelling; small words unless they are capitalised inside a sentence ("surname: Will")."""
    if word.lower() in JOINS:
        return True
    opens = place in joined.starts or joined.text[:place].rstrip()[-1:] in ".!?"
    return word.lower() in LABELS and (word[0].islower() or opens)


def place_of(joined: Joined, end: int) -> int:
    """Whose text a span ends in."""
    return max(
        (passage for start, passage in zip(joined.starts, joined.passages, strict=True) if start < end),
        default=joined.passage,
    )
