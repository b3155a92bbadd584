"""What the proxy wrote down of each request: was it treated, what leaked, was it begun anew, who wrote the answer.

Read from the audit log by the id that the bench gave the request, so that it is known of every request by itself also
where many are under way. An answer is of one of three authors:

    model     as the model wrote it, from its beginning to its end (a name that stood in is turned back)
    both      the model's, but sentences were cut or words taken out, or the natural answer stands before it
    expunge   fixed words: the natural answer, an open refusal, a substitute

The log does not say which words left; the fixed ones are known by their text, after a leak or in place of everything else.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from benchmarks.processes import ServerFailed
from guardrail.treatments.words.not_knowing_words import WORDS

Author = Literal["model", "both", "expunge"]
Page = Callable[[str], Mapping[str, Any]]
"""A cursor ("" at first) -> a page of `/v1/audit`."""

NATURAL: Final = frozenset(one for own in WORDS.values() for one in (*own.person, *own.work, *own.other))
_SPOKEN: Final = frozenset({"refusal", "substitute"})
_BEGUN_ANEW: Final = "rewrite"
_PAUSE_S: Final = 0.3
_LIMIT_S: Final = 60.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Trace:
    """Of one request. `mended`: words were taken out of what left; `begun_anew`: an answer leaked before any had left."""

    treatment: str = ""
    is_mixed: bool = False
    leaks: int = 0
    begun_anew: bool = False
    mended: bool = False

    @property
    def treated(self) -> bool:
        """Whether anything was done about it."""
        return bool(self.treatment) or self.leaks > 0

    def author(self, text: str | None) -> Author | None:
        """Who wrote this answer to it; None where nothing was treated or answered."""
        if text is None or not self.treated:
            return None
        if self.treatment in _SPOKEN:
            return "expunge"
        if text in NATURAL and (self.leaks or self.is_mixed):
            return "expunge"
        if self.mended or (self.is_mixed and text.split("\n\n", 1)[0] in NATURAL):
            return "both"
        return "model"


class Traces:
    """One proxy's audit log, read on from where it was left."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._cursor = ""
        self._before: dict[str, Trace] = {}

    def of(self, requests: Collection[str]) -> dict[str, Trace]:
        """By request; waits until a decision about each is written, and then until nothing more comes. Raises
        `ServerFailed`."""
        deadline, last = time.monotonic() + _LIMIT_S, -1
        while True:
            found, seen = self._read()
            if found.keys() >= set(requests) and seen == last:
                return {one: found[one] for one in requests}
            if time.monotonic() > deadline:
                raise ServerFailed(f"The audit log lacks decisions after {_LIMIT_S:.0f} s; the same command goes on.")
            last = seen
            time.sleep(_PAUSE_S)

    def _read(self) -> tuple[dict[str, Trace], int]:
        """All traces, and how many records there are on the pages read now."""
        found, seen = dict(self._before), 0
        while True:
            page = self._page(self._cursor)
            seen += len(page["data"])
            for record in page["data"]:
                _add(found, record)
            if not page["has_more"]:
                return found, seen
            self._cursor, self._before = str(page["next_cursor"]), dict(found)


def _add(found: dict[str, Trace], record: Mapping[str, Any]) -> None:
    data = record["data"]
    if record["kind"] == "decision":
        acted = data["action"] in ("treat", "refuse")
        found[record["subject"]] = Trace(
            treatment=str(data["treatment"] or "") if acted else "", is_mixed=data["shape"] == "mixed"
        )
    elif record["kind"] == "leak":
        before = found.get(data["request"], Trace())
        anew = data["on_leak"] == _BEGUN_ANEW
        found[data["request"]] = Trace(
            treatment=before.treatment,
            is_mixed=before.is_mixed,
            leaks=before.leaks + 1,
            begun_anew=before.begun_anew or anew,
            mended=before.mended or not anew,
        )
