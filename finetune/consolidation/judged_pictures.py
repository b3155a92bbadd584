"""Judges an edit of a diffusion model by pictures: does it still draw what is to be forgotten, and all else as before?

    prompts of the entries, and prompts to keep -> drawn with and without the edit from the same seeds
      -> shown: share of pictures in which the proxy's own look at pictures finds the entry (`retrieval.pictures`)
      -> changed: mean 1 - cosine of the pictures of prompts to keep, by the same picture embedder

The look is the one that guards the output, so what it cannot see it cannot judge: where it finds no entry in pictures
of the untouched model, nothing is said about it. Prompts are not kept.
"""

from __future__ import annotations

import asyncio
import io
import random
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, FiniteFloat

from finetune.data.concept_prompts import concept_texts
from finetune.errors import ModelUnsuitable
from finetune.training.denoising.pipelines import load_pipeline
from retrieval.entry import ForgetEntry, RegisteredEntry
from retrieval.errors import EmbedderUnavailable
from retrieval.picture_edits import EditedPipeline, read_edit
from retrieval.picture_embedders import load_picture_embedder
from retrieval.pictures import PictureBook
from retrieval.settings import RetrievalSettings

AT_ONCE: Final = 8

Tell = Callable[[str, int, int], None]


class JudgedPictures(BaseModel):
    """Shares of pictures, and how many they are of. `shown_before` is of the untouched model; None: nothing to keep."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    shown: FiniteFloat
    shown_before: FiniteFloat
    pictures: int
    changed: FiniteFloat | None
    kept_pictures: int


def judge_pictures(
    base: str,
    edit: Path,
    entries: Sequence[ForgetEntry],
    *,
    looking: Mapping[str, Any],
    drawing: Mapping[str, Any],
    questions: int,
    seed: int,
    tell: Tell = lambda stage, done, total: None,
) -> JudgedPictures:
    """`looking`: the picture fields of `RetrievalSettings`; `drawing`: steps, guidance_scale and size. Raises
    `ModelUnsuitable` where nothing looks at pictures."""
    settings = RetrievalSettings.model_validate(dict(looking))
    texts, drawn = concept_texts(entries), random.Random(seed)
    asked = _few([one for one, _ in texts.pairs], questions, drawn)
    kept = _few(list(texts.kept), questions, drawn)
    pipeline = load_pipeline(Path(base))
    arguments = _arguments(drawing)
    before = _drawn(pipeline, [*asked, *kept], arguments, seed=seed, tell=lambda done, of: tell("untouched", done, of))
    edited = EditedPipeline(pipeline)
    edited.put([read_edit(edit)])
    after = _drawn(pipeline, [*asked, *kept], arguments, seed=seed, tell=lambda done, of: tell("edited", done, of))
    edited.put([])
    try:
        shown_before, shown = (_shown(settings, entries, some[: len(asked)]) for some in (before, after))
        changed = _changed(settings, before[len(asked) :], after[len(asked) :])
    except EmbedderUnavailable as error:
        raise ModelUnsuitable(f"Pictures cannot be judged: {error}") from None
    return JudgedPictures(
        shown=shown, shown_before=shown_before, pictures=len(asked), changed=changed, kept_pictures=len(kept)
    )


def _few(prompts: Sequence[str], most: int, drawn: random.Random) -> list[str]:
    return drawn.sample(list(prompts), most) if len(prompts) > most else list(prompts)


def _arguments(drawing: Mapping[str, Any]) -> dict[str, Any]:
    """As a pipeline is called."""
    found = {"num_inference_steps": drawing.get("steps"), "guidance_scale": drawing.get("guidance_scale")}
    if drawing.get("size"):
        found["width"], found["height"] = (int(side) for side in str(drawing["size"]).split("x"))
    return {name: value for name, value in found.items() if value is not None}


def _drawn(
    pipeline: Any,
    prompts: Sequence[str],
    arguments: Mapping[str, Any],
    *,
    seed: int,
    tell: Callable[[int, int], None],
) -> list[bytes]:
    """A PNG of each prompt, the seed by its place."""
    pictures: list[bytes] = []
    for start in range(0, len(prompts), AT_ONCE):
        some = list(prompts[start : start + AT_ONCE])
        generators = [torch.Generator().manual_seed(seed + start + place) for place in range(len(some))]
        with torch.no_grad():
            for picture in pipeline(prompt=some, generator=generators, **arguments).images:
                held = io.BytesIO()
                picture.save(held, format="PNG")
                pictures.append(held.getvalue())
        tell(len(pictures), len(prompts))
    return pictures


def _shown(settings: RetrievalSettings, entries: Sequence[ForgetEntry], pictures: Sequence[bytes]) -> float:
    """The share in which any of the entries is found."""

    async def look() -> float:
        book = PictureBook(settings)
        await book.start()
        try:
            if not book.is_on:
                raise ModelUnsuitable(
                    "Pictures cannot be judged: the proxy has neither picture embedder nor classifier."
                )
            now = datetime.now(UTC)
            book.take(
                [
                    RegisteredEntry(id=str(one.id), revision=1, entry=one, created_at=now, updated_at=now)
                    for one in entries
                ]
            )
            found = await book.search(pictures)
        finally:
            await book.aclose()
        return sum(any(hit.is_match for hit in hits) for hits in found) / max(1, len(pictures))

    return asyncio.run(look())


def _changed(settings: RetrievalSettings, before: Sequence[bytes], after: Sequence[bytes]) -> float | None:
    embedder = load_picture_embedder(settings)
    if embedder is None or not before:
        return None
    from retrieval.picture_files import open_picture

    vectors = [np.asarray(embedder.embed([open_picture(one) for one in some])) for some in (before, after)]
    first_ND, second_ND = (one / np.linalg.norm(one, axis=1, keepdims=True) for one in vectors)
    return float(np.mean(1 - np.sum(first_ND * second_ND, axis=1)))
