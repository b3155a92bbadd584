"""Classifiers of pictures: a label shows the entries that are called so, by a real ONNX model made here."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from pydantic import ValidationError

from retrieval.entry import ForgetEntry, RegisteredEntry
from retrieval.errors import EmbedderUnavailable
from retrieval.pictures import PictureBook
from retrieval.settings import PictureClassifierSettings, RetrievalSettings
from tests.fakes.small_pictures import painted_file

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LABELS = ("RED_THING", "blue thing")


def colour_model(path: Path, *, outputs: int = 2) -> Path:
    """Mean of each colour channel; logits: how far red and blue stand out."""
    weights = np.array([[60.0, -30.0, -30.0], [-30.0, -30.0, 60.0], [1.0, 1.0, 1.0]], dtype=np.float32)[:outputs]
    nodes = [
        helper.make_node("ReduceMean", ["pixels"], ["mean"], axes=[2, 3], keepdims=0),
        helper.make_node("Gemm", ["mean", "weights", "bias"], ["logits"], transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "colours",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, [1, 3, 8, 8])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, outputs])],
        [
            numpy_helper.from_array(weights, "weights"),
            numpy_helper.from_array(np.full(outputs, -3.0, dtype=np.float32), "bias"),
        ],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=9), str(path))
    return path


def plain(**fields: Any) -> dict[str, Any]:
    return {"kind": "onnx", "names": LABELS, "mean": (0, 0, 0), "deviation": (1, 1, 1), **fields}


def record(entry_id: str, name: str, *, revoked: bool = False, **fields: Any) -> RegisteredEntry:
    entry = ForgetEntry(id=entry_id, name=name, **fields)
    gone = NOW if revoked else None
    return RegisteredEntry(id=entry_id, revision=1, entry=entry, created_at=NOW, updated_at=NOW, revoked_at=gone)


@asynccontextmanager
async def book_with(*classifiers: dict[str, Any]) -> AsyncIterator[PictureBook]:
    made = tuple(PictureClassifierSettings.model_validate(one) for one in classifiers)
    book = PictureBook(RetrievalSettings(picture_classifiers=made))
    await book.start()
    yield book
    await book.aclose()


async def shown(book: PictureBook, colour: str) -> set[str]:
    found = await book.search([painted_file(colour, seed) for seed in range(10)])
    return {hit.entry_id for hits in found for hit in hits if hit.is_match}


async def test_a_label_shows_the_entries_that_are_called_so(tmp_path: Path) -> None:
    async with book_with(plain(model=colour_model(tmp_path / "m.onnx"))) as book:
        assert book.is_on
        await book.learn([record("a", "Red thing"), record("b", "x", aliases=("BLUE_THING",)), record("c", "other")])
        assert await shown(book, "red") == {"a"}
        assert await shown(book, "blue") == {"b"}
        assert await shown(book, "green") == set()
        await book.learn([record("a", "Red thing", revoked=True)])
        assert await shown(book, "red") == set()


async def test_labels_may_be_given_other_words_and_a_threshold(tmp_path: Path) -> None:
    model = colour_model(tmp_path / "m.onnx")
    words = plain(model=model, labels={"RED_THING": ("embers", "glow")})
    async with book_with(words) as book:
        await book.learn([record("a", "Embers"), record("b", "red thing")])
        assert await shown(book, "red") == {"a"}
        [hits] = await book.search([painted_file("red", 1)])
        surely = hits[0].score
    async with book_with({**words, "threshold": 0.999999}) as book:
        await book.learn([record("a", "Embers")])
        [hits] = await book.search([painted_file("red", 1)])
        assert hits[0].score < surely


async def test_entries_for_words_alone_are_not_looked_for(tmp_path: Path) -> None:
    async with book_with(plain(model=colour_model(tmp_path / "m.onnx"))) as book:
        await book.learn([record("a", "red thing", modalities=("text",))])
        assert book.entry_ids == frozenset()


async def test_labels_that_exclude_each_other_share_one_probability(tmp_path: Path) -> None:
    async with book_with(plain(model=colour_model(tmp_path / "m.onnx"), exclusive=True)) as book:
        await book.learn([record("a", "red thing"), record("b", "blue thing")])
        [hits] = await book.search([painted_file("red", 1)])
        assert sum(hit.score for hit in hits) == pytest.approx(1.0)


@pytest.mark.parametrize("missing", ["model", "names"])
def test_settings_without_a_model_or_labels_say_what_is_missing(missing: str) -> None:
    given = plain(model="m.onnx")
    del given[missing]
    with pytest.raises(ValidationError, match=f"'{missing}'"):
        PictureClassifierSettings.model_validate(given)


async def test_files_that_are_no_such_model_are_refused_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "broken.onnx").write_bytes(b"not a model")
    with pytest.raises(EmbedderUnavailable, match=r"broken\.onnx"):
        async with book_with(plain(model=tmp_path / "broken.onnx")):
            pass
    three = colour_model(tmp_path / "three.onnx", outputs=3)
    with pytest.raises(EmbedderUnavailable, match="gives 3 values a picture, but 'names' lists 2"):
        async with book_with(plain(model=three)):
            pass


class Detector:
    """Stands for `nudenet.NudeDetector`: boxes as that package gives them."""

    def __init__(self, model_path: str | None = None) -> None:
        self.model_path = model_path

    def detect(self, picture_HWC: Any) -> Sequence[dict[str, Any]]:
        is_red = picture_HWC[..., 2].mean() > picture_HWC[..., 0].mean() + 5
        boxes = [{"class": "RED_THING", "score": score, "box": [0, 0, 4, 4]} for score in (0.4, 0.8)]
        return boxes if is_red else []


async def test_nudenet_is_used_where_it_is_installed_and_asked_for_where_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nudenet", None)
    with pytest.raises(EmbedderUnavailable, match="pip install 'nudenet'"):
        async with book_with({"kind": "nudenet"}):
            pass
    module = ModuleType("nudenet")
    module.NudeDetector = Detector  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "nudenet", module)
    async with book_with({"kind": "nudenet", "labels": {"RED_THING": ["nudity"]}, "threshold": 0.6}) as book:
        await book.learn([record("a", "Nudity")])
        assert await shown(book, "red") == {"a"}
        assert await shown(book, "blue") == set()
