"""The words in a picture's file go, its pixels stay."""

from __future__ import annotations

import io
from typing import Any

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from guardrail.openai_wire.picture_bytes import without_words
from tests.fakes.small_pictures import encoded, painted

WORD = "strypov"
PROMPT = f"a house by {WORD}"


def exif() -> bytes:
    written = Image.Exif()
    written[0x010E] = PROMPT  # ImageDescription
    return written.tobytes()


def told(kind: str) -> bytes:
    """A picture whose file holds the prompt in every way that its format knows."""
    options: dict[str, Any] = {"exif": exif(), "icc_profile": b"a profile"}
    if kind == "PNG":
        options["pnginfo"] = PngInfo()
        options["pnginfo"].add_text("parameters", PROMPT)
        options["pnginfo"].add_text("prompt", PROMPT, zip=True)
        options["pnginfo"].add_itxt("workflow", PROMPT)
    elif kind == "JPEG":
        options |= {"comment": PROMPT.encode(), "xmp": f"<x>{PROMPT}</x>".encode()}
    else:
        options |= {"xmp": f"<x>{PROMPT}</x>".encode(), "lossless": True}
    return encoded(painted("red", 1), kind, **options)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_no_word_is_left_and_every_pixel_and_the_profile_are(kind: str) -> None:
    content = told(kind)
    clean = without_words(content)
    assert WORD.encode() in content
    assert WORD.encode() not in clean
    before, after = Image.open(io.BytesIO(content)), Image.open(io.BytesIO(clean))
    after.load()
    assert after.tobytes() == before.tobytes()
    assert after.info.get("icc_profile") == b"a profile"
    assert not {"parameters", "prompt", "workflow", "exif", "xmp", "comment"} & set(after.info)
    assert not after.getexif()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_a_picture_without_words_is_the_same_object(kind: str) -> None:
    content = encoded(painted("red", 1), kind)
    assert without_words(content) is content


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_a_file_that_breaks_off_anywhere_never_gives_its_words(kind: str) -> None:
    content = told(kind)
    for length in range(0, len(content), 7):
        assert len(without_words(content[:length])) <= length or kind == "WEBP"
    assert without_words(b"no picture") == b"no picture"


def test_what_stands_behind_a_pngs_end_goes_too() -> None:
    content = encoded(painted("red", 1))
    assert without_words(content + PROMPT.encode()) == content
