"""The follower: what was acknowledged before a call is known after it, in this process and from others."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from retrieval import follower as module
from retrieval.embedders.word_hash import WordHashEmbedder
from retrieval.entry import ForgetEntry, Scope
from retrieval.errors import StoreUnavailable
from retrieval.follower import Follower
from retrieval.registry import Registry
from retrieval.searcher import Searcher
from retrieval.settings import RetrievalSettings
from tests.fakes.word_judge import WordJudge

MIRA = ForgetEntry(id="mira", name="Mira Quelle", exemplars=("who kept geese at the harbour",))


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    opened = Registry.open(tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def other(tmp_path: Path, registry: Registry) -> Iterator[Registry]:
    """The same registry as another process holds it."""
    opened = Registry.open(tmp_path)
    yield opened
    opened.close()


async def followed(registry: Registry) -> tuple[Follower, Searcher]:
    searcher = Searcher(RetrievalSettings())
    follower = Follower(registry, searcher)
    await follower.start()
    return follower, searcher


def names(searcher: Searcher, text: str) -> set[str]:
    return {tag.entry_id for hit in searcher.find_phrases(text) for tag in hit.tags}


async def test_everything_is_there_after_the_start(registry: Registry) -> None:
    registry.create(MIRA, actor="test")
    follower, searcher = await followed(registry)
    assert names(searcher, "mira quelle") == {"mira"}
    assert follower.covers(tenant="t", model=None)
    assert follower.seq == registry.seq()


async def test_changes_of_others_are_there_after_catching_up(registry: Registry, other: Registry) -> None:
    follower, searcher = await followed(registry)
    assert not follower.covers(tenant="t", model="m")
    other.create(MIRA, actor="test")
    await follower.catch_up()
    assert names(searcher, "Mira Quelle") == {"mira"}
    other.revise("mira", {"name": "Halva Brandt"}, actor="test")
    await follower.catch_up()
    assert (names(searcher, "Mira Quelle"), names(searcher, "Halva Brandt")) == (set(), {"mira"})
    other.revoke("mira", actor="test")
    await follower.catch_up()
    assert names(searcher, "Halva Brandt") == set()
    assert not follower.covers(tenant="t", model="m")


async def test_more_changes_than_a_page_are_all_taken(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAGE", 4)
    registry.create_many([(ForgetEntry(id=f"e{n}", name=f"Person Numero{n}x"), []) for n in range(12)], actor="test")
    follower, searcher = await followed(registry)
    assert len(searcher.entries) == 12
    registry.create_many([(ForgetEntry(id=f"f{n}", name=f"Person Quinto{n}x"), []) for n in range(8)], actor="test")
    await follower.catch_up()
    assert (len(searcher.entries), follower.seq) == (20, registry.seq())


async def test_many_requests_share_one_reading(registry: Registry, other: Registry) -> None:
    follower, searcher = await followed(registry)
    reads = 0
    changes_since = registry.changes_since

    def counted(seq: int, *, limit: int = 1000) -> object:
        nonlocal reads
        reads += 1
        return changes_since(seq, limit=limit)

    registry.changes_since = counted  # type: ignore[assignment,method-assign]  # counts the readings
    other.create(MIRA, actor="test")
    await asyncio.gather(*(follower.catch_up() for _ in range(50)))
    assert (reads, len(searcher.entries)) == (1, 1)
    await follower.catch_up()
    assert reads == 1


async def test_a_change_that_is_no_entry_leads_to_no_endless_reading(registry: Registry, other: Registry) -> None:
    follower, _ = await followed(registry)
    other.keys.create(tenant="t", is_admin=False)
    await follower.catch_up()
    assert follower.seq == registry.signal.read()


async def test_a_registry_that_cannot_be_read_is_no_silence_but_an_error(registry: Registry, other: Registry) -> None:
    follower, searcher = await followed(registry)
    other.create(MIRA, actor="test")
    read = registry.changes_since

    def unreadable(seq: int, *, limit: int = 1000) -> object:
        raise StoreUnavailable("gone")

    registry.changes_since = unreadable  # type: ignore[assignment,method-assign]  # a store that is away
    with pytest.raises(StoreUnavailable):
        await follower.catch_up()
    registry.changes_since = read  # type: ignore[method-assign]  # and back
    await follower.catch_up()
    assert names(searcher, "Mira Quelle") == {"mira"}


async def test_a_caller_who_goes_away_while_it_is_read_takes_nothing_with_him(
    registry: Registry, other: Registry
) -> None:
    follower, searcher = await followed(registry)
    other.create(MIRA, actor="test")
    impatient = asyncio.create_task(follower.catch_up())
    await asyncio.sleep(0)
    impatient.cancel()
    await asyncio.gather(impatient, return_exceptions=True)
    await follower.catch_up()
    assert names(searcher, "Mira Quelle") == {"mira"}


async def test_only_entries_in_scope_and_in_force_are_admitted(registry: Registry) -> None:
    registry.create(
        MIRA.model_copy(
            update={
                "scope": Scope(tenants=("acme",), models=("m",)),
                "effective_at": datetime(2030, 1, 1, tzinfo=UTC),
                "expires_at": datetime(2031, 1, 1, tzinfo=UTC),
            }
        ),
        actor="test",
    )
    follower, _ = await followed(registry)

    def admitted(tenant: str, model: str | None, year: int) -> bool:
        now = datetime(year, 6, 1, tzinfo=UTC)
        return follower.admitted("mira", tenant=tenant, model=model, now=now) is not None

    assert admitted("acme", "m", 2030)
    assert admitted("acme", None, 2030)
    assert not admitted("acme", "m", 2029)
    assert not admitted("acme", "m", 2031)
    assert not admitted("other", "m", 2030)
    assert not admitted("acme", "n", 2030)
    assert follower.admitted("nobody", tenant="acme", model="m", now=datetime.now(UTC)) is None


async def test_a_snapshot_spares_the_memory_of_what_has_not_changed(registry: Registry, tmp_path: Path) -> None:
    settings = RetrievalSettings(accepted_false_positive_rate=0.1)

    async def fresh() -> tuple[Follower, Searcher]:
        searcher = Searcher(settings, embedder=WordHashEmbedder(), judge=WordJudge())
        await searcher.start()
        return Follower(registry, searcher), searcher

    follower, first = await fresh()
    registry.create(MIRA, actor="test", memory=first.embed_memory(MIRA))
    await follower.start()
    first.save_snapshot(tmp_path)
    tobias = ForgetEntry(id="tobias", name="Tobias Unruh", exemplars=("who drained the lake that summer",))
    registry.create(tobias, actor="test", memory=first.embed_memory(tobias))
    follower, second = await fresh()
    at = second.load_snapshot(tmp_path, registry_seq=registry.seq())
    assert at == registry.get("mira").revision
    await follower.start(at or 0)
    for asked, entry_id in (("who kept geese at the harbour", "mira"), ("who drained the lake that summer", "tobias")):
        (near,) = await second.nearest([asked])
        assert [one.entry_id for one in near] == [entry_id]
    await first.aclose()
    await second.aclose()
