"""Forms with pictures: what is read in them, and that what is written reads the same."""

from __future__ import annotations

import io
from typing import Any

import httpx
import pytest
from PIL import Image

from guardrail.errors import ApiError
from guardrail.openai_wire import picture_edits
from tests.fakes.small_pictures import data_url, painted_file

PICTURE = painted_file("red", 1)
OTHER = painted_file("blue", 2)
TEXTS = {"prompt": "a hat, äöü \r\n--x", "model": "tiny", "n": "2", "seed": "7", "strength": "0.5", "stream": "false"}

Files = list[tuple[str, tuple[str, bytes, str]]]
Form = tuple[bytes, list[tuple[bytes, bytes]]]


def form(files: Files, texts: dict[str, str]) -> Form:
    """A form as httpx (and so OpenAI's client) writes it."""
    request = httpx.Request("POST", "http://there", files=files, data=texts)
    return request.read(), [(b"content-type", request.headers["content-type"].encode())]


def file(name: str, content: bytes = PICTURE) -> tuple[str, tuple[str, bytes, str]]:
    return name, ("p.png", content, "image/png")


def written(body: dict[str, Any]) -> Form:
    raw, kind = picture_edits.write_form(body)
    return raw, [(b"content-type", kind)]


def test_a_form_is_read_with_numbers_as_numbers_and_files_as_data_urls() -> None:
    body = picture_edits.read_form(*form([file("image"), file("mask", OTHER)], TEXTS))
    assert body == {
        "prompt": TEXTS["prompt"],
        "model": "tiny",
        "n": 2,
        "seed": 7,
        "strength": 0.5,
        "stream": False,
        "image": [data_url(PICTURE)],
        "mask": data_url(OTHER),
    }
    asked = picture_edits.parse(body)
    assert (asked.prompt, asked.n, asked.seed, asked.strength) == (TEXTS["prompt"], 2, 7, 0.5)
    assert asked.pictures == (PICTURE,)
    assert asked.mask == OTHER


@pytest.mark.parametrize("names", [("image",), ("image[]",), ("image[]", "image[]")])
def test_what_is_written_reads_the_same(names: tuple[str, ...]) -> None:
    body = picture_edits.read_form(*form([file(name) for name in names], TEXTS))
    assert picture_edits.read_form(*written(body)) == body
    assert len(body["image"]) == len(names)


def test_a_name_cannot_break_out_of_its_part() -> None:
    body = {"prompt": "x", 'a"; filename="b\r\n\r\n': "hidden", "image": [data_url(PICTURE)]}
    read = picture_edits.read_form(*written(body))
    assert read["prompt"] == "x"
    assert len(read) == len(body)
    assert "hidden" in read.values()


@pytest.mark.parametrize(
    ("files", "texts", "param"),
    [
        ([file("image")] * 17, {"prompt": "x"}, "image"),
        ([file("mask")], {"prompt": "x"}, "image"),
        ([file("image")], {"model": "tiny"}, "prompt"),
        ([file("image")], {"prompt": "x", "n": "many"}, "n"),
        ([file("image")], {"prompt": "x", "strength": "0"}, "strength"),
        ([file("image")], {"prompt": "x", "strength": "nan"}, "strength"),
        ([file("image")], {"prompt": "x", "stream": "true"}, "stream"),
        ([file("image"), file("mask"), file("mask")], {"prompt": "x"}, "mask"),
        ([file("mask")], {"prompt": "x", "image": "https://there/p.png"}, "image"),
        ([file("image"), file("prompt")], {"model": "tiny"}, None),
        ([file("image"), file("other")], {"prompt": "x"}, None),
    ],
)
def test_bad_forms_are_told_by_field(files: Files, texts: dict[str, str], param: str | None) -> None:
    with pytest.raises(ApiError) as caught:
        picture_edits.parse(picture_edits.read_form(*form(files, texts)))
    assert caught.value.status == 400
    assert caught.value.param == param


@pytest.mark.parametrize(
    "cut", [slice(0, -8), slice(0, 40), slice(0, 0), slice(30, None)], ids=["end", "most", "all", "start"]
)
def test_a_form_that_is_cut_is_no_form(cut: slice) -> None:
    raw, headers = form([file("image")], {"prompt": "x"})
    with pytest.raises(ApiError, match="form") as caught:
        picture_edits.read_form(raw[cut], headers)
    assert caught.value.status == 400


@pytest.mark.parametrize("kind", [b"application/json", b"multipart/form-data", b""])
def test_what_is_no_form_is_told_what_to_send(kind: bytes) -> None:
    with pytest.raises(ApiError, match="multipart/form-data") as caught:
        picture_edits.read_form(b"{}", [(b"content-type", kind)])
    assert caught.value.status == 415


def test_the_written_form_declares_what_each_picture_is() -> None:
    out = io.BytesIO()
    Image.new("RGB", (4, 4)).save(out, "GIF")
    raw, _ = picture_edits.write_form({"prompt": "x", "image": [data_url(PICTURE), data_url(out.getvalue(), "gif")]})
    assert b"Content-Type: image/png" in raw
    assert b"Content-Type: image/gif" in raw
