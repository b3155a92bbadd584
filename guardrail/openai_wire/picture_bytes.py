"""Encoded pictures without the words in them: many servers write the prompt, as they were sent it, into the file.

Taken out are the text and Exif chunks of PNG, the comments and application segments of JPEG, Exif and XMP of WebP; pixels,
colour profiles and signed provenance (C2PA, which holds no prompt) stay bit by bit. A file that breaks off stays so. Pure;
it decodes no pixels.
Sources: PNG (W3C, 3rd edition) 5.3, JPEG (ITU T.81) B.1.1.3, WebP (RFC 9649) 2.
"""

from __future__ import annotations

from typing import Final

_PNG: Final = b"\x89PNG\r\n\x1a\n"
_PNG_WORDS: Final = frozenset({b"tEXt", b"zTXt", b"iTXt", b"eXIf"})
_APP0, _APP2, _APP11, _APP14, _COMMENT, _SCAN = 0xE0, 0xE2, 0xEB, 0xEE, 0xFE, 0xDA
_BARE: Final = frozenset({0x01, *range(0xD0, 0xD9)})
"""JPEG markers without a length."""
_WEBP_WORDS: Final = frozenset({b"EXIF", b"XMP "})
_WEBP_FLAGS: Final = 0x0C
"""Of the VP8X chunk's first byte: that there is Exif, and XMP."""


def without_words(content: bytes) -> bytes:
    """The picture without words; the same object where there are none, or where it is of another format."""
    if content.startswith(_PNG):
        clean = _png(content)
    elif content.startswith(b"\xff\xd8\xff"):
        clean = _jpeg(content)
    elif content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        clean = _webp(content)
    else:
        return content
    return content if clean == content else clean


def _png(content: bytes) -> bytes:
    kept, place = [_PNG], len(_PNG)
    while place + 8 <= len(content):
        name, end = content[place + 4 : place + 8], place + 12 + int.from_bytes(content[place : place + 4])
        if name not in _PNG_WORDS:
            kept.append(content[place:end])
        if name == b"IEND":
            break  # what stands behind it is no picture
        place = end
    return b"".join(kept)


def _jpeg(content: bytes) -> bytes:
    kept, place = [content[:2]], 2
    while place + 4 <= len(content) and content[place] == 0xFF:
        marker = content[place + 1]
        if marker == _SCAN:
            break
        bare = 1 if marker == 0xFF else 2 if marker in _BARE else 0
        end = place + (bare or 2 + int.from_bytes(content[place + 2 : place + 4]))
        if bare or not _holds_words(marker, content[place + 4 : end]):
            kept.append(content[place:end])
        place = end
    return b"".join([*kept, content[place:]])


def _holds_words(marker: int, payload: bytes) -> bool:
    if marker == _COMMENT:
        return True
    if marker == _APP2:
        return not payload.startswith(b"ICC_PROFILE\0")
    return _APP0 < marker <= 0xEF and marker not in (_APP11, _APP14)


def _webp(content: bytes) -> bytes:
    kept, place = list[bytes](), 12
    while place + 8 <= len(content):
        name, size = content[place : place + 4], int.from_bytes(content[place + 4 : place + 8], "little")
        chunk = content[place : place + 8 + size + size % 2]
        if name == b"VP8X" and size:
            chunk = chunk[:8] + bytes([chunk[8] & ~_WEBP_FLAGS]) + chunk[9:] if len(chunk) > 8 else chunk
        if name not in _WEBP_WORDS:
            kept.append(chunk)
        place += 8 + size + size % 2
    body = b"WEBP" + b"".join(kept)
    return b"RIFF" + len(body).to_bytes(4, "little") + body
