"""Where pictures wait for callers who asked for an address instead of the picture itself.

In memory only, for a limited time and up to a limited number of bytes: the oldest go first. Whoever knows a token may
fetch its picture; tokens cannot be guessed and tell nothing. It knows neither callers nor entries nor HTTP. One shelf a
process: a picture can only be fetched from the process that drew it, and is answered 404 by every other replica. Not to be
shared between threads. Times in seconds.
"""

from __future__ import annotations

import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from guardrail.pictures import PictureFormat

PATH = "/v1/images/files/"
"""A picture's path is this and its token."""
LIFETIME_S = 3600.0
"""As long as OpenAI's addresses hold."""
LIMIT_BYTES = 256 * 1024 * 1024
TOKEN_BYTES = 32


@dataclass(frozen=True, kw_only=True, slots=True)
class ShelvedPicture:
    """A picture that waits. `until` is a reading of the shelf's clock."""

    content: bytes
    format: PictureFormat
    until: float

    @property
    def media_type(self) -> str:
        return f"image/{self.format}"


class PictureShelf:
    """See the module. `clock` counts seconds upwards."""

    def __init__(
        self,
        *,
        lifetime_s: float = LIFETIME_S,
        limit_bytes: int = LIMIT_BYTES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._lifetime_s = lifetime_s
        self._limit_bytes = limit_bytes
        self._clock = clock
        self._held: OrderedDict[str, ShelvedPicture] = OrderedDict()
        self.held_bytes = 0

    def __len__(self) -> int:
        self._clear_away()
        return len(self._held)

    def put(self, content: bytes, format: PictureFormat) -> str:
        """Keep a picture; its token. The oldest make room, even a picture too large for the shelf finds place alone."""
        token = secrets.token_urlsafe(TOKEN_BYTES)
        self._held[token] = ShelvedPicture(content=content, format=format, until=self._clock() + self._lifetime_s)
        self.held_bytes += len(content)
        self._clear_away()
        return token

    def find(self, token: str) -> ShelvedPicture | None:
        """The picture of a token; None once its time is over, and for any other word."""
        self._clear_away()
        return self._held.get(token)

    def _clear_away(self) -> None:
        now = self._clock()
        while self._held:
            token, oldest = next(iter(self._held.items()))
            too_many = self.held_bytes > self._limit_bytes and len(self._held) > 1
            if oldest.until > now and not too_many:
                return
            del self._held[token]
            self.held_bytes -= len(oldest.content)
