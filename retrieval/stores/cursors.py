"""Opaque page cursors: where a listing goes on. The number inside is no promise to clients."""

from __future__ import annotations

import base64
import binascii

from retrieval.errors import InvalidEntry

PAGE_LIMIT = 1_000
"""Most rows of one page."""


def encode_cursor(listing: str, position: int) -> str:
    """The cursor behind the row at `position` of a listing ("entries", "audit")."""
    return base64.urlsafe_b64encode(f"{listing}:{position}".encode()).decode().rstrip("=")


def decode_cursor(listing: str, cursor: str | None) -> int:
    """The position, 0 without a cursor; raises `InvalidEntry` for anything that `encode_cursor` did not make."""
    if cursor is None:
        return 0
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        name, _, position = base64.b64decode(padded, altchars=b"-_", validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        name, position = "", ""
    if name != listing or not position.isascii() or not position.isdecimal() or len(position) > 18:
        raise InvalidEntry(
            "The cursor is not one of this listing; send the last page's next_cursor unchanged, or none.",
            param="cursor",
        )
    return int(position)


def check_limit(limit: int) -> int:
    """`limit` if it is 1 to `PAGE_LIMIT`; raises `InvalidEntry` otherwise."""
    if not 1 <= limit <= PAGE_LIMIT:
        raise InvalidEntry(f"limit is {limit}; it must be 1 to {PAGE_LIMIT}.", param="limit")
    return limit
