"""One outgoing text under inspection: what is cleared, what was repaired, and what a piece of it becomes.

A channel knows characters and repairs, not JSON and not events. Offsets are absolute from the text's beginning.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from guardrail.decision import EvidenceKind, Leak
from guardrail.inspectors.protocol import Inspector
from guardrail.inspectors.structured_leak import redact_json_values, redact_within_json, whole_escapes
from guardrail.openai_wire.protocol import ChannelKey

END = 1 << 62
"""An offset behind every text."""

_STEP_CHARS = 1_024
"""A long text is inspected in steps, so that a text with many leaks is not read anew from each of them to its end."""


class Edit(NamedTuple):
    """`text[start:end]` leaves as `replacement`."""

    start: int
    end: int
    replacement: str


class Channel:
    """Follows one text through its inspector and keeps the edits that repair it. `prefix` leaves before the text."""

    __slots__ = (
        "_ahead",
        "_edits",
        "_ended",
        "_inspector",
        "_pieces",
        "awaits_verdict",
        "cleared",
        "closed",
        "key",
        "pending_limit",
        "prefix",
        "released",
        "total",
    )

    def __init__(self, key: ChannelKey, inspector: Inspector, *, prefix: str = "") -> None:
        self.key = key
        self.total = 0
        self.cleared = 0
        self.released = 0
        self.pending_limit = 0
        self.closed = False
        self.awaits_verdict = False
        self.prefix = prefix
        self._edits: list[Edit] = []
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
        progress = self._inspector.push(text, final=self._ended and not self._ahead)
        self.cleared = max(self.cleared, progress.cleared)
        self.pending_limit = progress.pending_limit_chars
        self.awaits_verdict = progress.awaits_verdict
        return progress.leak

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
        start = max(leak.start, self.released)
        text = self._text()
        if self.key.structured:
            while start < leak.end and whole_escapes(text[:start]) < start:
                start += 1  # an escape whose beginning has left is told to its end
            redact = redact_json_values if leak.kind is EvidenceKind.CLAIM else redact_within_json
            redaction = redact(text[:start], text[start : leak.end], redaction)
        self._edits.append(Edit(start, leak.end, redaction))
        self.cleared = max(self.cleared, leak.end)
        self._inspector.resume(leak.end)
        following = self._inspect_piece("")
        return self._inspect() if following is None and self._ahead else following

    def close(self, start: int, tail: str) -> None:
        """Nothing from `start` on leaves but `tail`."""
        self._edits = [edit for edit in self._edits if edit.end <= start]
        self._edits.append(Edit(start, END, tail))
        self.cleared = END
        self.closed = True
        self.awaits_verdict = False

    @property
    def altered(self) -> bool:
        """True if anything of this text leaves other than it came."""
        return bool(self._edits) or bool(self.prefix)

    @property
    def waits(self) -> bool:
        """True if cleared text has not left yet."""
        return not self.closed and self.cleared > self.released

    def render(self, text: str, start: int) -> str:
        """What the piece `text`, which begins at `start`, becomes."""
        rendered = _edited(text, start, self._edits)
        return self.prefix + rendered if start == 0 else rendered

    def emit(self, text: str, start: int) -> str:
        """Render a piece that leaves now."""
        self.released = start + len(text)
        return self.render(text, start) if self._edits or self.prefix else text

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
