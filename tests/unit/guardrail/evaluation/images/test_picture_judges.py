"""Who looks at pictures: the shapes judge gives what its trained network gives, CLIP sees what a suite names."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from guardrail.errors import InvalidInput
from guardrail.evaluation.images.clip_judge import ClipJudge
from guardrail.evaluation.images.judges import load_embedder, load_judge

if TYPE_CHECKING:
    from retrieval.picture_embedders.protocol import Vectors

CONFIG: dict[str, Any] = {
    "kind": "expunge-picture-judge",
    "image_size": 16,
    "channels": [8, 8],
    "heads": {"shape": ["star", "heart", "none"], "colour": ["red", "blue", "none"]},
}


def pictures(count: int, side: int = 16) -> list[Image.Image]:
    rng = np.random.default_rng(side)
    return [Image.fromarray(rng.integers(0, 256, (side, side, 3), dtype=np.uint8)) for _ in range(count)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An untrained judge that has seen enough for its norms to matter."""
    import torch
    from safetensors.torch import save_file

    from benchmarks.shapes.judge_network import ShapesJudge as Network

    torch.manual_seed(0)
    network = Network(CONFIG)
    for _ in range(3):
        network(torch.randn(8, 3, 16, 16))
    save_file(
        {name: value.half().contiguous() for name, value in network.state_dict().items()},
        tmp_path / "model.safetensors",
    )
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    return tmp_path


@pytest.mark.usefixtures("one_thread")
def test_the_shapes_judge_gives_what_its_network_gives(folder: Path) -> None:
    import torch

    from benchmarks.shapes.judge_network import Judge
    from guardrail.evaluation.images.shapes_judge import ShapesJudge

    shown = pictures(70)
    judge = ShapesJudge.load(folder)
    looked = judge.look(shown)
    network = Judge.load(folder)
    stacked = np.stack([np.asarray(one) for one in shown])
    assert [{name: one.value for name, one in seen.items()} for seen in looked.seen] == network.seen(stacked)
    with torch.inference_mode():
        wanted = network._network.features(judge.pixels(shown)).numpy()
    np.testing.assert_allclose(looked.features, wanted, atol=1e-5)
    assert all(1 / 3 < one.confidence <= 1 for seen in looked.seen for one in seen.values())
    assert judge.look([]).features.shape == (0, 8)
    assert len(judge.look(pictures(2, side=40)).seen) == 2, "other sizes are made to fit"


@pytest.mark.usefixtures("one_thread")
def test_a_suite_may_only_name_what_the_judge_sees(folder: Path) -> None:
    load_judge(folder, {"shape": ("star",)})
    with pytest.raises(InvalidInput, match="knows no shape 'cube'; it knows star, heart, none"):
        load_judge(folder, {"shape": ("cube",)})
    with pytest.raises(InvalidInput, match="does not see 'artist'; it sees shape, colour"):
        load_judge(folder, {"artist": ("x",)})


def test_folders_without_a_judge_are_told(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="holds no judge"):
        load_judge(tmp_path, {})
    (tmp_path / "config.json").write_text('{"kind": "tea-leaves"}')
    with pytest.raises(InvalidInput, match="no judge is of the kind 'tea-leaves'"):
        load_judge(tmp_path, {})
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    with pytest.raises(InvalidInput, match=r"holds no judge of shapes .* train one"):
        load_judge(tmp_path, {})
    (tmp_path / "config.json").write_text('{"kind": "expunge-picture-encoder"}')
    with pytest.raises(InvalidInput, match="holds no picture encoder"):
        load_embedder(tmp_path)


class Axes:
    """An embedder whose first dimensions are red, green and blue, and whose last is anything else."""

    name, dim, fingerprint, threshold = "axes", 4, "axes 1", 0.9

    def embed(self, pictures: Sequence[Image.Image]) -> Vectors:
        means = [np.asarray(one, dtype=np.float32).mean(axis=(0, 1)) for one in pictures]
        rows = np.array([[*(mean if np.ptp(mean) > 50 else (0, 0, 0)), 60.0] for mean in means], dtype=np.float32)
        return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)

    def embed_texts(self, texts: Sequence[str]) -> Vectors:
        named = [
            next((place for place, name in enumerate(("red", "green", "blue")) if name in text), 3) for text in texts
        ]
        return np.eye(4, dtype=np.float32)[named]


def test_clip_names_the_nearest_value_or_none() -> None:
    judge = ClipJudge(Axes(), Axes(), {"colour": ("red", "blue")})
    shown = [Image.new("RGB", (4, 4), colour) for colour in ((220, 0, 0), (0, 0, 220), (90, 90, 90))]
    looked = judge.look(shown)
    assert [one["colour"].value for one in looked.seen] == ["red", "blue", "none"]
    assert looked.seen[0]["colour"].confidence > 0.99
    assert looked.features.shape == (3, 4)
