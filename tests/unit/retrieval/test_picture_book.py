"""The picture book: what entries look like is in force at the next search, and gone when they are."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from retrieval.entry import EntryKind, ForgetEntry, RegisteredEntry
from retrieval.errors import EmbedderUnavailable
from retrieval.picture_concepts import MOST_OTHERS, PictureConcepts
from retrieval.picture_files import PictureRefused
from retrieval.pictures import PictureBook
from retrieval.settings import RetrievalSettings
from tests.fakes.small_pictures import (
    COLOURS,
    ColourEmbedder,
    ReadingColourEmbedder,
    data_url,
    painted_file,
    painted_urls,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def record(entry_id: str, *, images: Sequence[str] = (), revoked: bool = False, **fields: Any) -> RegisteredEntry:
    entry = ForgetEntry(id=entry_id, **{"name": entry_id, **fields}, images=tuple(images))
    gone = NOW if revoked else None
    return RegisteredEntry(id=entry_id, revision=1, entry=entry, created_at=NOW, updated_at=NOW, revoked_at=gone)


def background_in(folder: Path) -> Path:
    folder.mkdir()
    for colour in COLOURS:
        for seed in range(30):
            (folder / f"{colour}-{seed}.png").write_bytes(painted_file(colour, 1_000 + seed))
    return folder


@pytest.fixture
async def book(tmp_path: Path) -> AsyncIterator[PictureBook]:
    settings = RetrievalSettings(picture_background=background_in(tmp_path / "ordinary"))
    opened = PictureBook(settings, embedder=ColourEmbedder())
    await opened.start()
    yield opened
    await opened.aclose()


async def shown(book: PictureBook, colour: str, count: int = 40) -> dict[str, float]:
    """For each entry the share of new pictures of a colour that show it."""
    found = await book.search([painted_file(colour, 5_000 + seed) for seed in range(count)])
    hits = [hit.entry_id for hits in found for hit in hits if hit.is_match]
    return {entry_id: hits.count(entry_id) / count for entry_id in set(hits)}


def embedder_of(book: PictureBook) -> ColourEmbedder:
    assert isinstance(book._embedder, ColourEmbedder)
    return book._embedder


async def test_a_registered_colour_is_seen_at_the_next_search_and_its_neighbours_are_not(book: PictureBook) -> None:
    book.take([record("blue-things", images=painted_urls("blue", 8))])
    assert (await shown(book, "blue"))["blue-things"] > 0.9
    for other in ("red", "green", "yellow"):
        assert (await shown(book, other)).get("blue-things", 0.0) < 0.1


async def test_several_entries_are_told_apart(book: PictureBook) -> None:
    await book.learn([record(colour, images=painted_urls(colour, 8)) for colour in COLOURS])
    for colour in COLOURS:
        rates = await shown(book, colour)
        assert rates[colour] > 0.9
        assert all(rate < 0.15 for entry_id, rate in rates.items() if entry_id != colour)
    assert book.entry_ids == set(COLOURS)
    assert book.vectors == 32


async def test_registering_with_many_pictures_takes_less_than_a_second(book: PictureBook) -> None:
    started = time.perf_counter()
    await book.learn([record("blue", images=painted_urls("blue", 64))])
    assert (await book.search([painted_file("blue", 1)]))[0][0].is_match
    assert time.perf_counter() - started < 1.0


async def test_hits_come_best_first_with_scores_between_0_and_1(book: PictureBook) -> None:
    await book.learn([record(colour, images=painted_urls(colour, 8)) for colour in COLOURS])
    for hits in await book.search([painted_file(colour, 9) for colour in COLOURS]):
        scores = [hit.score for hit in hits]
        assert scores == sorted(scores, reverse=True)
        assert all(0 <= score <= 1 for score in scores)


async def test_a_revoked_entry_is_forgotten_with_its_vectors(book: PictureBook) -> None:
    await book.learn([record("blue", images=painted_urls("blue", 8))])
    book.take([record("blue", images=painted_urls("blue", 8), revoked=True)])
    assert await shown(book, "blue") == {}
    assert (book.vectors, book.entry_ids, book._rows) == (0, frozenset(), {})


async def test_a_revision_takes_new_pictures_and_embeds_only_those(book: PictureBook) -> None:
    first = painted_urls("blue", 8)
    await book.learn([record("thing", images=first)])
    before = embedder_of(book).seen
    await book.learn([record("thing", images=[*first, *painted_urls("blue", 2, first=100)])])
    assert embedder_of(book).seen == before + 2
    await book.learn([record("thing", images=painted_urls("red", 8))])
    assert "thing" not in await shown(book, "blue")
    assert (await shown(book, "red"))["thing"] > 0.9


async def test_an_entry_for_texts_only_is_not_looked_for(book: PictureBook) -> None:
    await book.learn([record("blue", images=painted_urls("blue", 8), modalities=("text",))])
    assert book.entry_ids == frozenset()
    await book.learn([record("blue", images=painted_urls("blue", 8))])
    await book.learn([record("blue", images=painted_urls("blue", 8), modalities=("text",))])
    assert await shown(book, "blue") == {}


async def test_time_and_shadow_are_for_the_caller_to_judge(book: PictureBook) -> None:
    late = record("late", images=painted_urls("blue", 8), effective_at=NOW + timedelta(days=9_000))
    await book.learn([late, record("shadow", images=painted_urls("red", 8), shadow=True)])
    assert book.entry_ids == {"late", "shadow"}


async def test_one_picture_and_no_background_find_its_near_copies(tmp_path: Path) -> None:
    book = PictureBook(RetrievalSettings(), embedder=ColourEmbedder())
    await book.start()
    await book.learn([record("logo", images=painted_urls("red", 1))])
    found = await book.search([painted_file("red", 0), painted_file("green", 0)])
    assert [[hit.entry_id for hit in hits if hit.is_match] for hits in found] == [["logo"], []]
    await book.aclose()


async def test_the_setting_moves_the_cosine_of_entries_with_few_pictures() -> None:
    for threshold, caught in ((0.999, 0.3), (-0.9, 1.0)):
        book = PictureBook(RetrievalSettings(picture_threshold=threshold), embedder=ColourEmbedder())
        await book.start()
        await book.learn([record("logo", images=painted_urls("red", 1))])
        rate = (await shown(book, "red")).get("logo", 0.0)
        assert rate == caught if caught == 1.0 else rate < caught
        await book.aclose()


async def test_other_entries_pictures_serve_as_a_background(tmp_path: Path) -> None:
    book = PictureBook(RetrievalSettings(), embedder=ColourEmbedder())
    await book.start()
    for colour in COLOURS:  # the first has nothing to be held against and is fitted anew as others come
        await book.learn([record(colour, images=painted_urls(colour, 12))])
    rates = await shown(book, "red")
    assert rates["red"] > 0.9
    assert all(rate < 0.15 for entry_id, rate in rates.items() if entry_id != "red")
    await book.aclose()


async def test_an_embedder_that_fails_makes_searches_fail_until_it_is_back(book: PictureBook) -> None:
    embedder_of(book).is_broken = True
    await book.learn([record("blue", images=painted_urls("blue", 8))])  # told in the log, not raised
    for _ in range(2):
        with pytest.raises(EmbedderUnavailable):
            await book.search([painted_file("red", 1)])
    embedder_of(book).is_broken = False
    assert (await shown(book, "blue"))["blue"] > 0.9


async def test_a_newer_record_wins_over_one_that_could_not_be_embedded(book: PictureBook) -> None:
    embedder_of(book).is_broken = True
    await book.learn([record("thing", images=painted_urls("blue", 8))])
    book.take([record("thing", images=painted_urls("red", 8))])
    embedder_of(book).is_broken = False
    assert "thing" not in await shown(book, "blue")
    assert (await shown(book, "red"))["thing"] > 0.9


async def test_a_cancelled_search_loses_no_record(book: PictureBook) -> None:
    book.take([record("blue", images=painted_urls("blue", 8))])
    searching = asyncio.create_task(book.search([painted_file("blue", 1)]))
    await asyncio.sleep(0)
    searching.cancel()
    await asyncio.gather(searching, return_exceptions=True)
    assert (await shown(book, "blue"))["blue"] > 0.9


async def test_a_picture_that_cannot_be_opened_makes_the_search_fail(book: PictureBook) -> None:
    await book.learn([record("blue", images=painted_urls("blue", 8))])
    with pytest.raises(PictureRefused):
        await book.search([painted_file("blue", 1), b"no picture"])


async def test_a_stored_picture_that_cannot_be_opened_is_left_out_and_told(
    book: PictureBook, caplog: pytest.LogCaptureFixture
) -> None:
    urls = [*painted_urls("blue", 8), data_url(b"secret words")]
    await book.learn([record("e1", images=urls, name="Secret Blue")])
    assert (book.vectors, book.unreadable) == (8, 1)
    assert "e1" in caplog.text
    assert "ecret" not in caplog.text


async def test_without_an_embedder_nothing_is_looked_at() -> None:
    book = PictureBook(RetrievalSettings())
    await book.start()
    book.take([record("blue", images=painted_urls("blue", 8))])
    assert await book.search([b"anything"]) == [[]]
    assert not book.is_on
    await book.aclose()


async def test_without_entries_pictures_are_not_even_opened(book: PictureBook) -> None:
    assert await book.search([b"anything", b"else"]) == [[], []]


async def test_an_entry_without_pictures_is_met_by_its_words_where_texts_are_read(tmp_path: Path) -> None:
    settings = RetrievalSettings(picture_background=background_in(tmp_path / "ordinary"))
    book = PictureBook(settings, embedder=ReadingColourEmbedder())
    await book.start()
    fact = record("fact", name="the blue number", kind=EntryKind.FACT)
    await book.learn([record("object", name="blue", kind=EntryKind.OBJECT), fact])
    assert book.entry_ids == {"object"}, "what a fact looks like is not told by its name"
    [near, far] = await book.search([painted_file("blue", 0), painted_file("yellow", 3)])
    assert near[0].is_match
    assert not far[0].is_match
    await book.aclose()


async def test_an_entry_of_a_bare_name_is_not_looked_for_without_a_reader_of_texts(book: PictureBook) -> None:
    await book.learn([record("blue", kind=EntryKind.OBJECT)])
    assert book.entry_ids == frozenset()


async def test_a_background_that_cannot_be_read_stops_the_start(tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "a.png").write_bytes(b"no picture")
    for folder in (tmp_path / "nowhere", broken):
        book = PictureBook(RetrievalSettings(picture_background=folder), embedder=ColourEmbedder())
        with pytest.raises(EmbedderUnavailable, match="background"):
            await book.start()
        await book.aclose()


async def test_the_folder_beside_the_model_is_the_background_by_default(tmp_path: Path) -> None:
    background_in(tmp_path / "background")
    embedder = ColourEmbedder()
    book = PictureBook(RetrievalSettings(picture_embedder_model=str(tmp_path)), embedder=embedder)
    await book.start()
    assert embedder.seen == 120
    await book.aclose()


def test_no_number_of_other_entries_hides_one() -> None:
    """Also where more pictures lie nearer to the query than a search for the nearest rows would return."""
    rng = np.random.default_rng(1)
    concepts = PictureConcepts(4, background_ND=np.empty((0, 4), dtype=np.float32), default=0.5)
    here = np.array([[1, 0, 0, 0]], dtype=np.float32)
    crowd = here + rng.normal(scale=0.01, size=(300, 4)).astype(np.float32)
    crowd /= np.linalg.norm(crowd, axis=1, keepdims=True)
    aside = np.array([[0.8, 0.6, 0, 0]], dtype=np.float32)
    concepts.put({"aside": aside, **{f"crowd {n}": crowd[n : n + 1] for n in range(300)}})
    [found] = concepts.search(here)
    assert found["aside"] > 0.5
    assert len(found) == 301


def test_other_pictures_are_few_however_many_there_are() -> None:
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(900, 8)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    concepts = PictureConcepts(8, background_ND=rows[:100], default=0.9)
    concepts.put({"large": rows[100:800], "small": rows[800:808]})
    assert len(concepts._others("small")) == MOST_OTHERS
    assert len(concepts._others("large")) == 108
