"""What a request asks, in few words: what the statements of its answer are judged by.

The sentences of the last user turn that the caller asks or says himself, without pasted pages, as far as they fit: the
last ones, which hold the question. It does not know what the words mean, nor what was asked in earlier turns. Lengths in
characters.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

from guardrail.decision import Passage
from guardrail.detectors.supplied import is_supplied
from guardrail.treatments.text.question import last_turn
from retrieval.text.views import Span, sentences

LIMIT_CHARS = 600
_MOST_SENTENCES = 24
"""Of a long text only so many sentences are looked at: its first ones, and above all its last ones."""
_FIRST_SENTENCES = 4


def asked_words(passages: Sequence[Passage]) -> str:
    """The request in words; empty where nobody asks."""
    turn = [passages[index] for index in last_turn(passages)] or list(passages[-1:])
    own = list(chain.from_iterable(_own_sentences(passage) for passage in turn))
    kept: list[str] = []
    room = LIMIT_CHARS
    for sentence in reversed(own or [" ".join(passage.text for passage in turn)]):
        if len(sentence) > room:
            kept += [sentence[-room:]] if not kept else []
            break
        kept.append(sentence)
        room -= len(sentence) + 1
    return " ".join(reversed(kept)).strip()


def _own_sentences(passage: Passage) -> list[str]:
    """What the caller says himself."""
    return [passage.text[span.start : span.end] for span in _ends_of(passage.text) if not is_supplied(passage, *span)]


def _ends_of(text: str) -> list[Span]:
    spans = sentences(text)
    if len(spans) <= _MOST_SENTENCES:
        return spans
    return spans[:_FIRST_SENTENCES] + spans[_FIRST_SENTENCES - _MOST_SENTENCES :]
