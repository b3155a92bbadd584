"""Texts as embeddings with corrupted places, read from a model's folder without loading the model.

Of the weights only the rows that a text needs are read: the input-embedding matrix stays on disk, memory-mapped. A text
becomes exactly the tokens that the model would have read, and every token outside the corrupted places its own embedding,
so the model sees an ordinary prompt in which one thing cannot be made out.

It knows nothing of entries, messages or chat templates, and does not see weights that change the embeddings (an adapter
with `embed_tokens` in it). numpy, tokenizers and torch are imported when they are used.

Shapes: T tokens of a text, D width of the model, V vocabulary.
"""

from __future__ import annotations

import base64
import binascii
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from guardrail.decision import Corruption

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

    Embeddings = NDArray[np.float32]

MATRIX_NAMES = (
    "model.embed_tokens.weight",
    "model.language_model.embed_tokens.weight",
    "language_model.model.embed_tokens.weight",
    "embed_tokens.weight",
    "transformer.wte.weight",
    "gpt_neox.embed_in.weight",
)
"""Where the common families keep their input embeddings (Llama, Mistral, Qwen, Phi, SmolLM; GPT-2; GPT-NeoX)."""
_SCALING_FIELDS = ("scale_embedding", "scale_emb", "embedding_multiplier")
_SCALING_FAMILIES = ("gemma", "t5gemma", "vaultgemma")
_STORED = {"F32": "<f4", "F16": "<f2", "BF16": "<u2"}
_SAMPLED_ROWS = 1024
_HEADER_LIMIT_BYTES = 100_000_000


class UnreadableEmbeddingsError(ValueError):
    """A folder without input embeddings that can be used, or data that are no embeddings; says what is wrong."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tokens:
    """A text's tokens and where each stands in it, as half-open ranges of characters."""

    ids: tuple[int, ...]
    places: tuple[tuple[int, int], ...]


@dataclass(frozen=True, kw_only=True)
class EmbeddingTable:
    """The input embeddings of one model. `scale` is their root mean square, over evenly spaced rows."""

    stored_VD: NDArray[Any] = field(repr=False)
    tokenizer: Any = field(repr=False)
    scale: float

    @classmethod
    def open(cls, folder: Path) -> EmbeddingTable:
        """The table of a folder with safetensors and tokenizer.json, as `save_pretrained` writes it.

        Raises `UnreadableEmbeddingsError` for any other, and for models that scale their embeddings after the look-up:
        there a row of the matrix is not what the model reads.
        """
        import numpy as np
        from tokenizers import Tokenizer

        _refuse_scaled(folder)
        stored_VD = _matrix(folder)
        file = folder / "tokenizer.json"
        if not file.is_file():
            raise UnreadableEmbeddingsError(f"{folder} holds no tokenizer.json; save the tokenizer there as a fast one")
        sampled_ND = _floats(stored_VD[:: max(1, len(stored_VD) // _SAMPLED_ROWS)])
        scale = math.sqrt(float(np.mean(np.square(sampled_ND, dtype=np.float64))))
        return cls(stored_VD=stored_VD, tokenizer=Tokenizer.from_file(str(file)), scale=scale)

    def tokens(self, text: str) -> Tokens:
        """The text's tokens as inside a chat template, which writes its own special tokens."""
        encoded = self.tokenizer.encode(text, add_special_tokens=False)
        return Tokens(ids=tuple(encoded.ids), places=tuple(encoded.offsets))

    def corrupted(self, text: str, corruptions: Sequence[Corruption]) -> Embeddings:
        """The text's embeddings (T, D); each token that a corruption touches is corrupted once, by the first that does.

        Raises `UnreadableEmbeddingsError` if a corruption touches no token: what should be hidden would be sent.
        """
        found = self.tokens(text)
        if any(token >= len(self.stored_VD) for token in found.ids):
            raise UnreadableEmbeddingsError("the tokenizer has tokens that the model has no embeddings for")
        rows_TD = _floats(self.stored_VD[list(found.ids)])
        taken: set[int] = set()
        for one in corruptions:
            touched = [at for at, (start, end) in enumerate(found.places) if start < one.end and end > one.start]
            if not touched:
                raise UnreadableEmbeddingsError("a place to be corrupted has no tokens")
            free = [at for at in touched if at not in taken]
            rows_TD[free] = _corrupt(rows_TD[free], one, scale=self.scale)
            taken.update(free)
        return rows_TD

    def wire_form(self, text: str, corruptions: Sequence[Corruption]) -> str:
        """The text with corrupted places as the `data` of a `prompt_embeds` part."""
        return encoded(self.corrupted(text, corruptions))


def _corrupt(rows_ND: Embeddings, how: Corruption, *, scale: float) -> Embeddings:
    import numpy as np

    if how.kind == "rand_noise_first_n":
        noise_ND = np.random.default_rng(how.seed).standard_normal(rows_ND.shape, dtype=np.float32)
        return rows_ND + np.float32(how.strength * scale) * noise_ND
    count = round(min(max(how.strength, 0.0), 1.0) * rows_ND.shape[1])
    largest_NK = np.argsort(-np.abs(rows_ND), axis=1, kind="stable")[:, :count]
    changed_ND = rows_ND.copy()
    factor = 0.0 if how.kind == "zero_out_top_k" else -1.0
    np.put_along_axis(changed_ND, largest_NK, factor * np.take_along_axis(rows_ND, largest_NK, axis=1), axis=1)
    return changed_ND


def encoded(rows_TD: Embeddings) -> str:
    """Embeddings in the form that vLLM takes: base64 of what `torch.save` writes of a (T, D) tensor."""
    import torch

    buffer = io.BytesIO()
    torch.save(torch.from_numpy(rows_TD), buffer)
    return base64.b64encode(buffer.getvalue()).decode("ascii")


def decoded(data: str, *, width: int) -> torch.Tensor:
    """The (T, D) tensor of a `prompt_embeds` part; raises `UnreadableEmbeddingsError` if it is none of this width."""
    import pickle

    import torch

    try:
        raw = base64.b64decode(data, validate=True)
        rows_TD = torch.load(io.BytesIO(raw), map_location="cpu", weights_only=True)
    except (binascii.Error, ValueError, RuntimeError, EOFError, KeyError, pickle.UnpicklingError):
        raise UnreadableEmbeddingsError("prompt embeddings must be the base64 form of a saved tensor") from None
    if not isinstance(rows_TD, torch.Tensor) or not rows_TD.is_floating_point():
        raise UnreadableEmbeddingsError("prompt embeddings must be a tensor of floating-point numbers")
    if rows_TD.dim() != 2 or rows_TD.shape[1] != width or not len(rows_TD):
        raise UnreadableEmbeddingsError(f"prompt embeddings must have the shape (tokens, {width})")
    return rows_TD


def _refuse_scaled(folder: Path) -> None:
    config = _json(folder / "config.json")
    parts = [config, *(part for part in config.values() if isinstance(part, dict))]
    scaled = any(part.get(name) not in (None, False, 1, 1.0) for part in parts for name in _SCALING_FIELDS)
    if scaled or str(config.get("model_type", "")).startswith(_SCALING_FAMILIES):
        raise UnreadableEmbeddingsError(
            f"the model in {folder} scales its embeddings after the look-up; corrupted prompts are not supported for it"
        )


def _matrix(folder: Path) -> NDArray[Any]:
    """The stored (V, D) matrix, memory-mapped; bfloat16 as its bits."""
    import numpy as np

    index = folder / "model.safetensors.index.json"
    shards: Mapping[str, str] | None = _json(index).get("weight_map") if index.is_file() else None
    for name in MATRIX_NAMES:
        file = folder / (shards.get(name, "") if shards is not None else "model.safetensors")
        if not file.is_file():
            continue
        header, begin = _header(file)
        held = header.get(name)
        if held is None:
            continue
        kind, shape = _STORED.get(held["dtype"]), held["shape"]
        if kind is None or len(shape) != 2:
            raise UnreadableEmbeddingsError(
                f"{file} stores its embeddings as {held['dtype']} of {len(shape)} dimensions; float32, float16 or bfloat16 "
                "of 2 are read. Give the folder of the unquantised model"
            )
        offset = begin + int(held["data_offsets"][0])
        return np.memmap(file, dtype=kind, mode="r", offset=offset, shape=(int(shape[0]), int(shape[1])))
    raise UnreadableEmbeddingsError(
        f"{folder} holds no safetensors with input embeddings under a known name ({', '.join(MATRIX_NAMES)})"
    )


def _header(file: Path) -> tuple[dict[str, Any], int]:
    """A safetensors file's table of contents, and where its data begin: 8 bytes of length, JSON, data."""
    with file.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if not 2 <= length <= _HEADER_LIMIT_BYTES:
            raise UnreadableEmbeddingsError(f"{file} is no safetensors file")
        try:
            return json.loads(stream.read(length)), 8 + length
        except ValueError:
            raise UnreadableEmbeddingsError(f"{file} is no safetensors file") from None


def _floats(stored_ND: NDArray[Any]) -> Embeddings:
    """Stored rows as float32; the bits of a bfloat16 are the upper half of a float32's."""
    import numpy as np

    if stored_ND.dtype == np.uint16:
        return (stored_ND.astype(np.uint32) << 16).view(np.float32)
    return stored_ND.astype(np.float32)


def _json(file: Path) -> dict[str, Any]:
    try:
        read = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise UnreadableEmbeddingsError(f"{file} cannot be read; give the folder of a whole model") from None
    return read if isinstance(read, dict) else {}
