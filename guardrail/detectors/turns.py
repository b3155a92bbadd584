"""The passages of a request as a conversation: the turns of the caller with what followed each, and the standing texts.

A turn is every user text up to the next answer, as `treatments/text/question.py` sees the last one; what follows it (an
answer, a tool call and its result, the beginning of an answer that the caller wrote himself) belongs to it. The last turn
is current, the others are history. System texts, instructions and descriptions of tools stand over all turns. Several
prompts in one request are no conversation: each is a request of its own. It does not know what the texts say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from guardrail.decision import Passage, Role


@dataclass(frozen=True, kw_only=True, slots=True)
class Turn:
    """Indexes of passages: what the caller says, and everything else up to his next word."""

    user: tuple[int, ...]
    others: tuple[int, ...] = ()

    @property
    def passages(self) -> frozenset[int]:
        """All of it."""
        return frozenset((*self.user, *self.others))


@dataclass(frozen=True, kw_only=True, slots=True)
class Conversation:
    """`standing` are the indexes of system texts."""

    turns: tuple[Turn, ...]
    standing: frozenset[int] = frozenset()

    @property
    def is_single(self) -> bool:
        """True if there is nothing but the current turn."""
        return len(self.turns) < 2 and not self.standing


def read_turns(passages: Sequence[Passage]) -> Conversation:
    """Part a request's passages into turns."""
    if _is_list(passages):
        return Conversation(turns=(Turn(user=tuple(range(len(passages)))),))
    standing = frozenset(index for index, passage in enumerate(passages) if passage.role is Role.SYSTEM)
    turns: list[tuple[list[int], list[int]]] = []
    is_answered = True
    for index, passage in enumerate(passages):
        if index in standing:
            continue
        says = passage.role is Role.USER and passage.path[-1] != "name"
        if not turns or (says and is_answered):
            turns.append(([], []))
            is_answered = False
        turns[-1][0 if says else 1].append(index)
        is_answered |= passage.role is Role.ASSISTANT
    return Conversation(
        turns=tuple(Turn(user=tuple(user), others=tuple(others)) for user, others in turns), standing=standing
    )


def is_alone(passages: Sequence[Passage]) -> bool:
    """True if the request can hold no conversation: one text, or a list of texts that have nothing to do with each
    other."""
    return len(passages) < 2 or _is_list(passages)


def _is_list(passages: Sequence[Passage]) -> bool:
    """Several prompts, or several inputs to embed."""
    return any(len(passage.path) == 2 and passage.path[0] in ("prompt", "input") for passage in passages)
