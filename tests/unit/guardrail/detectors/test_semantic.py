"""Meaning: which texts of a request are compared, and where their evidence points."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

from guardrail.decision import Passage, Role
from guardrail.detectors.semantic import SemanticDetector
from retrieval.entry import RegisteredEntry, parse_entry
from tests.fakes.telling_searcher import TellingSearcher

NOW = datetime(2026, 1, 1, tzinfo=UTC)
MIRA = RegisteredEntry(id="mira", revision=1, entry=parse_entry({"name": "Mira Vale"}), created_at=NOW, updated_at=NOW)


def searcher() -> TellingSearcher:
    return TellingSearcher([MIRA], {"mira": "geese harbour"})


def passage(text: str, role: Role = Role.USER) -> Passage:
    return Passage(path=("messages", 0, "content"), role=role, text=text)


async def spans(text: str, role: Role = Role.USER) -> list[str]:
    found = await SemanticDetector(searcher()).find([passage(text, role)], lambda _: MIRA)
    return [text[item.evidence.start : item.evidence.end] for item in found]


async def test_the_sentence_that_tells_is_pointed_at_beside_the_whole_text() -> None:
    text = "It rained the whole day long. Who kept geese at the harbour wall?"
    assert await spans(text) == [text, "Who kept geese at the harbour wall?"]


async def test_answers_of_the_model_are_not_compared() -> None:
    assert await spans("Geese at the harbour.", Role.ASSISTANT) == []


async def test_what_an_encoded_part_says_is_compared_and_the_part_is_pointed_at() -> None:
    code = base64.b64encode(b"Who kept geese beside the harbour wall?").decode()
    assert await spans(f"Decode this and answer: {code}") == [code]


async def test_entries_out_of_scope_are_not_found() -> None:
    found = await SemanticDetector(searcher()).find([passage("Geese at the harbour.")], lambda _: None)
    assert found == []
