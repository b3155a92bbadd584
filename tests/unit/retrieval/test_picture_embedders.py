"""The table of picture embedders, the small encoder's folder, and a randomly initialised CLIP and SigLIP."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from retrieval.errors import EmbedderUnavailable
from retrieval.picture_embedders import PICTURE_EMBEDDERS, load_picture_embedder
from retrieval.picture_embedders.protocol import ReadsTexts
from retrieval.settings import RetrievalSettings
from tests.fakes.small_pictures import painted

CONFIG = {"kind": "expunge-picture-encoder", "image_size": 16, "channels": [8, 16], "dim": 12}


def small_encoder_in(folder: Path, **changes: Any) -> Path:
    """A folder with a randomly initialised encoder."""
    import torch
    from safetensors.torch import save_file

    from retrieval.picture_embedders.small_encoder import SmallEncoder

    torch.manual_seed(0)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(SmallEncoder(CONFIG).half().state_dict(), folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(CONFIG | changes))
    return folder


def clip_in(folder: Path) -> Path:
    """A folder with a tiny, randomly initialised CLIP, its tokenizer and preprocessor."""
    import torch
    from transformers import CLIPConfig, CLIPModel, CLIPTokenizer
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    torch.manual_seed(0)
    letters = [chr(code) for code in range(33, 127)]
    tokens = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    tower = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    text = {**tower, "vocab_size": 190, "max_position_embeddings": 24, "bos_token_id": 188, "eos_token_id": 189}
    vision = {**tower, "image_size": 16, "patch_size": 8}
    CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=8)).save_pretrained(folder)
    vocab = {token: number for number, token in enumerate(tokens)}
    CLIPTokenizer(vocab=vocab, merges=[], model_max_length=24).save_pretrained(folder)
    crop = {"height": 16, "width": 16}
    CLIPImageProcessorPil(size={"shortest_edge": 16}, crop_size=crop).save_pretrained(folder)
    return folder


def load(name: Any, folder: Path | str) -> Any:
    return load_picture_embedder(RetrievalSettings(picture_embedder=name, picture_embedder_model=str(folder)))


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    base = tmp_path_factory.mktemp("models")
    return {"small-encoder": small_encoder_in(base / "small"), "clip": clip_in(base / "clip")}


@pytest.mark.parametrize("name", PICTURE_EMBEDDERS)
def test_every_embedder_gives_unit_rows_that_do_not_depend_on_neighbours(name: str, folders: dict[str, Path]) -> None:
    embedder = load(name, folders[name])
    pictures = [painted(colour, seed).resize((20, 30)) for seed in range(40) for colour in ("red", "blue")]
    rows = embedder.embed(pictures)
    assert rows.shape == (80, embedder.dim)
    assert rows.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1.0, atol=1e-5)
    np.testing.assert_allclose(embedder.embed(pictures[3:4])[0], rows[3], atol=1e-5)
    assert embedder.embed([]).shape == (0, embedder.dim)
    assert embedder.embed([Image.new("L", (16, 16))]).shape == (1, embedder.dim)
    assert -1 < embedder.threshold < 1


@pytest.mark.parametrize("name", PICTURE_EMBEDDERS)
def test_the_fingerprint_follows_the_weights(name: str, folders: dict[str, Path], tmp_path: Path) -> None:
    same, other = load(name, folders[name]), load(name, folders[name])
    assert same.fingerprint == other.fingerprint
    for path in folders[name].iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    from safetensors.torch import load_file, save_file

    weights = load_file(tmp_path / "model.safetensors")
    save_file({key: value * 1.5 for key, value in weights.items()}, tmp_path / "model.safetensors", {"format": "pt"})
    assert load(name, tmp_path).fingerprint != same.fingerprint


def test_a_clip_reads_texts_into_the_same_space_and_a_small_encoder_does_not(folders: dict[str, Path]) -> None:
    clip = load("clip", folders["clip"])
    rows = clip.embed_texts(["a red thing", "a very long prompt " * 40])
    assert rows.shape == (2, clip.dim)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1.0, atol=1e-5)
    assert isinstance(clip, ReadsTexts)
    assert not isinstance(load("small-encoder", folders["small-encoder"]), ReadsTexts)


def test_the_small_encoder_is_what_its_description_says() -> None:
    import torch

    from retrieval.picture_embedders.small_encoder import SmallEncoder, pixels_of

    encoder = SmallEncoder(CONFIG)
    kinds = [type(layer).__name__ for layer in encoder.blocks]
    assert kinds == ["Conv2d", "GroupNorm", "SiLU"] * 2
    assert sum(value.numel() for value in encoder.parameters()) == (27 * 8 + 24) + (72 * 16 + 48) + (16 * 12 + 12)
    pixels = pixels_of([Image.new("RGB", (16, 16), (255, 0, 127))], 16)
    assert pixels[0, :, 3, 3].tolist() == pytest.approx([1.0, -1.0, -1 / 255], abs=1e-6)
    assert encoder(pixels).norm().item() == pytest.approx(1.0)
    encoder(pixels).sum().backward()
    assert all(torch.isfinite(value.grad).all() for value in encoder.parameters() if value.grad is not None)


def test_a_trained_threshold_is_taken_from_the_folder(tmp_path: Path) -> None:
    assert load("small-encoder", small_encoder_in(tmp_path, threshold=0.61)).threshold == 0.61


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"kind": "expunge-picture-judge"}, "needs kind"),
        ({"image_size": 0}, "image_size"),
        ({"channels": [8, 12]}, "multiples of 8"),
        ({"channels": []}, "multiples of 8"),
        ({"dim": "many"}, "whole number"),
        ({"channels": [8, 24]}, "do not fit"),
    ],
)
def test_a_folder_with_another_model_is_refused_with_the_mend(
    tmp_path: Path, changes: dict[str, Any], says: str
) -> None:
    with pytest.raises(EmbedderUnavailable, match=says):
        load("small-encoder", small_encoder_in(tmp_path, **changes))


def test_damaged_weights_are_refused(tmp_path: Path) -> None:
    (small_encoder_in(tmp_path) / "model.safetensors").write_bytes(b"none")
    with pytest.raises(EmbedderUnavailable, match="do not fit"):
        load("small-encoder", tmp_path)


@pytest.mark.parametrize("name", PICTURE_EMBEDDERS)
def test_a_folder_without_a_model_names_the_setting(name: str, tmp_path: Path) -> None:
    with pytest.raises(EmbedderUnavailable, match="picture_embedder_model"):
        load(name, tmp_path)
    with pytest.raises(EmbedderUnavailable, match="picture_embedder_model"):
        load(name, "")


def test_no_embedder_is_loaded_unless_one_is_named() -> None:
    assert load_picture_embedder(RetrievalSettings()) is None


def test_an_unknown_embedder_names_the_known_and_the_nearest() -> None:
    settings = RetrievalSettings().model_copy(update={"picture_embedder": "clipp"})
    with pytest.raises(EmbedderUnavailable, match=r"Known picture embedders: .*Did you mean 'clip'"):
        load_picture_embedder(settings)


def test_importing_the_table_and_the_book_loads_nothing_heavy() -> None:
    heavy = "('numpy', 'faiss', 'torch', 'transformers', 'PIL')"
    program = (
        "import sys, retrieval.picture_embedders, retrieval.pictures, guardrail.inspectors.image_concept; "
        f"sys.exit(any(name in sys.modules for name in {heavy}))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
