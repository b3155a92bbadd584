"""Finds entries by what they mean: sentence windows and whole texts against the entries' memory.

Reads everything that the caller says or hands in (user turns, system text, tool results), not only the last message, and
what encoded parts of it say; earlier answers of the model are left to the lexical detector. The searcher's first tier
settles most windows without the encoder.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from guardrail.decision import Admits, Evidence, EvidenceKind, Passage, Role
from guardrail.detectors.protocol import Finding
from guardrail.detectors.supplied import is_supplied
from retrieval.searcher import Searcher
from retrieval.text.readings import decoded_texts
from retrieval.text.views import Span, windows


class _Place(NamedTuple):
    """Where a compared text stands; `is_decoded`: it says something else there."""

    passage: int
    span: Span
    is_decoded: bool


class SemanticDetector:
    """Meaning."""

    name = "semantic"

    def __init__(self, searcher: Searcher) -> None:
        self._searcher = searcher

    async def find(self, passages: Sequence[Passage], admits: Admits) -> list[Finding]:
        places: list[_Place] = []
        texts: list[str] = []
        for index, passage in enumerate(passages):
            if passage.role is Role.ASSISTANT:
                continue
            for span in windows(passage.text):
                places.append(_Place(index, span, is_decoded=False))
                texts.append(passage.text[span.start : span.end])
            for decoded in decoded_texts(passage.text):
                for span in windows(decoded.text):
                    places.append(_Place(index, Span(decoded.start, decoded.end), is_decoded=True))
                    texts.append(decoded.text[span.start : span.end])
        findings: list[Finding] = []
        for place, nearest in zip(places, await self._searcher.nearest(texts), strict=True):
            index, span = place.passage, place.span
            for near in nearest:
                entry = admits(near.entry_id)
                if entry is not None:
                    evidence = Evidence(
                        detector=self.name,
                        kind=EvidenceKind.MEANING,
                        score=near.score,
                        passage=index,
                        start=span.start,
                        end=span.end,
                        supplied=not place.is_decoded and is_supplied(passages[index], span.start, span.end),
                        is_match=near.is_match,
                    )
                    findings.append(Finding(entry=entry, evidence=evidence))
        return findings
