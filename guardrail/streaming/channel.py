"""One outgoing text under inspection: what is cleared, what was repaired, and what a piece of it becomes.

A channel knows characters and repairs, not JSON and not events. Offsets are absolute from the text's beginning.
"""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from guardrail.decision import Edit, Leak
from guardrail.inspectors.protocol import Inspector
from guardrail.inspectors.structured_leak import redacted_json, whole_escapes
from guardrail.openai_wire.protocol import ChannelKey
from guardrail.openai_wire.token_rows import PART_OF_A_LETTER
from guardrail.treatments.names.put_back import PutBack

END = 1 << 62
"""An offset behind every text."""

_RETURN_CHARS = 64
"""A stand-in with its endings is hardly longer than this."""

_STEP_CHARS = 1_024
"""A long text is inspected in steps, so that a text with many leaks is not read anew from each of them to its end."""


class Channel:
    """Follows one text through its inspector and keeps the edits that repair it. `prefix` leaves before the text.

    Inspectors see the text as it came; with `put_back`, stand-ins in it leave as the names that they stand for. In tokens
    that are parts of letters they are not seen: `cuts_letters` tells that there were such.
    """

    __slots__ = (
        "_ahead",
        "_edits",
        "_ended",
        "_inspector",
        "_pieces",
        "_put_back",
        "_returns",
        "awaits_verdict",
        "cleared",
        "closed",
        "cuts_letters",
        "key",
        "pending_limit",
        "prefix",
        "released",
        "total",
    )

    def __init__(
        self, key: ChannelKey, inspector: Inspector, *, prefix: str = "", put_back: PutBack | None = None
    ) -> None:
        self.key = key
        self.total = 0
        self.cleared = 0
        self.released = 0
        self.pending_limit = 0
        self.closed = False
        self.cuts_letters = False
        self.awaits_verdict = False
        self.prefix = prefix
        self._edits: list[Edit] = []
        self._returns: list[Edit] = []
        self._put_back = put_back
        self._inspector = inspector
        self._ended = False
        self._pieces: list[str] = []
        self._ahead = ""

    def push(self, text: str, *, final: bool = False) -> Leak | None:
        """Take the next piece; returns a leak that must be repaired before the next push.

        `final`: nothing may wait any more. Text can follow all the same; what completes a phrase then is still found.
        """
        self.total += len(text)
        if self.closed or (self._ended and not text):
            return None
        self._ended = final
        if text:
            self._pieces.append(text)
        self._ahead += text
        return self._inspect()

    def _inspect(self) -> Leak | None:
        while True:
            text, self._ahead = self._ahead[:_STEP_CHARS], self._ahead[_STEP_CHARS:]
            leak = self._inspect_piece(text)
            if leak is not None or not self._ahead:
                return leak

    def _inspect_piece(self, text: str) -> Leak | None:
        final = self._ended and not self._ahead
        progress = self._inspector.push(text, final=final)
        leak = progress.leak
        cleared, self.pending_limit = progress.cleared, progress.pending_limit_chars
        if self._put_back is not None:
            self._returns += map(self._escaped, self._put_back.follow(text, final=final))
            cleared = min(cleared, self._put_back.settled)
            self.pending_limit = max(self.pending_limit, _RETURN_CHARS)
            self.cuts_letters |= self.key.is_chosen_token and PART_OF_A_LETTER in text
            if leak is not None and self._put_back.cut is not None and leak.start >= self._put_back.cut.start:
                self._inspector.resume(leak.end)  # behind the caller's stop string: it does not leave
                return self._inspect_piece("")
        self.cleared = max(self.cleared, cleared)
        self.awaits_verdict = progress.awaits_verdict
        return leak

    def _escaped(self, edit: Edit) -> Edit:
        """What the caller wrote, as it stands in a text of this kind."""
        if not self.key.structured:
            return edit
        return edit._replace(replacement=orjson.dumps(edit.replacement)[1:-1].decode())

    def reconsider(self) -> Leak | None:
        """Look again at what waits, now that a jury has given its verdicts."""
        return None if self.closed else self._inspect()

    def hurry(self) -> Leak | None:
        """Clear what waits although it may still become a phrase: other texts have waited behind it for too long. If
        it does become one, its rest is cut. JSON is never cut inside an escape."""
        if self.key.structured and whole_escapes(text := self._text()) < len(text):
            return None
        return self.push("", final=True)

    def redact(self, leak: Leak, redaction: str) -> Leak | None:
        """Replace the leak and go on; returns the next leak that is already in sight."""
        start, text = max(leak.start, self.released), self._text()
        if self.key.structured:
            while start < leak.end and whole_escapes(text[:start]) < start:
                start += 1  # an escape whose beginning has left is told to its end
            redaction = redacted_json(leak, text[:start], text[start : leak.end], redaction)
        cut = [one for one in self._returns if one.start < leak.end and one.end > start]
        self._returns = [one for one in self._returns if one not in cut]
        start, end = min([start, *(one.start for one in cut)]), max([leak.end, *(one.end for one in cut)])
        self._edits.append(Edit(start, end, redaction))
        self.cleared = max(self.cleared, leak.end)
        self._inspector.resume(leak.end)
        following = self._inspect_piece("")
        return self._inspect() if following is None and self._ahead else following

    def close(self, start: int, tail: str) -> None:
        """Nothing from `start` on leaves but `tail`."""
        self._edits = [edit for edit in self._edits if edit.end <= start]
        self._returns = [one for one in self._returns if one.end <= start]
        self._edits.append(Edit(start, END, tail))
        self.cleared = END
        self.closed = True
        self.awaits_verdict = False

    @property
    def stop(self) -> Edit | None:
        """Behind which nothing leaves, as the caller's stop string has come; None while it has not."""
        return self._put_back.cut if self._put_back is not None and not self.closed else None

    @property
    def altered(self) -> bool:
        """True if anything of this text leaves other than it came."""
        return bool(self._edits) or bool(self._returns) or bool(self.prefix)

    def is_repaired(self, start: int, end: int) -> bool:
        """True if something between these places is taken out or replaced for a leak."""
        return any(edit.start < end and edit.end > start for edit in self._edits)

    @property
    def is_blank(self) -> bool:
        """True while nothing but white space has come."""
        return self.total < _STEP_CHARS and not self._text().strip()

    @property
    def waits(self) -> bool:
        """True if cleared text has not left yet."""
        return not self.closed and self.cleared > self.released

    def render(self, text: str, start: int) -> str:
        """What the piece `text`, which begins at `start`, becomes."""
        edits = sorted([*self._edits, *self._returns]) if self._returns else self._edits
        rendered = _edited(text, start, edits)
        return self.prefix + rendered if start == 0 else rendered

    def as_written(self, text: str, start: int) -> str:
        """The piece `text`, which begins at `start`, with names turned back but nothing repaired."""
        return _edited(text, start, self._returns)

    def emit(self, text: str, start: int) -> str:
        """Render a piece that leaves now."""
        self.released = start + len(text)
        return self.render(text, start) if self.altered else text

    def whole(self) -> str:
        """The whole text so far, as it leaves or will leave."""
        return self.render(self._text(), 0)

    def before(self, position: int) -> str:
        """The text before `position`, as it came."""
        return self._text()[:position]

    def _text(self) -> str:
        text = "".join(self._pieces)
        self._pieces = [text]
        return text


def _edited(text: str, start: int, edits: Sequence[Edit]) -> str:
    out: list[str] = []
    at, end = start, start + len(text)
    for edit in edits:
        if edit.end <= start or edit.start >= end:
            continue
        out.append(text[at - start : max(edit.start, start) - start])
        if edit.start >= start:
            out.append(edit.replacement)
        at = min(edit.end, end)
    out.append(text[at - start :])
    return "".join(out)
