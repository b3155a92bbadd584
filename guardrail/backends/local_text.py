"""Tokens -> text as it can be shown, one token at a time: no broken UTF-8, nothing past a stop string.

It knows a tokenizer's `decode` and the stop strings, nothing of models or sampling. Text that may still become a stop
string, or whose last character is not complete, is kept back until it is clear.
"""

from __future__ import annotations

from typing import Any

BROKEN = "\ufffd"


class TextBuilder:
    """The text of one answer."""

    def __init__(self, tokenizer: Any, stop: tuple[str, ...]) -> None:
        self._tokenizer = tokenizer
        self._stop = stop
        self._ids: list[int] = []
        self._context = 0
        self._shown = 0
        self._held = ""
        self.stopped = False

    def _decode(self, ids: list[int]) -> str:
        text: str = self._tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return text

    def _new_text(self, *, last: bool) -> str:
        # Tokens are decoded with those before them: a tokenizer may join spaces and bytes across token borders.
        before = self._decode(self._ids[self._context : self._shown])
        now = self._decode(self._ids[self._context :])
        if len(now) <= len(before) or (now.endswith(BROKEN) and not last):
            return ""
        self._context, self._shown = self._shown, len(self._ids)
        return now[len(before) :]

    def push(self, token: int) -> str:
        """Add a token; the text that may be shown now (often empty). Sets `stopped` when a stop string came."""
        self._ids.append(token)
        return self._release(self._new_text(last=False), last=False)

    def end(self) -> str:
        """What was still kept back."""
        return "" if self.stopped else self._release(self._new_text(last=True), last=True)

    def _release(self, text: str, *, last: bool) -> str:
        self._held += text
        cuts = [place for place in (self._held.find(stop) for stop in self._stop) if place >= 0]
        if cuts:
            self.stopped = True
            shown, self._held = self._held[: min(cuts)], ""
            return shown
        keep = 0 if last else self._possible_stop()
        shown = self._held[: len(self._held) - keep]
        self._held = self._held[len(self._held) - keep :]
        return shown

    def _possible_stop(self) -> int:
        """Length of the longest end of the held text that begins a stop string."""
        for length in range(min(len(self._held), max((len(stop) for stop in self._stop), default=1) - 1), 0, -1):
            if any(stop.startswith(self._held[-length:]) for stop in self._stop):
                return length
        return 0
