"""One outgoing text under inspection: what is cleared, what was repaired, and what a piece of it becomes.

A channel knows characters and repairs, not JSON and not events. Offsets are absolute from the text's beginning.
"""

from __future__ import annotations

from dataclasses import dataclass

from guardrail.decision import Leak
from guardrail.inspectors.protocol import Inspector, Progress
from guardrail.inspectors.structured_leak import redact_within_json
from guardrail.openai_wire.protocol import ChannelKey

END = 1 << 62
"""An offset behind every text."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Edit:
    """`text[start:end]` leaves as `replacement`."""

    start: int
    end: int
    replacement: str


class Channel:
    """Follows one text through its inspector and keeps the edits that repair it. `prefix` leaves before the text."""

    def __init__(self, key: ChannelKey, inspector: Inspector, *, prefix: str = "") -> None:
        self.key = key
        self.total = 0
        self.cleared = 0
        self.released = 0
        self.pending_limit = 0
        self.closed = False
        self.prefix = prefix
        self._edits: list[Edit] = []
        self._inspector = inspector
        self._ended = False
        self._pieces: list[str] = []

    def push(self, text: str, *, final: bool = False) -> Leak | None:
        """Take the next piece; returns a leak that must be repaired before the next push."""
        self.total += len(text)
        if self.closed or (self._ended and not text):
            return None
        self._pieces.append(text)
        self._ended = self._ended or final
        return self._take(self._inspector.push(text, final=final))

    def _take(self, progress: Progress) -> Leak | None:
        self.cleared = max(self.cleared, progress.cleared)
        self.pending_limit = progress.pending_limit_chars
        return progress.leak

    def redact(self, leak: Leak, redaction: str) -> Leak | None:
        """Replace the leak and go on; returns the next leak that is already in sight."""
        span = "".join(self._pieces)[leak.start : leak.end]
        text = redact_within_json(span, redaction) if self.key.structured else redaction
        self._edits.append(Edit(start=leak.start, end=leak.end, replacement=text))
        self.cleared = max(self.cleared, leak.end)
        self._inspector.resume(leak.end)
        return self._take(self._inspector.push("", final=self._ended))

    def close(self, start: int, tail: str) -> None:
        """Nothing from `start` on leaves but `tail`."""
        self._edits = [edit for edit in self._edits if edit.end <= start]
        self._edits.append(Edit(start=start, end=END, replacement=tail))
        self.cleared = END
        self.closed = True

    @property
    def altered(self) -> bool:
        """True if anything of this text leaves other than it came."""
        return bool(self._edits) or bool(self.prefix)

    def render(self, text: str, start: int) -> str:
        """What the piece `text`, which begins at `start`, becomes."""
        end = start + len(text)
        for edit in reversed(self._edits):
            if edit.end <= start or edit.start >= end:
                continue
            low, high = max(edit.start, start) - start, min(edit.end, end) - start
            middle = edit.replacement if edit.start >= start else ""
            text = text[:low] + middle + text[high:]
        return self.prefix + text if start == 0 else text

    def emit(self, text: str, start: int) -> str:
        """Render a piece that leaves now."""
        self.released = start + len(text)
        return self.render(text, start) if self.altered else text

    def whole(self) -> str:
        """The whole text so far, as it leaves or will leave."""
        return self.render("".join(self._pieces), 0)
