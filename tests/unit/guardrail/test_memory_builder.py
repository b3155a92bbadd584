"""The memory builder: what an embedder has not seen yet is embedded at start, documents follow in the background."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from guardrail.memory_builder import MemoryBuilder
from retrieval.embedders.word_hash import WordHashEmbedder
from retrieval.entry import ForgetEntry
from retrieval.registry import Registry
from retrieval.searcher import Searcher
from retrieval.settings import RetrievalSettings
from tests.fakes.waiting import until
from tests.fakes.word_judge import WordJudge

if TYPE_CHECKING:
    from retrieval.embedders.protocol import Vectors

PLAIN = ForgetEntry(id="plain", name="Mira Quelle", exemplars=("who kept geese",))
LONG = ForgetEntry(id="long", name="Tobias Unruh", documents=("He drained a lake in a single summer.",))
POISON = ForgetEntry(id="poison", name="Ida Sorg", documents=("The poison of that lake worked slowly.",))


class Poisoned(WordHashEmbedder):
    """Cannot embed one word."""

    def embed(self, texts: Sequence[str]) -> Vectors:
        if any("poison" in text for text in texts):
            raise RuntimeError("no such word")
        return super().embed(texts)


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    opened = Registry.open(tmp_path)
    yield opened
    opened.close()


async def builder(registry: Registry, embedder: WordHashEmbedder | None) -> tuple[MemoryBuilder, Searcher]:
    searcher = Searcher(RetrievalSettings(), embedder=embedder, judge=WordJudge())
    await searcher.start()
    return MemoryBuilder(registry, searcher), searcher


def parts(registry: Registry, searcher: Searcher, entry_id: str) -> list[str]:
    return sorted(rows.part for rows in registry.memory_of([entry_id], searcher.fingerprint)[entry_id])


async def done(made: MemoryBuilder) -> None:
    await until(lambda: not made.waiting)


async def test_entries_of_another_embedder_are_embedded_before_the_start_is_over(registry: Registry) -> None:
    """Whether they have documents or not: an entry of a bare name has a memory, too."""
    for entry in (PLAIN, LONG):
        registry.create(entry, actor="test")
    made, searcher = await builder(registry, WordHashEmbedder())
    await made.start()
    assert parts(registry, searcher, "plain") == ["core"]
    assert "core" in parts(registry, searcher, "long")
    await done(made)
    assert parts(registry, searcher, "long") == ["core", "documents"]
    await made.stop()
    await searcher.aclose()


async def test_what_is_done_is_not_done_again(registry: Registry) -> None:
    registry.create(PLAIN, actor="test")
    registry.create(LONG, actor="test")
    for expected in (True, False):
        embedder = WordHashEmbedder()
        made, searcher = await builder(registry, embedder)
        await made.start()
        await done(made)
        assert bool(embedder.calls) is expected
        await made.stop()
        await searcher.aclose()


async def test_a_revoked_entry_is_left_alone_and_without_an_embedder_nothing_is_done(registry: Registry) -> None:
    registry.create(PLAIN, actor="test")
    registry.revoke("plain", actor="test")
    made, searcher = await builder(registry, WordHashEmbedder())
    await made.start()
    assert parts(registry, searcher, "plain") == []
    await made.stop()
    await searcher.aclose()
    without, none = await builder(registry, None)
    await without.start()
    without.schedule(registry.create(LONG, actor="test").record)
    assert without.waiting == 0
    await without.stop()
    await none.aclose()


async def test_an_entry_that_cannot_be_embedded_does_not_keep_the_others_waiting(
    registry: Registry, caplog: pytest.LogCaptureFixture
) -> None:
    made, searcher = await builder(registry, Poisoned())
    await made.start()
    for entry in (POISON, LONG):
        made.schedule(registry.create(entry, actor="test").record)
    await done(made)
    assert parts(registry, searcher, "long") == ["documents"]
    assert parts(registry, searcher, "poison") == []
    assert "poison was not built: RuntimeError" in caplog.text
    assert "no such word" not in caplog.text
    await made.stop()
    await searcher.aclose()
