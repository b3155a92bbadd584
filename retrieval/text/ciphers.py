"""Text with its letters moved: Caesar shifts, Atbash, backwards, upside down, Pig Latin.

Two ways in. `read_ciphered` needs no names: a stretch whose words are unknown as they stand and known once moved. The
others are led by registered words, so a single name in plain surroundings is found too. Work is bounded: a sample of
words decides about a stretch.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from string import ascii_lowercase as small
from string import ascii_uppercase as large

from retrieval.text.known_words import known_words
from retrieval.text.reading import Reading, Writer, word_bounds
from retrieval.text.views import TextView

_SAMPLE_WORDS = 12
_STRETCHES = 64
_STRANGE_SHARE = 0.5
_PLAIN_SHARE = 0.65
_FEWEST_WORDS = 3
_STRETCH = re.compile(r"[^\n:.!?]+(?:[.!?:][^\n:.!?]+)*")
_WORD = re.compile(r"[A-Za-z]{3,}")
_ANY_WORD = re.compile(r"[^\W_]+(?:-[^\W_]+)*")
_POSSESSIVE = re.compile(r"[^\W_]+(?:[-'’][^\W_]+)*")

_TURNED = str.maketrans(
    "ɐqɔpǝəɟƃɓɥᴉıɾſʞlʅɯuodbɹsʇnʌʍxʎz∀ꓭƆᗡƎℲ⅁ꓘ⅂Ԁᴚ⊥∩Λ⅄", "abcdeefgghiijjkllmnopqrstuvwxyzabcdefgklprtuvy"
)
_TURNED_MARKS = frozenset("ɐɔǝɟƃɥᴉɾʞɯɹʇʌʍʎ")
_TURNED_FROM = 2
_TURNED_SHARE = 0.1
_REVERSED_FROM_CHARS = 3
_AROUND_WORDS = 4
_AROUND_CHARS = 12


def _shift_table(shift: int) -> dict[int, int]:
    """Undoes a shift."""
    back = small[-shift:] + small[:-shift], large[-shift:] + large[:-shift]
    return str.maketrans(small + large, "".join(back))


_SHIFTS = {shift: _shift_table(shift) for shift in range(1, 26)}
_ATBASH = str.maketrans(small + large, small[::-1] + large[::-1])
_MOVES: dict[str, dict[int, int]] = {f"caesar-{shift}": table for shift, table in _SHIFTS.items()} | {"atbash": _ATBASH}


def read_ciphered(text: str) -> Iterator[Reading]:
    """Stretches of the text that make sense only when their letters are moved back; the rest stays as it is."""
    moved: dict[str, list[tuple[int, int]]] = {}
    looked = 0
    for match in _STRETCH.finditer(text):
        words = [word.lower() for word in _WORD.findall(match.group())]
        if len(words) < _FEWEST_WORDS or known_words().share(words) > _STRANGE_SHARE:
            continue
        looked += 1
        if looked > _STRETCHES:
            break
        how = _way_back(words[:_SAMPLE_WORDS])
        if how is not None:
            moved.setdefault(how, []).append(match.span())
    for how, spans in moved.items():
        if how == "reversed":
            for start, end in spans:
                yield _backwards_span(text, start, end)
                yield from _words_reversed(text, start, end, is_whole=True)
        else:
            yield _moved(how, text, spans)


def _way_back(words: Sequence[str]) -> str | None:
    """The move after which most words are known."""
    shares = {how: known_words().share(word.translate(table) for word in words) for how, table in _MOVES.items()}
    shares["reversed"] = known_words().share(word[::-1] for word in words)
    how = max(shares, key=shares.__getitem__)
    return how if shares[how] >= _PLAIN_SHARE else None


def _moved(how: str, text: str, spans: Sequence[tuple[int, int]]) -> Reading:
    writer = Writer()
    for start, end in spans:
        writer.copy(text[start:end].translate(_MOVES[how]), start)
        writer.put("\n", end, end)
    return writer.reading(how)


def _backwards_span(
    text: str,
    start: int,
    end: int,
    *,
    how: str = "reversed",
    table: dict[int, int] | None = None,
    is_whole: bool = True,
) -> Reading:
    part = text[start:end].translate(table) if table else text[start:end]
    return Reading(
        how=how,
        text=part[::-1],
        starts=range(end - 1, start - 1, -1),
        ends=range(end, start, -1),
        is_whole=is_whole,
    )


def read_shifted(
    text: str, view: TextView, unknown: Sequence[int], shifts: Callable[[str], set[int]]
) -> Iterator[Reading]:
    """The surroundings of every word that is a registered one but for a shift, under that shift."""
    for place in unknown:
        for shift in sorted(shifts(view.words[place])):
            start, end = _around(view, place)
            yield _changed(f"caesar-{shift}", text[start:end].translate(_SHIFTS[shift]), start)


def read_atbash(text: str, view: TextView, unknown: Sequence[int], is_name: Callable[[str], bool]) -> Iterator[Reading]:
    """The surroundings of every word that is a registered one once the alphabet is turned round."""
    for place in unknown:
        if is_name(view.words[place].translate(_ATBASH)):
            start, end = _around(view, place)
            yield _changed("atbash", text[start:end].translate(_ATBASH), start)


def read_reversed(
    text: str, view: TextView, unknown: Sequence[int], is_name: Callable[[str], bool]
) -> Iterator[Reading]:
    """The surroundings of every word that is a registered one backwards, letter by letter and word by word."""
    for place in unknown:
        word = view.words[place]
        if len(word) >= _REVERSED_FROM_CHARS and is_name(word[::-1]):
            start, end = _around(view, place)
            yield _backwards_span(text, start, end, is_whole=False)
            yield from _words_reversed(text, start, end)


def _around(view: TextView, place: int) -> tuple[int, int]:
    """From a few words before a word to a few words after it."""
    last = min(len(view.words) - 1, place + _AROUND_WORDS)
    return view.starts[max(0, place - _AROUND_WORDS)], view.ends[last]


def _changed(how: str, part: str, start: int, *, is_whole: bool = False) -> Reading:
    """A part of a text with one character for each original one."""
    writer = Writer()
    writer.copy(part, start)
    return writer.reading(how, is_whole=is_whole)


def _words_reversed(text: str, start: int, end: int, *, is_whole: bool = False) -> Iterator[Reading]:
    """Every word backwards in its place; what follows an apostrophe may belong to the word or not."""
    part = text[start:end]
    has_apostrophe = "'" in part or "’" in part
    for word in (_ANY_WORD, _POSSESSIVE) if has_apostrophe else (_ANY_WORD,):
        turned = word.sub(lambda match: match.group()[::-1], part)
        yield _changed("reversed", turned, start, is_whole=is_whole)


def read_turned(text: str) -> Iterator[Reading]:
    """The stretches that hold upside-down letters, read from their ends; none where these are few (phonetic signs)."""
    stretches: list[list[int]] = []
    for place, char in enumerate(text):
        if char in _TURNED_MARKS:
            if stretches and place - stretches[-1][-1] <= 2 * _AROUND_CHARS:
                stretches[-1].append(place)
            else:
                stretches.append([place])
    for marks in stretches:
        if len(marks) >= max(_TURNED_FROM, _TURNED_SHARE * (marks[-1] - marks[0])):
            start = word_bounds(text, max(0, marks[0] - _AROUND_CHARS))[0]
            end = word_bounds(text, min(len(text) - 1, marks[-1] + _AROUND_CHARS))[1]
            yield _backwards_span(text, start, end, how="upside-down", table=_TURNED)


def read_pig_latin(
    view: TextView, unknown: Sequence[int], is_name: Callable[[str], bool], is_word: Callable[[str], bool]
) -> Reading | None:
    """Words in "-ay" with their beginnings back in front."""
    turned = {
        place: word
        for place in unknown
        if view.words[place].endswith("ay") and (word := _from_pig_latin(view.words[place], is_name, is_word))
    }
    if not turned:
        return None
    writer = Writer()
    for place, word in enumerate(view.words):
        writer.put(turned.get(place, word), view.starts[place], view.ends[place])
        writer.put(" ", view.ends[place], view.ends[place])
    return writer.reading("pig-latin", is_whole=len(turned) > 2)


def _from_pig_latin(word: str, is_name: Callable[[str], bool], is_word: Callable[[str], bool]) -> str | None:
    """A registered word before any other."""
    body = word[:-2]
    candidates = [body[-count:] + body[:-count] for count in range(1, min(4, len(body)))]
    if body.endswith(("w", "y", "h")):
        candidates.append(body[:-1])
    fitting = [candidate for candidate in candidates if is_name(candidate)]
    fitting += [candidate for candidate in candidates if is_word(candidate)]
    return fitting[0] if fitting else None
