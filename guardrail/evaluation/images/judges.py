"""Who says what a picture shows: one literal table, a folder's kind -> its loader. Loading imports heavy libraries, lazily.

A judge names for every picture the value of each attribute, or "none", and how sure it is; and gives the features that a
quality distance compares. It must not be the model that the proxy under judgement looks with. `config.json` in the folder
tells the kind: its `kind`, else its `model_type` as transformers writes it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from guardrail.errors import InvalidInput

if TYPE_CHECKING:
    from PIL.Image import Image

    from guardrail.evaluation.images.quality import Rows
    from retrieval.picture_embedders.protocol import PictureEmbedder

NONE: Final = "none"
"""The value of an attribute that a picture does not show."""
CONFIG_FILE: Final = "config.json"
Values = Mapping[str, tuple[str, ...]]
"""Attribute -> the values that a suite names."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """What a picture shows of an attribute. `confidence` in 0..1."""

    value: str
    confidence: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Looked:
    """What pictures show, and their features [N, D]."""

    seen: tuple[Mapping[str, Seen], ...]
    features: Rows


class PictureJudge(Protocol):
    """`fingerprint` changes with whatever a verdict depends on."""

    name: str
    fingerprint: str

    def look(self, pictures: Sequence[Image]) -> Looked:
        """What each picture shows."""
        ...


def _shapes(folder: Path, values: Values) -> PictureJudge:
    from guardrail.evaluation.images.shapes_judge import ShapesJudge

    return ShapesJudge.load(folder, values)


def _clip(folder: Path, values: Values) -> PictureJudge:
    from guardrail.evaluation.images.clip_judge import ClipJudge

    return ClipJudge.load(folder, values)


JUDGES: Final[Mapping[str, Callable[[Path, Values], PictureJudge]]] = {
    "expunge-picture-judge": _shapes,
    "clip": _clip,
    "siglip": _clip,
    "siglip2": _clip,
}


def load_judge(folder: Path, values: Values) -> PictureJudge:
    """The judge of a folder, for a suite that names these values. Raises `InvalidInput`."""
    kind = _kind(folder, "judge")
    load = JUDGES.get(kind)
    if load is None:
        raise InvalidInput(f"{folder}: no judge is of the kind '{kind}'. Known kinds: {', '.join(JUDGES)}.")
    try:
        return load(folder, values)
    except ImportError as error:
        raise InvalidInput(_missing(error)) from None


def load_embedder(folder: Path) -> PictureEmbedder:
    """A picture embedder for features, by folder. Raises `InvalidInput`."""
    from retrieval.errors import EmbedderUnavailable
    from retrieval.picture_embedders import load_picture_embedder
    from retrieval.settings import RetrievalSettings

    is_small = _kind(folder, "embedder") == "expunge-picture-encoder"
    settings = RetrievalSettings(
        picture_embedder="small-encoder" if is_small else "clip", picture_embedder_model=str(folder)
    )
    try:
        found = load_picture_embedder(settings)
    except EmbedderUnavailable as error:
        raise InvalidInput(str(error)) from None
    if found is None:
        raise InvalidInput(f"{folder} holds no picture embedder.")
    return found


def check_values(values: Values, known: Mapping[str, Sequence[str]], who: str) -> None:
    """Every value that a suite names must be one that the judge can see. Raises `InvalidInput`."""
    for attribute, named in values.items():
        if attribute not in known:
            raise InvalidInput(f"The judge {who} does not see '{attribute}'; it sees {', '.join(known)}.")
        for value in named:
            if value not in known[attribute]:
                raise InvalidInput(
                    f"The judge {who} knows no {attribute} '{value}'; it knows {', '.join(known[attribute])}."
                )


def _kind(folder: Path, what: str) -> str:
    try:
        config: Any = json.loads((folder / CONFIG_FILE).read_bytes())
    except (OSError, ValueError) as error:
        raise InvalidInput(
            f"{folder} holds no {what} ({type(error).__name__}): a folder with {CONFIG_FILE} is needed."
        ) from None
    found = config.get("kind") or config.get("model_type") if isinstance(config, dict) else None
    return str(found)


def _missing(error: ImportError) -> str:
    return f"The judge needs the package '{error.name}': pip install 'expunge[diffusion]'."
