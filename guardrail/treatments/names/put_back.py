"""An answer about a stand-in turned back: what the caller wrote stands where the invented name stood.

    put_back("Dravel Pronis's books", swaps)   ->   "Stephen King's books"

Matched are whole words (single signs in scripts without spaces), whatever their case, with endings of a few letters, and
a part alone where it can only be this name; short words, digits and words of titles only together. Of several ways in
which a caller wrote the name, the last plain one counts. A long word that is written a little otherwise counts as well:
models err when they copy names that they never saw. A word that is spelt out letter by letter ("D-r-a-v-e-l", with
spaces or dots too) comes back spelt out in the same way. Kept back is only what may still become a stand-in, and the
result is the same for any cutting of the text. It knows no entries, and does not find a stand-in that is encoded, written
backwards or put into another script; how many letters a name has is told of the invented one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from rapidfuzz.distance import OSA

from guardrail.decision import Edit, Part, Swap
from guardrail.treatments.names.invented_words import BY_SIGN, script_of
from guardrail.treatments.names.name_words import fold, in_style_of
from retrieval.text.characters import Kind, fold_char
from retrieval.text.known_words import known_words
from retrieval.text.views import TextView, ends_inside_word, first_kind, normalise

_ENDING_CHARS = 6
_GAP_CHARS = 3
_GAPS = frozenset(" \u00a0-‐‑·・‧'’,:_/@&")
_BEHIND_INITIAL = _GAPS | {"."}
_SHORTEST_STEM = 3
_KEPT = re.compile(r"[^\W_]+")
_FEWEST_LETTERS_ERRED = 6
_ONE_ERROR_IN_LETTERS = 4
_VOWELS = frozenset("aeiouyаеиоуыяюэё")
_PREFIXES = {"arabic": ("وال", "بال", "لل", "ال", "و", "ف", "ب", "ل", "ك", "")}


@dataclass(frozen=True, kw_only=True, slots=True)
class _Unit:
    """One word of a stand-in, as the words that a text is compared by; `bends`: it may carry an ending."""

    words: tuple[str, ...]
    invented: str
    written: str
    bends: bool = False
    prefixes: tuple[str, ...] = ("",)
    needs_ending: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class _Target:
    """What is looked for: units in a row, and what stands between them where it was put in. `spelt`: the units are single
    letters, and this comes back letter by letter."""

    units: tuple[_Unit, ...]
    gaps: tuple[str, ...]
    words: tuple[tuple[_Unit, str], ...]  # every word and the unit it is of
    starts_unit: tuple[bool, ...]
    spelt: str = ""


class PutBack:
    """One text. `follow` says what in it is turned back, and how far that is settled; offsets are from its beginning."""

    def __init__(self, swaps: Sequence[Swap]) -> None:
        self._targets = _targets(swaps)
        self._tail = ""
        self._inside = False
        self.settled = 0

    def follow(self, text: str, *, final: bool = False) -> list[Edit]:
        """Take the next piece; gives the edits up to `settled`. `final`: nothing may wait any more."""
        self._tail += text
        tail, base = self._tail, self.settled
        found, cut = self._found(tail, final=final) if self._targets else ([], len(tail))
        self._inside = ends_inside_word(tail[:cut], before=self._inside)
        self._tail = tail[cut:]
        self.settled += cut
        return [Edit(edit.start + base, edit.end + base, edit.replacement) for edit in found]

    def _found(self, text: str, *, final: bool) -> tuple[list[Edit], int]:
        """The edits of a text and where it becomes unsettled."""
        view = normalise(text)
        is_open = not final and bool(view.words) and not _has_gap(text[view.ends[-1] :])
        place = int(bool(view.words) and self._inside and first_kind(text) is Kind.LETTER)
        edits: list[Edit] = []
        while place < len(view.words):
            found = self._match(text, view, place, is_open=is_open, final=final)
            if found is None:
                return edits, max(edits[-1].end if edits else 0, view.starts[place])
            if not found.count:
                place += 1
                continue
            edits.append(Edit(view.starts[place], view.ends[place + found.count - 1], found.text))
            place += found.count
        return edits, len(text)

    def _match(self, text: str, view: TextView, place: int, *, is_open: bool, final: bool) -> _Found | None:
        """The longest stand-in that begins at a word; None while that cannot be told."""
        best = _Found(count=0, text="")
        for target in self._targets:
            fits = _fits(target, text, view, place, is_open=is_open, final=final)
            if fits is None:
                return None
            if fits and len(target.words) > best.count and _is_apart(view, place, len(target.words)):
                best = _Found(count=len(target.words), text=_rendered(target, text, view, place))
        return best


@dataclass(frozen=True, kw_only=True, slots=True)
class _Found:
    """How many words are replaced, and by what."""

    count: int
    text: str


def put_back(text: str, swaps: Sequence[Swap]) -> str:
    """A whole text turned back."""
    out, at = "", 0
    for edit in PutBack(swaps).follow(text, final=True):
        out += text[at : edit.start] + edit.replacement
        at = edit.end
    return out + text[at:]


def _targets(swaps: Sequence[Swap]) -> tuple[_Target, ...]:
    """What is looked for, once each; the last swap that has it counts."""
    found: dict[tuple[str, ...], _Target] = {}
    plain = {swap.invented.casefold() for swap in swaps if swap.parts}
    for swap in swaps:
        if not swap.parts and swap.invented.casefold() in plain:
            continue
        for target in _targets_of(swap):
            found[tuple(word for _, word in target.words)] = target
    return tuple(found.values())


def _targets_of(swap: Swap) -> Iterator[_Target]:
    if not swap.parts:
        whole = _Unit(words=normalise(swap.invented).words, invented=swap.invented, written=swap.written)
        yield _target((whole,), ())
        for word in swap.invented.split():
            if len(word) > _SHORTEST_STEM and word.lower() not in known_words().ordinary:
                yield _target((_unit(Part(invented=word, written=swap.written, alone=True)),), ())
        return
    parts, gaps = _joined(swap)
    units = [_unit(part) for part in parts]
    for part, unit in zip(parts, units, strict=True):
        if part.alone:
            yield _target((unit,), ())
            yield from _given_name(part)
            yield from _spelt_out(part)
    if not all(part.alone for part in parts):
        yield _target(units, gaps)
        if len(units) > 2 and len(parts[0].invented) < _SHORTEST_STEM + 1:
            yield _target(units[1:], gaps[1:])  # a title without its article
            if parts[-1].alone:
                yield _target((units[0], units[-1]), (" ",))  # a name without its middle initials
    elif len(units) > 1 and all(not by_sign(part.invented) for part in parts):
        first = [_initial(part) for part in parts[:-1]]
        yield _target((*first, units[-1]), tuple(" " for _ in first))


def by_sign(word: str) -> bool:
    """True for a word of a script in which a sign is a syllable."""
    return script_of(word) in BY_SIGN and not word.isdigit()


def _given_name(part: Part) -> Iterator[_Target]:
    """What stands behind the family name in a name of three signs."""
    if by_sign(part.invented) and len(part.invented) == len(part.written) == 3:
        yield _target((_unit(Part(invented=part.invented[1:], written=part.written[1:], alone=True)),), ())


def _spelt_out(part: Part) -> Iterator[_Target]:
    """The letters of a word, one by one."""
    letters = [_Unit(words=normalise(sign).words, invented=sign, written=sign) for sign in part.invented]
    if not by_sign(part.invented) and all(len(one.words) == 1 and len(one.words[0]) == 1 for one in letters):
        yield replace(_target(letters, (" ",) * (len(letters) - 1)), spelt=part.written)


def _initial(part: Part) -> _Unit:
    return _Unit(words=normalise(part.invented[0]).words, invented=part.invented[:1], written=part.written[:1])


def _unit(part: Part) -> _Unit:
    """A part as it is looked for. A last vowel that both words share counts as an ending."""
    invented, written = part.invented, part.written
    bends = part.alone and not by_sign(invented) and not any(map(str.isdigit, invented))
    shares = bends and fold(invented)[-1:] == fold(written)[-1:] and fold(invented)[-1:] in _VOWELS
    if shares and len(invented) > _SHORTEST_STEM + 1 and len(written) > _SHORTEST_STEM:
        invented, written = invented[:-1], written[:-1]
    else:
        shares = False
    return _Unit(
        words=normalise(invented).words,
        invented=invented,
        written=written,
        bends=bends,
        prefixes=_PREFIXES.get(script_of(invented), ("",)) if bends else ("",),
        needs_ending=shares,
    )


def _target(units: Sequence[_Unit], gaps: Sequence[str]) -> _Target:
    words = tuple((unit, word) for unit in units for word in unit.words)
    starts = tuple(place == 0 for unit in units for place in range(len(unit.words)))
    return _Target(units=tuple(units), gaps=("", *gaps), words=words, starts_unit=starts)


def _joined(swap: Swap) -> tuple[list[Part], tuple[str, ...]]:
    """The parts of a swap and what stands between them. Parts that touch ("jane99") are one; what was left as it is ("O'")
    is a part as well."""
    parts: list[Part] = []
    gaps: list[str] = []
    at = 0
    for part in _with_kept(swap):
        start = swap.invented.index(part.invented, at)
        if parts and start == at:
            before = parts.pop()
            made, written = before.invented + part.invented, before.written + part.written
            parts.append(Part(invented=made, written=written, alone=len(made) > _SHORTEST_STEM))
        else:
            gaps += [swap.invented[at:start]] if parts else []
            parts.append(part)
        at = start + len(part.invented)
    return parts, tuple(gaps)


def _with_kept(swap: Swap) -> Iterator[Part]:
    at = 0
    for place, part in enumerate(swap.parts):
        start = swap.invented.index(part.invented, at)
        if place:
            for kept in _KEPT.findall(swap.invented[at:start]):
                yield Part(invented=kept, written=kept, alone=False)
        yield part
        at = start + len(part.invented)


def _fits(target: _Target, text: str, view: TextView, place: int, *, is_open: bool, final: bool) -> bool | None:
    """Does the target begin at this word? None if more text must come."""
    unit_at = -1
    for step, (unit, word) in enumerate(target.words):
        at = place + step
        starts = target.starts_unit[step]
        unit_at += starts
        if step:
            behind = text[view.ends[at - 1] : view.starts[at] if at < len(view.words) else len(text)]
            before = target.words[step - 1][1]
            own = target.gaps[unit_at] if starts else "" if by_sign(before) else " "
            if at >= len(view.words):
                return None if not final and _may_become(behind, own, before) else False
            if not _joins(behind, own, before):
                return False
        if is_open and at == len(view.words) - 1:
            return None if _may_be(unit, word, view.words[at]) else False
        if not _is(unit, word, view.words[at]):
            return False
    return True


def _is(unit: _Unit, word: str, found: str) -> bool:
    if not unit.bends:
        return found == word
    return any(_ending_chars(unit, prefix + word, found) >= 0 for prefix in unit.prefixes) or _is_erred(word, found)


def _is_erred(word: str, found: str) -> bool:
    """True for a long word that begins alike and differs in a letter or two, and is no word that one knows."""
    if len(word) < _FEWEST_LETTERS_ERRED or found[:2] != word[:2] or found in known_words().words:
        return False
    most = len(word) // _ONE_ERROR_IN_LETTERS
    return OSA.distance(word, found, score_cutoff=most) <= most


def _ending_chars(unit: _Unit, word: str, found: str) -> int:
    """How long the ending is that a found word has behind this one; -1 if it is another word."""
    chars = len(found) - len(word)
    least = 1 if unit.needs_ending else 0
    return chars if found.startswith(word) and least <= chars <= _ENDING_CHARS + least else -1


def _may_be(unit: _Unit, word: str, begun: str) -> bool:
    """May a word that has not ended become this one?"""
    if not unit.bends:
        return word.startswith(begun)
    longest = _ENDING_CHARS + unit.needs_ending
    if len(word) >= _FEWEST_LETTERS_ERRED and begun[:2] == word[:2] and len(begun) <= len(word) + longest:
        return True
    return any(
        (prefix + word).startswith(begun)
        or (begun.startswith(prefix + word) and len(begun) <= len(prefix + word) + longest)
        for prefix in unit.prefixes
    )


def _joins(gap: str, own: str, before: str) -> bool:
    if gap == own:
        return True
    allowed = _BEHIND_INITIAL if len(before) == 1 else _GAPS
    return bool(own) and len(gap) <= _GAP_CHARS and all(char in allowed for char in gap)


def _may_become(gap: str, own: str, before: str) -> bool:
    """May what stands behind a word still become a gap that joins?"""
    return own.startswith(gap) or _joins(gap, own, before)


def _has_gap(text: str) -> bool:
    return any(kind is Kind.GAP for char in text for kind, _ in fold_char(char))


def _is_apart(view: TextView, place: int, count: int) -> bool:
    """False if one character holds words of the match and others."""
    end = place + count
    is_begun = place > 0 and view.starts[place] < view.ends[place - 1]
    return not is_begun and not (end < len(view.words) and view.starts[end] < view.ends[end - 1])


def _rendered(target: _Target, text: str, view: TextView, place: int) -> str:
    """What the caller wrote, in the case of what was found, with its endings and gaps."""
    if target.spelt:
        last = place + len(target.words)
        found = "".join(text[view.starts[at] : view.ends[at]] for at in range(place, last))
        invented = "".join(unit.invented for unit in target.units)
        between = text[view.ends[place] : view.starts[place + 1]]
        return between.join(target.spelt if found == invented else in_style_of(target.spelt, found))
    out = ""
    for number, unit in enumerate(target.units):
        start, end = view.starts[place], view.ends[place + len(unit.words) - 1]
        if number:
            out += text[view.ends[place - 1] : start]
        out += _turned(unit, text[start:end], view.words[place])
        place += len(unit.words)
    return out


def _turned(unit: _Unit, found: str, compared: str) -> str:
    if not unit.bends:
        return unit.written if len(unit.words) > 1 or found == unit.invented else in_style_of(unit.written, found)
    word = unit.words[0]
    prefix = next((one for one in unit.prefixes if _ending_chars(unit, one + word, compared) >= 0), None)
    if prefix is None:
        vowel = found[-1] if unit.needs_ending and found[-1].casefold() in _VOWELS else ""
        return in_style_of(unit.written + vowel, found)
    chars = _ending_chars(unit, prefix + word, compared)
    core_end = len(found) - chars
    core = found[len(prefix) : core_end] if len(found) == len(compared) else found
    ending = found[core_end:] if len(found) == len(compared) else compared[len(compared) - chars :]
    written = unit.written if core == unit.invented else in_style_of(unit.written, core)
    return found[: len(prefix)] + written + ending
