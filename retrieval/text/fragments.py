"""Words that were glued or cut: CamelCase, letters apart, strings in pieces, variables to be put together.

It does not know names. Each reader gives None where there is nothing of its kind; all are linear in the text but for the
orders of a handful of strings.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations

from retrieval.text.reading import Reading, Writer, word_bounds
from retrieval.text.views import TextView

_CAMEL = re.compile(r"(?<=[^\W\d_A-Z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|(?<=[^\W\d_])(?=\d)|(?<=\d)(?=[^\W\d_])")
_GLUED = re.compile(
    r"[A-Z0-9](?:(?<=[a-z][A-Z])|(?<=[A-Z][A-Z])(?=[a-z])|(?<=[A-Za-z]{3}[0-9])|(?<=[0-9])(?=[A-Za-z]{3}))"
)
_AROUND_CHARS = 16
_FEWEST_LETTERS = 4
_LETTER_GAP_CHARS = 10
_AROUND_WORDS = 6

_QUOTED = re.compile(
    r'"(?P<a>[^"\n]{1,60})"|(?<!\w)\'(?P<b>[^\'\n]{1,60})\'(?!\w)|“(?P<c>[^”\n]{1,60})”|‘(?P<d>[^’\n]{1,60})’'
    r"|«(?P<e>[^»\n]{1,60})»|`(?P<f>[^`\n]{1,60})`|„(?P<g>[^“”\n]{1,60})[“”]"
)
_ASSIGNED = re.compile(
    r"(?<!\w)(?:(?P<name>[A-Za-z_]\w{0,15})\s*(?::?=|->|→|⟵|<-)"
    r"|(?P<one>[A-Za-z]\d?)\s*(?::|\b(?:is|be|equals|means|stands for)\b))"
    r"\s*(?:[\"'“‘«`](?P<quoted>[^\"'”’»`\n]{1,40})[\"'”’»`]|(?P<bare>[^\W_][^,;.\"'“”‘’`+\n]{0,30}))"
)
_NAME = re.compile(r"[A-Za-z_]\w{0,15}")
_MOST_ORDERED = 4
_NAME_CHARS = 48


@dataclass(frozen=True, slots=True)
class _Piece:
    name: str
    text: str
    start: int
    end: int
    named_at: int = -1


def read_camel(text: str) -> Reading | None:
    """CamelCase and digits taken apart, in the words that have them, each with what stands close."""
    if not _GLUED.search(text):
        return None
    writer = Writer()
    done = 0
    for glued in _GLUED.finditer(text):
        if glued.start() < done:
            continue
        first, last = word_bounds(text, glued.start())
        start = max(done, word_bounds(text, max(0, first - _AROUND_CHARS))[0])
        end = word_bounds(text, min(len(text) - 1, last + _AROUND_CHARS))[1]
        if start > done:
            writer.put("\n\n", start, start)
        for match in _CAMEL.finditer(text, start, end):
            writer.keep(text, start, match.start())
            writer.put(" ", match.start(), match.start())
            start = match.start()
        writer.keep(text, start, end)
        done = end
    return writer.reading("joined", is_loose=True, is_whole=False)


def read_spelled(text: str, view: TextView) -> Reading | None:
    """Runs of single letters as words, and the words around them; a gap unlike the others ends a word."""
    runs = list(_letter_runs(view))
    if not runs:
        return None
    writer = Writer()
    done = 0
    for first, last in runs:
        before = view.starts[max(0, first - _AROUND_WORDS)]
        if before > done:
            writer.put("\n\n", before, before)
        writer.keep(text, max(done, before), view.starts[first])
        gaps = [text[view.ends[place] : view.starts[place + 1]] for place in range(first, last)]
        usual = max(set(gaps), key=gaps.count)
        for place in range(first, last + 1):
            writer.put(view.words[place], view.starts[place], view.ends[place])
            if place < last and gaps[place - first] != usual:
                writer.put(" ", view.ends[place], view.starts[place + 1])
        done = view.ends[min(len(view.words) - 1, last + _AROUND_WORDS)]
        following = next((begin for begin, _ in runs if begin > last), len(view.words))
        done = min(done, view.starts[following]) if following < len(view.words) else done
        writer.keep(text, view.ends[last], done)
    return writer.reading("spaced")


def _letter_runs(view: TextView) -> Iterator[tuple[int, int]]:
    first: int | None = None
    for place, word in enumerate(view.words):
        near = place > 0 and view.starts[place] - view.ends[place - 1] <= _LETTER_GAP_CHARS
        if first is not None and (len(word) > 1 or not near):
            if place - first >= _FEWEST_LETTERS:
                yield first, place - 1
            first = None
        if first is None and len(word) == 1:
            first = place
    if first is not None and len(view.words) - first >= _FEWEST_LETTERS:
        yield first, len(view.words) - 1


def read_pieces(text: str) -> list[Reading]:
    """Quoted strings one after the other; values of variables as they are defined, and as they are used."""
    readings: list[Reading] = []
    quoted = [
        _Piece("", match.group(match.lastgroup), match.start(match.lastgroup), match.end(match.lastgroup))
        for match in _QUOTED.finditer(text)
        if match.lastgroup
    ]
    readings += _in_orders(quoted)
    assigned = [_assigned(match) for match in _ASSIGNED.finditer(text)]
    if len(assigned) > 1:
        if [piece.text for piece in assigned] != [piece.text for piece in quoted]:
            readings += _in_orders(assigned)
        readings += _as_used(text, assigned)
    return readings


def _assigned(match: re.Match[str]) -> _Piece:
    group = "quoted" if match.group("quoted") is not None else "bare"
    name = "name" if match.group("name") is not None else "one"
    start, end = match.span(group)
    return _Piece(match.group(name), match.group(group), start, end, match.start(name))


def _in_orders(pieces: Sequence[_Piece]) -> list[Reading]:
    if len(pieces) < 2:
        return []
    is_short = sum(len(piece.text) for piece in pieces) <= _NAME_CHARS
    orders = permutations(pieces) if is_short and len(pieces) <= _MOST_ORDERED else [tuple(pieces)]
    return [_joined(order) for order in orders]


def _as_used(text: str, assigned: Sequence[_Piece]) -> list[Reading]:
    """The variables where they stand outside their definitions, in that order."""
    values = {piece.name: piece for piece in assigned}
    defined = {piece.named_at for piece in assigned}
    used: list[_Piece] = []
    after = assigned[0].end
    for match in _NAME.finditer(text, after):
        piece = values.get(match.group())
        if piece is not None and match.start() not in defined:
            used.append(piece)
    return [_joined(used)] if len(used) > 1 else []


def _joined(pieces: Sequence[_Piece]) -> Reading:
    writer = Writer()
    for piece in pieces:
        writer.copy(piece.text, piece.start)
        writer.put(" ", piece.end, piece.end)
    return writer.reading("pieces", is_loose=True, is_whole=False)
