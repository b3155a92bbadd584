"""Finds entries by what they mean: sentence windows and whole texts against the entries' memory.

Reads everything that the caller says or hands in (user turns, system text, tool results), not only the last message;
earlier answers of the model are left to the lexical detector. The searcher's first tier settles most windows without
the encoder.
"""

from __future__ import annotations

from collections.abc import Sequence

from guardrail.decision import Admits, Evidence, EvidenceKind, Passage, Role
from guardrail.detectors.protocol import Finding
from guardrail.detectors.supplied import is_supplied
from retrieval.searcher import Searcher
from retrieval.text.views import windows


class SemanticDetector:
    """Meaning."""

    name = "semantic"

    def __init__(self, searcher: Searcher) -> None:
        self._searcher = searcher

    async def find(self, passages: Sequence[Passage], admits: Admits) -> list[Finding]:
        places = [
            (index, span)
            for index, passage in enumerate(passages)
            if passage.role is not Role.ASSISTANT
            for span in windows(passage.text)
        ]
        texts = [passages[index].text[span.start : span.end] for index, span in places]
        findings: list[Finding] = []
        for (index, span), nearest in zip(places, await self._searcher.nearest(texts), strict=True):
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
                        supplied=is_supplied(passages[index], span.start, span.end),
                        is_match=near.is_match,
                    )
                    findings.append(Finding(entry=entry, evidence=evidence))
        return findings
