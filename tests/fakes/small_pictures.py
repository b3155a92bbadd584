"""Small pictures, as files and data URLs, and an embedder that sees nothing but their colours."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from random import Random
from typing import TYPE_CHECKING, Any

import numpy as np

from retrieval.errors import EmbedderUnavailable

if TYPE_CHECKING:
    from PIL.Image import Image

    from retrieval.picture_embedders.protocol import Vectors

COLOURS = {"red": (220, 40, 40), "blue": (40, 60, 220), "green": (40, 180, 60), "yellow": (230, 210, 40)}
SIDE = 16


def painted(colour: str, seed: int) -> Image:
    """A blot of a colour somewhere on grey of any shade."""
    from PIL import Image, ImageDraw

    rng = Random(f"{colour} {seed}")
    shade = rng.randint(0, 255)
    picture = Image.new("RGB", (SIDE, SIDE), (shade, shade, shade))
    left, top = rng.randint(0, 6), rng.randint(0, 6)
    fill = tuple(min(255, max(0, part + rng.randint(-20, 20))) for part in COLOURS[colour])
    ImageDraw.Draw(picture).rectangle((left, top, left + rng.randint(5, 9), top + rng.randint(5, 9)), fill=fill)
    return picture


def encoded(picture: Image, kind: str = "PNG", **options: Any) -> bytes:
    """A picture as a file."""
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def painted_file(colour: str, seed: int) -> bytes:
    """`painted` as a PNG file."""
    return encoded(painted(colour, seed))


def data_url(content: bytes, kind: str = "png") -> str:
    """A file as a data URL."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def painted_urls(colour: str, count: int, *, first: int = 0) -> tuple[str, ...]:
    """Several pictures of a colour as data URLs."""
    return tuple(data_url(painted_file(colour, first + number)) for number in range(count))


class ColourEmbedder:
    """Mean excess of each colour over grey, and the shade; `seen` counts pictures. Fails while `is_broken`."""

    name = "colours"
    dim = 4
    fingerprint = "colours 1"
    threshold = 0.95

    def __init__(self) -> None:
        self.seen = 0
        self.is_broken = False

    def embed(self, pictures: Sequence[Image]) -> Vectors:
        """See the protocol."""
        if self.is_broken:
            raise EmbedderUnavailable("the model is gone")
        self.seen += len(pictures)
        rows = [np.empty((0, self.dim))]
        for picture in pictures:
            pixels = np.asarray(picture.convert("RGB"), dtype=np.float64) / 255.0
            grey = np.median(pixels)
            excess = (pixels - pixels.mean(axis=2, keepdims=True)).mean(axis=(0, 1))
            rows.append(np.array([[*(excess * 8), grey]]))
        raw = np.concatenate(rows)
        return np.asarray(raw / np.maximum(np.linalg.norm(raw, axis=1, keepdims=True), 1e-9), dtype=np.float32)


class ReadingColourEmbedder(ColourEmbedder):
    """It also reads: a text's colour words stand where a picture of that colour stands."""

    def embed_texts(self, texts: Sequence[str]) -> Vectors:
        """See the protocol."""
        rows = np.zeros((len(texts), self.dim), dtype=np.float32)
        for row, text in zip(rows, texts, strict=True):
            named = [colour for colour in COLOURS if colour in text.lower()]
            row[:] = self.embed([painted(named[0], 0)])[0] if named else (0.0, 0.0, 0.0, 1.0)
        return rows
