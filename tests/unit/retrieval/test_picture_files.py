"""Pictures of strangers: what is opened, and what is refused with a clear word before it does harm."""

from __future__ import annotations

import base64
import struct
import zlib

import pytest
from PIL import Image

from retrieval.picture_files import FORMATS, PictureLimits, PictureRefused, content_of, open_picture
from tests.fakes.small_pictures import data_url, encoded, painted, painted_file


def png_that_claims(width: int, height: int) -> bytes:
    """A tiny file whose header speaks of a huge picture."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = zlib.compress(b"\0" * 1000)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


@pytest.mark.parametrize("kind", FORMATS)
def test_every_common_format_is_opened_as_rgb(kind: str) -> None:
    opened = open_picture(encoded(painted("red", 1), kind))
    assert (opened.mode, opened.size) == ("RGB", (16, 16))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "I;16"])
def test_every_kind_of_pixel_becomes_rgb(mode: str) -> None:
    assert open_picture(encoded(Image.new(mode, (4, 4)))).mode == "RGB"


def test_sixteen_bits_keep_their_brightness() -> None:
    assert open_picture(encoded(Image.new("I;16", (2, 2), 0x8000))).getpixel((0, 0)) == (128, 128, 128)


def test_what_is_transparent_is_white() -> None:
    assert open_picture(encoded(Image.new("RGBA", (2, 2), (255, 0, 0, 0)))).getpixel((0, 0)) == (255, 255, 255)


def test_a_picture_is_turned_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side
    assert open_picture(encoded(Image.new("RGB", (8, 4)), "JPEG", exif=exif)).size == (4, 8)


def test_of_an_animation_the_first_frame_is_seen() -> None:
    first, second = Image.new("RGB", (4, 4), "red"), Image.new("RGB", (4, 4), "blue")
    moving = encoded(first, "GIF", save_all=True, append_images=[second])
    assert open_picture(moving).getpixel((1, 1)) == (255, 0, 0)


def test_the_content_decides_not_the_declared_type() -> None:
    assert open_picture(content_of(data_url(encoded(painted("red", 1), "JPEG"), "png"))).size == (16, 16)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "is not a PNG, JPEG, WebP or GIF"),
        (encoded(Image.new("RGB", (4, 4)), "BMP"), "is not a PNG, JPEG, WebP or GIF"),
        (encoded(Image.new("RGB", (4, 4)), "TIFF"), "is not a PNG, JPEG, WebP or GIF"),
        (painted_file("red", 1)[:60], "damaged or cut short"),
        (encoded(painted("red", 1).resize((64, 64)), "JPEG")[:400], "damaged or cut short"),
        (png_that_claims(5_000, 5_001), "more than 25000000 pixels"),
        (png_that_claims(12_000, 12_000), "more than 25000000 pixels"),
        (png_that_claims(60_000, 60_000), "more than 25000000 pixels"),
        (png_that_claims(20_000, 1), "16384 along a side"),
        (encoded(Image.new("L", (1, 2_048))), "more than 32 times as long as the other"),
        (png_that_claims(16_384, 1), "more than 32 times as long as the other"),
        (png_that_claims(0, 4), "damaged|not a PNG|no pixels"),
    ],
    ids=lambda value: value if isinstance(value, str) else f"{len(value)} bytes",
)
def test_a_bad_file_is_refused_with_its_reason(content: bytes, says: str) -> None:
    with pytest.raises(PictureRefused, match=says):
        open_picture(content)


def test_a_long_text_inside_a_png_is_not_unpacked() -> None:
    plain = painted_file("red", 1)
    bomb = b"Comment\0\0" + zlib.compress(b"a" * 200_000_000)
    chunk = struct.pack(">I", len(bomb)) + b"zTXt" + bomb + struct.pack(">I", zlib.crc32(b"zTXt" + bomb))
    with pytest.raises(PictureRefused, match="damaged"):
        open_picture(plain[:33] + chunk + plain[33:])


def test_no_damage_raises_anything_else() -> None:
    for kind in FORMATS:
        whole = encoded(painted("blue", 2), kind)
        for place in range(0, len(whole), 3):
            broken = whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :]
            try:
                open_picture(broken)
            except PictureRefused:
                continue


def test_a_file_that_is_too_large_is_not_even_opened() -> None:
    limits = PictureLimits(size_bytes=10)
    with pytest.raises(PictureRefused, match="larger than 10 bytes"):
        open_picture(painted_file("red", 1), limits)
    with pytest.raises(PictureRefused, match="larger than 10 bytes"):
        content_of(data_url(b"x" * 100), limits)
    assert content_of(data_url(b"x" * 10), limits) == b"x" * 10


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("/etc/passwd", "must be a data URL"),
        ("https://example.org/a.png", "must be a data URL"),
        ("data:text/html;base64,PGI+", "must be a data URL"),
        ("data:image/svg+xml;base64,PGI+", "must be a data URL"),
        ("data:image/png;base64,***", "not valid base64"),
    ],
)
def test_what_is_no_picture_url_is_refused(url: str, says: str) -> None:
    with pytest.raises(PictureRefused, match=says):
        content_of(url)


def test_a_refusal_holds_nothing_of_the_picture() -> None:
    secret = b"the secret of the house"
    with pytest.raises(PictureRefused) as refused:
        open_picture(secret)
    assert "secret" not in str(refused.value)
    assert base64.b64encode(secret).decode() not in str(refused.value)
