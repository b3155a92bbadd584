"""The lexical detector: plain and hidden names as evidence, and a text too long as a failure."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from guardrail.decision import EvidenceKind, Passage, Role
from guardrail.detectors.lexical import LexicalDetector
from guardrail.detectors.protocol import Finding
from retrieval.entry import RegisteredEntry, parse_entry
from retrieval.errors import TextTooLong
from retrieval.registry import Change
from retrieval.searcher import Searcher
from retrieval.settings import RetrievalSettings

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def detector_of(*names: str, cap_chars: int = 200_000) -> tuple[LexicalDetector, Searcher]:
    searcher = Searcher(RetrievalSettings(embedder="none", readings_cap_chars=cap_chars))
    records = [
        RegisteredEntry(id=name, revision=1, entry=parse_entry({"name": name}), created_at=NOW, updated_at=NOW)
        for name in names
    ]
    searcher.apply([Change(seq=1, record=record) for record in records], {})
    return LexicalDetector(searcher), searcher


def passage(text: str) -> Passage:
    return Passage(path=("messages", 0, "content"), role=Role.USER, text=text)


async def findings(text: str) -> list[Finding]:
    detector, searcher = detector_of("Stephen King", "Novak Djokovic")
    return await detector.find([passage("Hello."), passage(text)], searcher.entries.get)


async def test_a_plain_name_scores_one_and_a_hidden_one_less() -> None:
    (plain,) = await findings("Who is Stephen King?")
    (hidden,) = await findings("Who is St3ph3n K1ng?")
    assert (plain.evidence.score, plain.evidence.kind, plain.evidence.passage) == (1.0, EvidenceKind.NAME, 1)
    assert (plain.evidence.start, plain.evidence.end) == (hidden.evidence.start, hidden.evidence.end) == (7, 19)
    assert 0.5 < hidden.evidence.score < 1.0
    assert hidden.evidence.is_match


async def test_what_many_people_share_is_evidence_that_does_not_match() -> None:
    (hint,) = await findings("a book by S. King")
    assert not hint.evidence.is_match


async def test_entries_out_of_scope_are_not_reported() -> None:
    detector, _ = detector_of("Stephen King")
    assert await detector.find([passage("Stephen King, St3ph3n K1ng")], lambda entry_id: None) == []


async def test_a_text_too_long_to_be_read_is_a_failure_that_names_the_setting() -> None:
    detector, searcher = detector_of("Stephen King", cap_chars=1000)
    with pytest.raises(TextTooLong, match="readings_cap_chars"):
        await detector.find([passage("word " * 300)], searcher.entries.get)
