"""Finds entries by what they are called: names, aliases and unmistakable facts, plain or hidden.

Plain ones through the phrase automaton: exact on normalised words (case, accents, confusables and invisible characters
do not matter), so their score is 1. Hidden ones (misspelt, spread, encoded, in another script) score less; the weakest
are evidence that matches nothing by itself. A text too long to be read for them is a failure, not an empty result.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from guardrail.decision import Admits, Evidence, EvidenceKind, Passage
from guardrail.detectors.protocol import Finding
from guardrail.detectors.supplied import is_supplied
from retrieval.errors import TextTooLong
from retrieval.searcher import Searcher


class LexicalDetector:
    """Names, aliases and facts."""

    name = "lexical"

    def __init__(self, searcher: Searcher) -> None:
        self._searcher = searcher

    async def find(self, passages: Sequence[Passage], admits: Admits) -> list[Finding]:
        """Raises `TextTooLong`."""
        findings: list[Finding] = []
        for index, passage in enumerate(passages):
            findings += self._plain(index, passage, admits)
            findings += self._hidden(index, passage, admits)
        return findings

    def _plain(self, index: int, passage: Passage, admits: Admits) -> Iterator[Finding]:
        for hit in self._searcher.find_phrases(passage.text):
            for tag in hit.tags:
                entry = admits(tag.entry_id)
                if entry is not None and tag.always and tag.fits(passage.text[hit.start : hit.end]):
                    evidence = Evidence(
                        detector=self.name,
                        kind=EvidenceKind(tag.kind),
                        score=1.0,
                        passage=index,
                        start=hit.start,
                        end=hit.end,
                        supplied=is_supplied(passage, hit.start, hit.end),
                    )
                    yield Finding(entry=entry, evidence=evidence)

    def _hidden(self, index: int, passage: Passage, admits: Admits) -> Iterator[Finding]:
        found = self._searcher.find_hidden(passage.text)
        if found.truncated:
            raise TextTooLong(
                f"A text of {len(passage.text)} characters is too long to be read for hidden names; "
                "raise retrieval.readings_cap_chars or send less."
            )
        for hit in found.hits:
            entry = admits(hit.tag.entry_id)
            if entry is not None:
                evidence = Evidence(
                    detector=self.name,
                    kind=EvidenceKind(hit.tag.kind),
                    score=hit.score,
                    passage=index,
                    start=hit.start,
                    end=hit.end,
                    supplied=not hit.is_disguised and is_supplied(passage, hit.start, hit.end),
                    is_match=hit.is_match,
                )
                yield Finding(entry=entry, evidence=evidence)
