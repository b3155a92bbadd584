"""What is known of an embedder before it is loaded: one frozen record each, and how to load it.

It does not know vectors beyond the few numbers that prove a loaded model is the one described. Units: `_ms`, tokens.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from retrieval.embedders.protocol import Embedder
    from retrieval.settings import RetrievalSettings

CANONICAL_TEXT = "The quick brown fox jumps over the lazy dog."


@dataclass(frozen=True, kw_only=True, slots=True)
class EmbedderCard:
    """One embedder with its default model.

    `ms_per_text` is a rough figure for a question of 20 tokens on one busy CPU core. `canonical` holds the first eight
    components of `CANONICAL_TEXT`, embedded as a passage; `are_signs_free` says that an axis may point either way, as after
    a PCA. `cosines` is "wide" where unrelated texts lie near 0, "narrow" where they lie at .7 and more, so that a
    threshold means nothing before the vectors are centred.
    """

    name: str
    model: str
    package: str
    dim: int
    licence: str
    languages: tuple[str, ...]
    ms_per_text: float
    max_tokens: int
    query_prefix: str = ""
    passage_prefix: str = ""
    cosines: Literal["wide", "narrow"] = "wide"
    canonical: tuple[float, ...]
    are_signs_free: bool = False
    load: Callable[[RetrievalSettings], Embedder]
