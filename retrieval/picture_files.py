"""Opens pictures that strangers sent: bytes or data URLs within limits -> RGB pictures, or a clear refusal.

The content decides what a picture is, never its name or declared type. Only four formats are tried, so that rarely used
parsers never see hostile bytes; size in bytes and in pixels is checked before anything is unpacked. It does not know
entries or requests; a refusal never holds content. Limits in bytes and pixels. Pillow is imported on first use.
"""

from __future__ import annotations

import base64
import binascii
import io
import re
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from retrieval.errors import RetrievalError

if TYPE_CHECKING:
    from PIL.Image import Image

FORMATS: Final = ("PNG", "JPEG", "WEBP", "GIF")
_DATA_URL: Final = re.compile(r"data:image/(?:png|jpeg|webp|gif);base64,", re.IGNORECASE)
_HEAD_CHARS: Final = 64

# What Pillow's parsers raise on broken bytes: they check little beyond what they read.
_BROKEN: Final = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    EOFError,
    OverflowError,
    MemoryError,
    RuntimeWarning,
    struct.error,
    zlib.error,
)


class PictureRefused(RetrievalError):
    """A picture that cannot or must not be opened; the message says why and what to send instead."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PictureLimits:
    """How large a picture may be: as a file, unpacked, and along one side; and how many times longer one side may be than
    the other. Embedders scale the short side up to their own, and a long strip with it to gigabytes."""

    size_bytes: int = 16 * 1024 * 1024
    pixels: int = 25_000_000
    side: int = 16_384
    aspect: int = 32


LIMITS: Final = PictureLimits()


def content_of(data_url: str, limits: PictureLimits = LIMITS) -> bytes:
    """The bytes of a data URL; raises `PictureRefused`. What they are is for `open_picture` to say."""
    found = _DATA_URL.match(data_url[:_HEAD_CHARS])
    if found is None:
        raise PictureRefused("must be a data URL such as data:image/png;base64,...")
    if (len(data_url) - found.end()) // 4 * 3 > limits.size_bytes + 2:
        raise _too_many_bytes(limits)
    try:
        return base64.b64decode(data_url[found.end() :], validate=True)
    except (binascii.Error, ValueError):
        raise PictureRefused("is not valid base64.") from None


def open_picture(content: bytes, limits: PictureLimits = LIMITS) -> Image:
    """The first frame as an upright RGB picture, transparent parts on white; raises `PictureRefused`."""
    return _opened(content, limits, _plain)


def open_transparency(content: bytes, limits: PictureLimits = LIMITS) -> Image:
    """How transparent the first frame is, one channel, 255 = wholly; raises `PictureRefused`."""
    return _opened(content, limits, _transparency)


def _opened(content: bytes, limits: PictureLimits, made: Callable[[Image], Image]) -> Image:
    from PIL import Image, UnidentifiedImageError

    if not content:
        raise PictureRefused("is empty; send a PNG, JPEG, WebP or GIF file.")
    if len(content) > limits.size_bytes:
        raise _too_many_bytes(limits)
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as opened:
            _check_size(opened.size, limits)
            opened.load()
            return made(opened)
    except UnidentifiedImageError:
        raise PictureRefused("is not a PNG, JPEG, WebP or GIF picture; convert it to one of these.") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise _too_many_pixels(limits) from None
    except _BROKEN:
        raise PictureRefused("is damaged or cut short; send the whole file.") from None


def _check_size(size: tuple[int, int], limits: PictureLimits) -> None:
    width, height = size
    if width < 1 or height < 1:
        raise PictureRefused("has no pixels; send a picture of at least 1x1.")
    if max(size) > limits.side or width * height > limits.pixels:
        raise _too_many_pixels(limits)
    if max(size) > limits.aspect * min(size):
        raise PictureRefused(
            f"has a side more than {limits.aspect} times as long as the other; cut it to a squarer shape."
        )


def _plain(opened: Image) -> Image:
    """A copy that no longer hangs on the file."""
    from PIL import Image, ImageOps

    upright = ImageOps.exif_transpose(opened)
    if upright.mode.startswith("I"):  # 16 bits a pixel: `convert` would cut off all above 255
        upright = upright.convert("I").point(lambda value: value * (1 / 256)).convert("L")
    if not upright.has_transparency_data:
        return upright.convert("RGB")
    layers = upright.convert("RGBA")
    ground = Image.new("RGBA", layers.size, (255, 255, 255, 255))
    return Image.alpha_composite(ground, layers).convert("RGB")


def _transparency(opened: Image) -> Image:
    from PIL import ImageChops, ImageOps

    upright = ImageOps.exif_transpose(opened)
    if not upright.has_transparency_data:
        raise PictureRefused("has no transparent part; make transparent what shall be drawn anew.")
    return ImageChops.invert(upright.convert("RGBA").getchannel("A"))


def _too_many_bytes(limits: PictureLimits) -> PictureRefused:
    return PictureRefused(f"is larger than {limits.size_bytes} bytes; send a smaller one.")


def _too_many_pixels(limits: PictureLimits) -> PictureRefused:
    return PictureRefused(f"has more than {limits.pixels} pixels or {limits.side} along a side; send a smaller one.")
