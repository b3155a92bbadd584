"""The linear layers of a denoiser that read text: the ways by which a concept comes in.

Keys and values of a UNet's cross-attention, the context projection of a transformer (SD3, FLUX), and the first layer that
reads the pooled vector where there is one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from retrieval.errors import UnfitPipeline


@dataclass(frozen=True, kw_only=True, slots=True)
class Reader:
    """A linear layer that reads text: its weight (O, I), whose first columns read the states, or the pooled vector. `name`
    is the weight's in the denoiser."""

    name: str
    weight: Any
    is_pooled: bool


def readers(pipeline: Any) -> list[Reader]:
    """The layers of the denoiser that read text. Raises `UnfitPipeline` where there are none, or where their weights
    cannot be edited."""
    import torch

    denoiser: Any = find_denoiser(pipeline)
    found = [(layer, False) for layer in _of_states(denoiser)] + [(layer, True) for layer in _of_pooled(denoiser)]
    if not any(not is_pooled for _, is_pooled in found):
        raise UnfitPipeline(f"{type(pipeline).__name__} has no layer that reads text states; use prototype or rewrite")
    for layer, _ in found:
        weight = getattr(layer, "weight", None)
        if not isinstance(layer, torch.nn.Linear) or weight is None or weight.is_meta or weight.dtype.itemsize < 2:
            raise UnfitPipeline(
                f"weights of {type(pipeline).__name__} are quantised, adapted or not in memory; use prototype or rewrite"
            )
    names = {id(weight): name for name, weight in denoiser.named_parameters()}
    return [
        Reader(name=names[id(layer.weight)], weight=layer.weight, is_pooled=is_pooled) for layer, is_pooled in found
    ]


def find_denoiser(pipeline: Any) -> Any | None:
    """The model that predicts noise or velocity, which all edits are of; None where a pipeline has none."""
    return getattr(pipeline, "unet", None) or getattr(pipeline, "transformer", None)


def denoiser_of(pipeline: Any) -> Any:
    """The same. Raises `UnfitPipeline` where there is none."""
    denoiser = find_denoiser(pipeline)
    if denoiser is None:
        raise UnfitPipeline(f"{type(pipeline).__name__} has neither a unet nor a transformer")
    return denoiser


def _of_states(denoiser: Any) -> list[Any]:
    if denoiser is None:
        return []
    if hasattr(denoiser, "context_embedder"):
        return [denoiser.context_embedder]
    attentions = [one for one in denoiser.modules() if getattr(one, "is_cross_attention", False)]
    return [layer for one in attentions for layer in (one.to_k, one.to_v)]


def _of_pooled(denoiser: Any) -> list[Any]:
    with_time = getattr(denoiser, "add_embedding", None)  # SDXL: behind the pooled vector come the picture's sizes
    embedder = getattr(getattr(denoiser, "time_text_embed", None), "text_embedder", None)
    return [one.linear_1 for one in (with_time, embedder) if one is not None and hasattr(one, "linear_1")]
