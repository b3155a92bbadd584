"""Stop strings of a request whose names gave way: the model gets them under the other names, the answer is held to them.

    stop: "King"   ->   (to the model) stop: "Leeper"       "I like Chastity " -> (to the caller) "I like Stephen "

Renamed are whole names and words that can only be the name; other stop strings go as they are. A stop string that a text
holds only once its names are turned back ("Kin", "n K", or the caller's "Stephen" in "Stephen Hawking") is found by
`StoppedPutBack`, and nothing from there on leaves. As a server does it, the stop string that is complete first counts, and
it stays out of the answer, unless `include_stop_str_in_output` is set. It knows the fields of a request that speak of
stopping, and neither events nor channels. Not held to: `stop_token_ids`, and stop strings in thoughts and tool calls.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from guardrail.decision import Edit, Swap
from guardrail.openai_wire.protocol import ChannelKey
from guardrail.treatments.names.name_words import in_style_of
from guardrail.treatments.names.put_back import PutBack
from guardrail.treatments.names.sought_words import by_sign

_END = 1 << 62
"""An offset behind every text."""

_MOST_STOPS = 4
"""OpenAI takes no more; a stop string for which there is no room is held to in the answer alone."""


def stop_strings(body: Mapping[str, Any]) -> tuple[str, ...]:
    """The caller's stop strings."""
    given = body.get("stop")
    texts = given if isinstance(given, list) else [given]
    return tuple(text for text in texts if isinstance(text, str) and text)


def renamed_stops(body: Mapping[str, Any], swaps: Sequence[Swap]) -> Mapping[str, Any]:
    """The request with its stop strings as the model would write them; the same object where that changes nothing."""
    given = stop_strings(body)
    by_stop = [_renamed(stop, swaps) for stop in given]
    if all(made == (stop,) for stop, made in zip(given, by_stop, strict=True)):
        return body
    first = [made[0] for made in by_stop]
    more = [other for made in by_stop for other in made[1:]]
    found = list(dict.fromkeys((*first, *more[: max(0, _MOST_STOPS - len(first))])))
    return {**body, "stop": found[0] if isinstance(body["stop"], str) and len(found) == 1 else found}


def told_stops(value: Mapping[str, Any], original: Mapping[str, Any], swaps: Sequence[Swap]) -> bool:
    """Put the caller's own stop string where an answer or event tells which one was met, in place. True if changed."""
    if not swaps:
        return False
    own = {made: stop for stop in stop_strings(original) for made in _renamed(stop, swaps)}
    changed = False
    for choice in value.get("choices") or ():
        met = choice.get("stop_reason")
        if isinstance(met, str) and own.get(met, met) != met:
            choice["stop_reason"] = own[met]
            changed = True
    return changed


def end_by_stop(answer: Mapping[str, Any], number: int) -> None:
    """Let a choice of a whole answer, which was cut at a stop string, say that it ended so (in place)."""
    for position, choice in enumerate(answer.get("choices") or ()):
        if choice.get("index", position) == number:
            choice["finish_reason"] = "stop"


def put_back_until_stop(
    key: ChannelKey, swaps: Sequence[Swap], kept: Collection[str], original: Mapping[str, Any]
) -> PutBack:
    """What turns back the names in one text of an answer to the caller's request `original`.

    With `min_tokens` a server passes over the first stop strings, and only it can count tokens: it is left to it.
    """
    stops = stop_strings(original)
    if not stops or original.get("min_tokens") or not (key.is_answer or key.is_chosen_token):
        return PutBack(swaps, kept)
    return StoppedPutBack(swaps, kept, stops=stops, says_stop=original.get("include_stop_str_in_output") is True)


class _Cell(NamedTuple):
    """One character as it leaves: where it came from, and what of the same name stands before it."""

    char: str
    start: int
    before: str = ""


class StoppedPutBack(PutBack):
    """Turns names back until the text as it leaves holds a stop string; `cut` is the edit that leaves out the rest.

    What may still become a stop string is not settled. The result is the same for any cutting of the text.
    """

    def __init__(
        self, swaps: Sequence[Swap], kept: Collection[str] = (), *, stops: Sequence[str], says_stop: bool = False
    ) -> None:
        super().__init__(swaps, kept)
        self._stops = stops
        self._says_stop = says_stop
        self._ahead = ""  # text that is not turned back yet
        self._cells: list[_Cell] = []  # what may still begin a stop string
        self._waiting: list[Edit] = []
        self._let_go = 0

    @property
    def settled(self) -> int:
        return self._let_go

    def follow(self, text: str, *, final: bool = False) -> list[Edit]:
        if self.cut is not None:
            return []
        start = self.turned
        edits = super().follow(text, final=final)
        self._ahead += text
        done, self._ahead = self._ahead[: self.turned - start], self._ahead[self.turned - start :]
        self._cells += _cells(done, start, edits)
        self._waiting += edits
        self.cut = self._first_stop()
        if self.cut is None:
            self._cells = self._cells[len(self._cells) - self._may_begin() :]
            self._let_go = self._cells[0].start if self._cells and not final else self.turned
            return self._gone(self._let_go)
        self._let_go = _END
        return [*self._gone(self.cut.start), self.cut]

    def _gone(self, until: int) -> list[Edit]:
        """The edits before a place; they wait no longer."""
        gone = [edit for edit in self._waiting if edit.start < until]
        self._waiting = self._waiting[len(gone) :]
        return gone

    def _first_stop(self) -> Edit | None:
        said = "".join(cell.char for cell in self._cells)
        found = [(at + len(stop), at) for stop in self._stops if (at := said.find(stop)) >= 0]
        if not found:
            return None
        end, start = min(found)
        place = end if self._says_stop else start
        cell = self._cells[place] if place < len(self._cells) else _Cell("", self.turned)
        if cell.start < self._let_go:  # it had to leave before the rest of the stop string came
            return Edit(self._let_go, _END, "")
        return Edit(cell.start, _END, cell.before)

    def _may_begin(self) -> int:
        """How many of the last characters may begin a stop string; those of a name that was turned back go together."""
        longest = max(map(len, self._stops)) - 1
        said = "".join(cell.char for cell in self._cells[-longest:]) if longest else ""
        for size in range(len(said), 0, -1):
            if any(len(stop) > size and stop.startswith(said[-size:]) for stop in self._stops):
                return size + len(self._cells[-size].before)
        return 0


def _cells(text: str, start: int, edits: Sequence[Edit]) -> list[_Cell]:
    """A text from `start` on as it leaves under the edits."""
    cells: list[_Cell] = []
    at = start
    for edit in edits:
        cells += [_Cell(text[place - start], place) for place in range(at, edit.start)]
        said = edit.replacement
        cells += [_Cell(char, edit.start, said[:number]) for number, char in enumerate(said)]
        at = edit.end
    return cells + [_Cell(text[place - start], place) for place in range(at, start + len(text))]


def _renamed(stop: str, swaps: Sequence[Swap]) -> tuple[str, ...]:
    """A stop string in the ways in which the model may write it; several where two stand-ins stand for one word."""
    made = []
    for first in range(len(swaps)):
        text = stop
        for swap in (*swaps[first:], *swaps[:first]):
            text = _under(text, swap)
        made.append(text)
    return tuple(dict.fromkeys(made)) or (stop,)


def _under(text: str, swap: Swap) -> str:
    pairs = {part.written.casefold(): part.invented for part in swap.parts if part.alone}
    pairs[swap.written.casefold()] = swap.invented
    names = "|".join(_whole(name) for name in sorted(pairs, key=len, reverse=True))
    return re.sub(
        names,
        lambda found: in_style_of(pairs.get(found.group().casefold(), found.group()), found.group()),
        text,
        flags=re.IGNORECASE,
    )


def _whole(name: str) -> str:
    """A pattern for a name that is no part of a longer word, where words are told by what stands between them."""
    return re.escape(name) if by_sign(name) else rf"(?<!\w){re.escape(name)}(?!\w)"
