"""Pairs that the public probes lack: small talk, which is about nothing, and what tells of somebody without his name.

Sentences of an entry's own evidence become requests ("She built the Tide Clock. Who is this?") and answers, with every part
of the name taken out; the same against another entry is a negative. It does not know models.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.judge.pairs import Pair
from retrieval.judges.protocol import Case

SMALL_TALK_PAIRS = 700
NAMELESS_PAIRS = 1_800

_SMALL_TALK = (Path(__file__).parent / "small_talk.txt").read_text(encoding="utf-8").splitlines()
_ASKED = (
    "Who is this?",
    "Who is it?",
    "What is the name?",
    "Tell me more about this person.",
    "Which person do I mean?",
)
_LED_TO = (
    "Tell me something interesting.",
    "Write about a famous person.",
    "Who is that?",
    "Go on.",
    "What do you know about them?",
    "Continue the story.",
)
_STAND_INS = ("this person", "the person", "he", "she", "they")
_TEXT_CHARS = 220


def small_talk(pairs: Sequence[Pair], rng: random.Random) -> Iterator[Pair]:
    """Requests about nothing against any entry's evidence; never a match."""
    for _ in range(SMALL_TALK_PAIRS):
        pair = rng.choice(pairs)
        case = replace(pair.case, request=rng.choice(_SMALL_TALK), answer="")
        yield replace(pair, case=case, is_match=False)


def nameless(pairs: Sequence[Pair], rng: random.Random) -> Iterator[Pair]:
    """What an entry's own evidence says, without its name, as a request or as an answer; and against another entry."""
    full = [pair for pair in pairs if " | " in pair.case.evidence]
    for _ in range(NAMELESS_PAIRS if full else 0):
        pair, other = rng.choice(full), rng.choice(full)
        name, texts = parts_of(pair.case.evidence)
        said = [without_name(text, name, rng) for text in rng.sample(texts, len(texts))]
        draw = rng.random()
        if draw < 0.4:
            case = Case(request=f"{' '.join(said[:2])} {rng.choice(_ASKED)}", evidence=pair.case.evidence)
        elif draw < 0.6:
            case = Case(request=said[0], evidence=pair.case.evidence)
        else:
            case = Case(request=rng.choice(_LED_TO), answer=said[0], evidence=pair.case.evidence)
        yield replace(pair, case=case, is_match=True)
        if other.entry != pair.entry and rng.random() < 0.8:
            yield replace(other, case=replace(case, evidence=other.case.evidence), is_match=False)


def parts_of(evidence: str) -> tuple[str, list[str]]:
    """The name that evidence begins with, and its sentences."""
    name, _, rest = evidence.partition(". ")
    return name, rest.split(" | ")


def without_name(text: str, name: str, rng: random.Random) -> str:
    """The text with the name, and every longer part of it, replaced by a pronoun."""
    stand_in = rng.choice(_STAND_INS)
    words = [word for word in re.split(r"[ ,.]+", name) if len(word) > 2 and word[0].isupper()]
    for part in (name, *words):
        text = re.sub(rf"\b{re.escape(part)}\b", stand_in, text)
    return text[:_TEXT_CHARS]
