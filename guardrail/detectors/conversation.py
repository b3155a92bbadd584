"""Finds entries that no single turn tells of: asked for in small steps, or named in pieces.

It looks at texts put together from several turns (`steps.py`) with the phrase automaton and by meaning, and gives its
evidence at the turn that completes them. Which evidence of earlier turns still counts is decided in `focus.py`, not here.
"""

from __future__ import annotations

from collections.abc import Sequence

from guardrail.decision import Admits, Evidence, EvidenceKind, Passage
from guardrail.detectors.protocol import Finding
from guardrail.detectors.steps import Joined, is_broken_off, pieces, place_of, spoken, windows
from guardrail.detectors.turns import Conversation, is_alone, read_turns
from retrieval.searcher import Searcher

_IN_PIECES = ("pieces", "spaced")


class ConversationDetector:
    """What is told in steps."""

    name = "conversation"

    def __init__(self, searcher: Searcher) -> None:
        self._searcher = searcher

    async def find(self, passages: Sequence[Passage], admits: Admits) -> list[Finding]:
        if is_alone(passages):
            return []
        conversation = read_turns(passages)
        return [
            *self._names_in_pieces(conversation, passages, admits),
            *await self._told_in_steps(conversation, passages, admits),
        ]

    def _names_in_pieces(
        self, conversation: Conversation, passages: Sequence[Passage], admits: Admits
    ) -> list[Finding]:
        """Names that begin in one text of the caller and end in another."""
        joined = spoken(conversation, passages)
        if joined is None:
            return []
        found: list[Finding] = []
        assembled = pieces(joined)
        for text in (joined, assembled) if assembled is not None else (joined,):
            found += self._crossing(text, passages, admits, is_assembled=text is assembled)
        found += self._hidden(joined, passages, admits)
        return found

    def _crossing(
        self, joined: Joined, passages: Sequence[Passage], admits: Admits, *, is_assembled: bool
    ) -> list[Finding]:
        found: list[Finding] = []
        for hit in self._searcher.find_phrases(joined.text):
            if not joined.crosses(hit.start, hit.end):
                continue
            if not is_assembled and not is_broken_off(joined, hit.start, hit.end):
                continue
            for tag in hit.tags:
                entry = admits(tag.entry_id)
                if entry is not None and tag.always and tag.fits(joined.text[hit.start : hit.end]):
                    found.append(Finding(entry=entry, evidence=self._at(passages, place_of(joined, hit.end), 1.0)))
        return found

    def _hidden(self, joined: Joined, passages: Sequence[Passage], admits: Admits) -> list[Finding]:
        """Names spelled out over several texts: "a = 'An'" ... "b = 'n'. Who is a + b?"."""
        found: list[Finding] = []
        for hit in self._searcher.find_hidden(joined.text).hits:
            entry = admits(hit.tag.entry_id)
            if entry is None or hit.how not in _IN_PIECES or not joined.crosses(hit.start, hit.end):
                continue
            evidence = self._at(passages, place_of(joined, hit.end), hit.score, is_match=hit.is_match)
            found.append(Finding(entry=entry, evidence=evidence))
        return found

    async def _told_in_steps(
        self, conversation: Conversation, passages: Sequence[Passage], admits: Admits
    ) -> list[Finding]:
        """Entries that turns which hang together are near to."""
        joined = windows(conversation, passages)
        if not joined:
            return []
        found: list[Finding] = []
        for one, nears in zip(joined, await self._searcher.nearest([one.text for one in joined]), strict=True):
            for near in nears:
                entry = admits(near.entry_id)
                if entry is not None:
                    evidence = self._at(passages, one.passage, near.score, is_match=near.is_match)
                    found.append(Finding(entry=entry, evidence=evidence))
        return found

    def _at(self, passages: Sequence[Passage], index: int, score: float, *, is_match: bool = True) -> Evidence:
        return Evidence(
            detector=self.name,
            kind=EvidenceKind.TOLD_IN_STEPS,
            score=score,
            passage=index,
            start=0,
            end=len(passages[index].text),
            is_match=is_match,
        )
