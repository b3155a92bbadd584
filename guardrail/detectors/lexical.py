"""Finds entries by what they are called: names, aliases and unmistakable facts, through the phrase automaton.

Exact on normalised words (case, accents, confusables and invisible characters do not matter), so its score is 1.
"""

from __future__ import annotations

from collections.abc import Sequence

from guardrail.decision import Admits, Evidence, EvidenceKind, Passage
from guardrail.detectors.protocol import Finding
from guardrail.detectors.supplied import is_supplied
from retrieval.searcher import Searcher


class LexicalDetector:
    """Names, aliases and facts."""

    name = "lexical"

    def __init__(self, searcher: Searcher) -> None:
        self._searcher = searcher

    async def find(self, passages: Sequence[Passage], admits: Admits) -> list[Finding]:
        findings: list[Finding] = []
        for index, passage in enumerate(passages):
            for hit in self._searcher.find_phrases(passage.text):
                for tag in hit.tags:
                    entry = admits(tag.entry_id)
                    if entry is None or not tag.always or not tag.fits(passage.text[hit.start : hit.end]):
                        continue
                    evidence = Evidence(
                        detector=self.name,
                        kind=EvidenceKind(tag.kind),
                        score=1.0,
                        passage=index,
                        start=hit.start,
                        end=hit.end,
                        supplied=is_supplied(passage, hit.start, hit.end),
                    )
                    findings.append(Finding(entry=entry, evidence=evidence))
        return findings
