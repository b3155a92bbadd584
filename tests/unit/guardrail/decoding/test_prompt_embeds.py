"""Embeddings read from a model's folder are the model's own, but where they are corrupted."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import pre_tokenizers

from guardrail.decision import Corruption, CorruptionKind
from guardrail.decoding.prompt_embeds import EmbeddingTable, UnreadableEmbeddingsError, decoded, encoded
from tests.fakes.small_tokenizers import byte_level
from tests.fakes.tiny_llama import tiny_llama

TEXT = "Who is Zoë Quint?\nTell me."
NAME = "Zoë Quint"
WIDTH = 32


def save(folder: Path, *, dtype: torch.dtype = torch.float32, **changed: Any) -> Any:
    """A tiny model with a tokenizer of one token a byte, in `folder`; gives back the model."""
    tokenizer = byte_level()
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.save_pretrained(str(folder))
    model = tiny_llama(vocab_size=len(tokenizer)).to(dtype)
    model.save_pretrained(str(folder), **changed)
    return model


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("model")
    save(made)
    return made


@pytest.fixture(scope="module")
def table(folder: Path) -> EmbeddingTable:
    return EmbeddingTable.open(folder)


def corruption(kind: CorruptionKind = "rand_noise_first_n", strength: float = 2.0, seed: int = 1) -> Corruption:
    start = TEXT.index(NAME)
    return Corruption(
        path=("messages", 0, "content"),
        start=start,
        end=start + len(NAME),
        written=NAME,
        kind=kind,
        strength=strength,
        seed=seed,
    )


def of_the_name(table: EmbeddingTable) -> list[bool]:
    start, end = TEXT.index(NAME), TEXT.index(NAME) + len(NAME)
    return [place[0] < end and place[1] > start for place in table.tokens(TEXT).places]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_a_text_without_corruptions_has_the_models_own_embeddings(tmp_path: Path, dtype: torch.dtype) -> None:
    model = save(tmp_path, dtype=dtype)
    table = EmbeddingTable.open(tmp_path)
    own = model.get_input_embeddings()(torch.tensor(table.tokens(TEXT).ids)).detach().float().numpy()
    assert np.array_equal(table.corrupted(TEXT, ()), own)
    assert table.scale == pytest.approx(
        float(model.get_input_embeddings().weight.detach().float().pow(2).mean().sqrt()), rel=0.05
    )


def test_a_model_in_several_files_is_read(tmp_path: Path) -> None:
    model = save(tmp_path, max_shard_size="20KB")
    assert (tmp_path / "model.safetensors.index.json").is_file()
    table = EmbeddingTable.open(tmp_path)
    assert np.array_equal(table.stored_VD, model.get_input_embeddings().weight.detach().numpy())


@pytest.mark.parametrize("kind", ["rand_noise_first_n", "zero_out_top_k", "flip_sign"])
def test_only_the_tokens_of_the_place_are_corrupted(table: EmbeddingTable, kind: CorruptionKind) -> None:
    plain, corrupted = table.corrupted(TEXT, ()), table.corrupted(TEXT, [corruption(kind, 0.5)])
    assert [not np.array_equal(*rows) for rows in zip(plain, corrupted, strict=True)] == of_the_name(table)
    assert sum(of_the_name(table)) == len(NAME.encode())


def test_noise_is_as_strong_as_said_and_hangs_on_the_seed_alone(table: EmbeddingTable) -> None:
    noise = (table.corrupted(TEXT, [corruption()]) - table.corrupted(TEXT, ()))[of_the_name(table)]
    assert np.std(noise) == pytest.approx(2.0 * table.scale, rel=0.15)
    assert np.array_equal(table.corrupted(TEXT, [corruption()]), table.corrupted(TEXT, [corruption()]))
    assert not np.array_equal(table.corrupted(TEXT, [corruption()]), table.corrupted(TEXT, [corruption(seed=2)]))


def test_the_largest_dimensions_are_zeroed_or_turned(table: EmbeddingTable) -> None:
    at = of_the_name(table).index(True)
    plain = table.corrupted(TEXT, ())[at]
    largest = sorted(range(WIDTH), key=lambda dim: -abs(float(plain[dim])))[: WIDTH // 4]
    zeroed = table.corrupted(TEXT, [corruption("zero_out_top_k", 0.25)])[at]
    turned = table.corrupted(TEXT, [corruption("flip_sign", 0.25)])[at]
    for dim in range(WIDTH):
        assert zeroed[dim] == (0.0 if dim in largest else plain[dim])
        assert turned[dim] == (-plain[dim] if dim in largest else plain[dim])


def test_a_token_that_two_places_touch_is_corrupted_once(table: EmbeddingTable) -> None:
    once = table.corrupted(TEXT, [corruption("flip_sign", 1.0)])
    assert np.array_equal(table.corrupted(TEXT, [corruption("flip_sign", 1.0)] * 2), once)


def test_a_place_without_tokens_is_not_passed_over(table: EmbeddingTable) -> None:
    with pytest.raises(UnreadableEmbeddingsError, match="no tokens"):
        table.corrupted("Who?", [corruption()])


def test_the_wire_form_is_what_torch_saves_in_base64(table: EmbeddingTable) -> None:
    rows_TD = torch.load(io.BytesIO(base64.b64decode(table.wire_form(TEXT, [corruption()]))), weights_only=True)
    assert np.array_equal(rows_TD.numpy(), table.corrupted(TEXT, [corruption()]))
    assert torch.equal(decoded(table.wire_form(TEXT, [corruption()]), width=WIDTH), rows_TD)


def saved(value: Any) -> str:
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return base64.b64encode(buffer.getvalue()).decode()


@pytest.mark.parametrize(
    "data",
    [
        "",
        "not base64!",
        base64.b64encode(b"no tensor").decode(),
        saved({"a": 1}),
        saved(torch.zeros((2, WIDTH), dtype=torch.long)),
        saved(torch.zeros((0, WIDTH))),
        saved(torch.zeros(WIDTH)),
        saved(Path("x")),
        encoded(np.zeros((2, WIDTH + 1), dtype=np.float32)),
    ],
)
def test_data_that_are_no_embeddings_of_the_model_are_refused(data: str) -> None:
    with pytest.raises(UnreadableEmbeddingsError):
        decoded(data, width=WIDTH)


def change_config(folder: Path, **changed: Any) -> None:
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changed))


def quantise(folder: Path) -> None:
    header = json.dumps({"model.embed_tokens.weight": {"dtype": "I8", "shape": [2, 2], "data_offsets": [0, 4]}})
    raw = len(header).to_bytes(8, "little") + header.encode() + bytes(4)
    (folder / "model.safetensors").write_bytes(raw)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda folder: (folder / "config.json").unlink(), "whole model"),
        (lambda folder: (folder / "model.safetensors").unlink(), "known name"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"\xff" * 64), "no safetensors"),
        (lambda folder: (folder / "tokenizer.json").unlink(), "tokenizer.json"),
        (lambda folder: change_config(folder, model_type="gemma2"), "scales"),
        (lambda folder: change_config(folder, embedding_multiplier=12.0), "scales"),
        (quantise, "unquantised"),
    ],
)
def test_a_folder_that_cannot_be_used_is_refused_with_the_reason(tmp_path: Path, spoil: Any, says: str) -> None:
    save(tmp_path)
    EmbeddingTable.open(tmp_path)
    spoil(tmp_path)
    with pytest.raises(UnreadableEmbeddingsError, match=says):
        EmbeddingTable.open(tmp_path)
