"""Pictures that leave: what they show counts by the caller's scope, and what cannot be said stops them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from guardrail.errors import ApiError
from guardrail.inspectors.image_concept import ImageConcept
from guardrail.pictures import Drawn
from retrieval.entry import ForgetEntry, RegisteredEntry
from retrieval.errors import EmbedderUnavailable
from retrieval.picture_files import PictureRefused
from retrieval.pictures import PictureBook, PictureHit
from retrieval.settings import RetrievalSettings
from tests.fakes.forgotten import registered
from tests.fakes.small_pictures import ColourEmbedder, painted_file, painted_urls

RECORDS = {f"e{number}": registered(ForgetEntry(name=f"Name {number}"), number) for number in range(3)}
PICTURES = [Drawn(index=0, content=b"first"), Drawn(index=1, content=b"second")]


class Failures(list[str]):
    """Counts failures."""

    def __call__(self) -> None:
        self.append("failed")


async def told(pictures: Sequence[bytes]) -> list[list[PictureHit]]:
    """The second picture shows e1 surely and e0 a little less surely; e2 lies below its threshold."""
    assert list(pictures) == [b"first", b"second"]
    second = [("e0", 0.7), ("e2", 0.49), ("e1", 0.9), ("unknown", 0.99)]
    return [[PictureHit(entry_id="e2", score=0.1)], [PictureHit(entry_id=e, score=s) for e, s in second]]


def inspector(failures: Failures | None = None) -> ImageConcept:
    return ImageConcept(
        search=told, timeout_s=5.0, fails_open=False, on_failure=Failures() if failures is None else failures
    )


async def test_leaks_are_told_by_picture_and_nearness() -> None:
    leaks = await inspector().leaks(PICTURES, RECORDS.get)
    assert [(leak.index, leak.entry.id, leak.score) for leak in leaks] == [(1, "e1", 0.9), (1, "e0", 0.7)]


async def test_entries_that_are_not_in_force_for_the_caller_do_not_count() -> None:
    def admits(entry_id: str) -> RegisteredEntry | None:
        return RECORDS[entry_id] if entry_id == "e0" else None

    assert [leak.entry.id for leak in await inspector().leaks(PICTURES, admits)] == ["e0"]


async def test_no_pictures_need_no_search() -> None:
    assert await inspector().leaks([], RECORDS.get) == []


@pytest.mark.parametrize(
    "error", [EmbedderUnavailable("gone"), PictureRefused("is damaged"), RuntimeError("torch"), OSError("disk")]
)
async def test_what_cannot_be_said_stops_the_pictures_unless_the_policy_lets_them_pass(error: Exception) -> None:
    async def fails(pictures: Sequence[bytes]) -> list[list[PictureHit]]:
        raise error

    failures = Failures()
    closed = replace(inspector(failures), search=fails)
    with pytest.raises(ApiError) as raised:
        await closed.leaks(PICTURES, RECORDS.get)
    assert raised.value.status == 503
    assert str(error) not in raised.value.message
    assert await replace(closed, fails_open=True).leaks(PICTURES, RECORDS.get) == []
    assert failures == ["failed", "failed"]


async def test_a_search_that_takes_too_long_counts_as_failed() -> None:
    async def waits(pictures: Sequence[bytes]) -> list[list[PictureHit]]:
        await asyncio.sleep(60)
        return []

    failures = Failures()
    with pytest.raises(ApiError):
        await replace(inspector(failures), search=waits, timeout_s=0.01).leaks(PICTURES, RECORDS.get)
    assert failures == ["failed"]


async def test_a_drawn_picture_is_held_against_the_reference_pictures() -> None:
    book = PictureBook(RetrievalSettings(), embedder=ColourEmbedder())
    await book.start()
    entries = {
        colour: registered(ForgetEntry(name=colour, images=painted_urls(colour, 10)), number)
        for number, colour in enumerate(("red", "blue", "green", "yellow"))
    }
    await book.learn(list(entries.values()))
    records = {record.id: record for name, record in entries.items() if name != "yellow"}
    looking = replace(inspector(), search=book.search)
    drawn = [Drawn(index=n, content=painted_file(c, 700)) for n, c in enumerate(("blue", "yellow", "red"))]
    leaks = await looking.leaks(drawn, records.get)
    assert [(leak.index, leak.entry.entry.name) for leak in leaks] == [(0, "blue"), (2, "red")]
    await book.aclose()
