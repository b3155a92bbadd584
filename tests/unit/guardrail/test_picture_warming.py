"""Warm-up of entries that cover pictures: concept banks are there before the first request that needs them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from guardrail.backends.diffusers_drawing import IsCancelled, Order
from guardrail.backends.diffusers_loading import LoadedPipeline, facts_of
from guardrail.backends.diffusers_painters import PainterHere
from guardrail.backends.diffusers_pipeline import DiffusersPipeline
from guardrail.decision import Capability
from guardrail.denoising import bank_cache
from guardrail.denoising.concept_bank import build_bank
from guardrail.denoising.preparation import Preparation
from guardrail.picture_planning import PicturePlanner, concept_of
from guardrail.picture_warming import MOST_WARMED, PictureWarming
from guardrail.pictures import PictureRequest
from guardrail.settings import BackendSettings, PolicySettings
from retrieval.entry import RegisteredEntry
from tests.fakes.concepts import registered
from tests.fakes.tiny_pipelines import NUMPY_2, tiny_pipeline

pytestmark = pytest.mark.filterwarnings(NUMPY_2)
PLANNER = PicturePlanner(policy=PolicySettings())
CAN = frozenset({Capability.IMAGES, Capability.STEERING, Capability.NEGATIVE_PROMPT})


class Listening:
    """A backend that notes what it is handed."""

    capabilities = CAN

    def __init__(self) -> None:
        self.told: list[Sequence[Preparation]] = []

    def prepare(self, preparations: Sequence[Preparation]) -> None:
        self.told.append(preparations)


class Deaf:
    """A backend that cannot get anything ready."""

    capabilities = CAN


def warming(backend: Any, *entries: RegisteredEntry, is_watched: bool = False) -> PictureWarming:
    held = {entry.id: entry for entry in entries}
    return PictureWarming(planner=PLANNER, backends=[backend], entries=lambda: held, is_watched=is_watched)


async def until(is_true: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not is_true():  # noqa: ASYNC110 - there is no event for it
            await asyncio.sleep(0.01)


async def handed(*entries: RegisteredEntry, is_watched: bool = False) -> Sequence[Preparation]:
    """What a backend is handed for these entries, which are changed several times in one go."""
    backend = Listening()
    warm = warming(backend, *entries, is_watched=is_watched)
    for _ in range(5):
        warm.schedule()
    await until(lambda: bool(backend.told))
    await warm.stop()
    assert len(backend.told) == 1
    return backend.told[0]


async def test_the_bank_of_a_registered_entry_is_built_before_anybody_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    pipeline, built, ready = tiny_pipeline("sd15"), list[int](), list[int]()

    def counting(*given: Any, **more: Any) -> Any:
        built.append(1)
        return build_bank(*given, **more)

    class Noting(PainterHere):
        def prepare(self, preparation: Preparation, *, is_cancelled: IsCancelled) -> None:
            super().prepare(preparation, is_cancelled=is_cancelled)
            ready.append(1)

    monkeypatch.setattr(bank_cache, "build_bank", counting)
    painter = Noting(lambda: LoadedPipeline(pipeline=pipeline, facts=facts_of(pipeline)))
    backend = DiffusersPipeline(
        BackendSettings(name="m", kind="diffusers_pipeline", models={"tiny": "tiny"}), painter=painter
    )
    await backend.start()
    entry = registered("striped", neighbors=["dotted", "checked", "wavy"])
    warm = warming(backend, entry, is_watched=True)
    warm.schedule()
    await until(lambda: len(ready) == 2)
    for prompt in ("a striped circle", "a striped dog", "a circle with bands of two tones"):
        plan = PLANNER.plan(PictureRequest(prompt=prompt), [concept_of(entry)], backend.capabilities)
        assert plan is not None
        order = Order(prompt=plan.prompt or prompt, seeds=(0,), steps=1, steering=plan.steering)
        await asyncio.to_thread(painter.draw, order, is_cancelled=lambda: False, on_step=lambda _step: None)
    assert len(built) == 1
    await warm.stop()
    await backend.aclose()


async def test_only_entries_in_force_that_cover_pictures_are_got_ready_the_latest_first() -> None:
    now = datetime.now(UTC)
    star = registered("star")
    blue = registered("blue").model_copy(update={"updated_at": now})
    words = registered("words", modalities=["text"])
    gone = registered("gone").model_copy(update={"revoked_at": now})
    later = registered("later", effective_at=(now + timedelta(days=1)).isoformat())
    told = await handed(star, words, blue, gone, later)
    wanted = [PLANNER.plan(PictureRequest(prompt=""), [concept_of(entry)], CAN) for entry in (blue, star)]
    assert list[object](told) == [plan.steering for plan in wanted if plan is not None]


async def test_a_treatment_with_nothing_to_get_ready_asks_for_nothing_unless_it_is_watched_for() -> None:
    star = registered("star", treatment={"method": "negative_prompt"})
    assert await handed(star) == []
    assert len(await handed(star, is_watched=True)) == 1


async def test_of_many_entries_only_the_latest_are_got_ready() -> None:
    assert len(await handed(*(registered(f"star {number}") for number in range(MOST_WARMED + 5)))) == MOST_WARMED


async def test_a_backend_that_cannot_get_ready_is_left_alone() -> None:
    warm = warming(Deaf(), registered("star"))
    warm.schedule()
    await warm.stop()


async def test_a_failure_is_told_without_words_and_the_next_change_is_handed_over(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Failing(Listening):
        def prepare(self, preparations: Sequence[Preparation]) -> None:
            super().prepare(preparations)
            raise RuntimeError("Secret Name")

    backend = Failing()
    warm = warming(backend, registered("star"))
    for count in (1, 2):
        warm.schedule()
        await until(lambda count=count: len(backend.told) == count)  # type: ignore[misc]
    await warm.stop()
    assert "RuntimeError" in caplog.text
    assert "Secret" not in caplog.text
