"""What an answer about stand-ins is searched for: each word that tells, and words that tell only together.

A word alone where it can only be this name; a name with its initials, its little words or without its middle; a word spelt
out or encoded. A last name directly behind one before it may be written a little otherwise and have a word tied before it.
It knows swaps, and no text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from guardrail.decision import Part, Swap
from guardrail.treatments.names.encoded_words import codes_of
from guardrail.treatments.names.invented_words import BY_SIGN, script_of
from guardrail.treatments.names.name_words import fold
from retrieval.text.known_words import known_words
from retrieval.text.views import normalise

_ENDING_CHARS = 6
_SHORTEST_STEM = 3
_KEPT = re.compile(r"[^\W_]+")
_VOWELS = frozenset("aeiouyаеиоуыяюэё")
_PREFIXES = {"arabic": ("وال", "بال", "لل", "ال", "و", "ف", "ب", "ل", "ك", "")}


@dataclass(frozen=True, kw_only=True, slots=True)
class Unit:
    """One word of a stand-in, as the words that a text is compared by; `bends`: it may carry an ending. `behind_given`: it
    stands behind a given name. `is_tied`: any word that a hyphen ties to the next."""

    words: tuple[str, ...]
    invented: str
    written: str
    bends: bool = False
    prefixes: tuple[str, ...] = ("",)
    needs_ending: bool = False
    behind_given: bool = False
    is_tied: bool = False

    def ending(self, word: str, found: str) -> tuple[str, int] | None:
        """The prefix of a found word and how many letters stand behind `word`; None if it is another word."""
        if not self.bends:
            return ("", 0) if found == word else None
        for prefix in self.prefixes:
            chars = len(found) - len(prefix) - len(word)
            if self._least <= chars <= _ENDING_CHARS + self._least and found.startswith(prefix + word):
                return prefix, chars
        return None

    def may_be(self, word: str, begun: str) -> bool:
        """May a word that has not ended become `word` as it is, with a prefix and an ending?"""
        if not self.bends:
            return word.startswith(begun)
        return any(
            (prefix + word).startswith(begun)
            or (begun.startswith(prefix + word) and len(begun) <= len(prefix) + self.longest(word))
            for prefix in self.prefixes
        )

    def longest(self, word: str) -> int:
        """How many letters `word` has with its longest ending."""
        return len(word) + _ENDING_CHARS + self._least

    def ends_in_vowel(self, found: str) -> bool:
        """True for a found word whose last vowel is no part of what is compared."""
        return self.needs_ending and found[-1] in _VOWELS

    @property
    def _least(self) -> int:
        return int(self.needs_ending)


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """What is looked for: units in a row, and what stands between them where it was put in. `spelt`: the units are single
    letters, and this comes back letter by letter. `is_close`: one sign stands between the first unit and the next.
    `is_padded`: the "=" behind it belong to it."""

    units: tuple[Unit, ...]
    gaps: tuple[str, ...]
    words: tuple[tuple[Unit, str], ...]  # every word and the unit it is of
    starts_unit: tuple[bool, ...]
    spelt: str = ""
    is_close: bool = False
    is_padded: bool = False


def targets(swaps: Sequence[Swap]) -> tuple[Target, ...]:
    """What is looked for, once each; the last swap that has it counts."""
    found: dict[tuple[str, ...], Target] = {}
    plain = {swap.invented.casefold() for swap in swaps if swap.parts}
    for swap in swaps:
        if not swap.parts and swap.invented.casefold() in plain:
            continue
        for target in _targets_of(swap):
            found[tuple(word for _, word in target.words)] = target
        for target in _encoded(swap):
            found.setdefault(tuple(word for _, word in target.words), target)
    return tuple(found.values())


def _targets_of(swap: Swap) -> Iterator[Target]:
    if not swap.parts:
        whole = Unit(words=normalise(swap.invented).words, invented=swap.invented, written=swap.written)
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
    yield from _last_names(parts, units, gaps)
    if not all(part.alone for part in parts):
        is_behind = any(unit.bends for unit in units[:-1])
        yield _target((*units[:-1], replace(units[-1], behind_given=is_behind)), gaps)
        if len(units) > 2 and len(parts[0].invented) < _SHORTEST_STEM + 1:
            yield _target(units[1:], gaps[1:])  # a title without its article
            if parts[-1].alone:
                yield _target((units[0], units[-1]), (" ",))  # a name without its middle initials
    elif len(units) > 1 and all(not by_sign(part.invented) for part in parts):
        first = [_initial(part) for part in parts[:-1]]
        yield _target((*first, units[-1]), tuple(" " for _ in first))


def _last_names(parts: Sequence[Part], units: Sequence[Unit], gaps: Sequence[str]) -> Iterator[Target]:
    """The last word with the little ones before it, alone and behind each word that tells."""
    if not units[-1].bends:
        return
    start = len(units) - 1
    while start and not parts[start - 1].alone:
        start -= 1
    if 0 < start < len(units) - 1:
        yield _target(units[start:], gaps[start:])
    last = replace(units[-1], behind_given=True)
    little = units[start:-1]
    tied = Unit(words=("",), invented="", written=little[0].written if len(little) == 1 else "", is_tied=True)
    for given in (unit for unit in units[:start] if unit.bends):
        yield replace(_target((given, last), (" ",)), is_close=True)
        yield replace(_target((given, tied, units[-1]), (" ", "-")), is_close=True)
        if little:
            yield _target((given, *little, last), (" ", *gaps[start:]))


def by_sign(word: str) -> bool:
    """True for a word of a script in which a sign is a syllable."""
    return script_of(word) in BY_SIGN and not word.isdigit()


def _given_name(part: Part) -> Iterator[Target]:
    """What stands behind the family name in a name of three signs."""
    if by_sign(part.invented) and len(part.invented) == len(part.written) == 3:
        yield _target((_unit(Part(invented=part.invented[1:], written=part.written[1:], alone=True)),), ())


def _spelt_out(part: Part) -> Iterator[Target]:
    """The letters of a word, one by one."""
    letters = [Unit(words=normalise(sign).words, invented=sign, written=sign) for sign in part.invented]
    if not by_sign(part.invented) and all(len(one.words) == 1 and len(one.words[0]) == 1 for one in letters):
        yield replace(_target(letters, (" ",) * (len(letters) - 1)), spelt=part.written)


def _encoded(swap: Swap) -> Iterator[Target]:
    """The codes of a stand-in, and of each word that tells."""
    for invented, written in (
        (swap.invented, swap.written),
        *((one.invented, one.written) for one in swap.parts if one.alone),
    ):
        for code in codes_of(invented, written):
            unit = Unit(words=normalise(code.invented).words, invented=code.invented, written=code.written)
            yield replace(_target((unit,), ()), is_padded=code.is_padded)


def _initial(part: Part) -> Unit:
    return Unit(words=normalise(part.invented[0]).words, invented=part.invented[:1], written=part.written[:1])


def _unit(part: Part) -> Unit:
    """A part as it is looked for. A last vowel that both words share counts as an ending."""
    invented, written = part.invented, part.written
    bends = part.alone and not by_sign(invented) and not any(map(str.isdigit, invented))
    shares = bends and fold(invented)[-1:] == fold(written)[-1:] and fold(invented)[-1:] in _VOWELS
    if shares and len(invented) > _SHORTEST_STEM + 1 and len(written) > _SHORTEST_STEM:
        invented, written = invented[:-1], written[:-1]
    else:
        shares = False
    return Unit(
        words=normalise(invented).words,
        invented=invented,
        written=written,
        bends=bends,
        prefixes=_PREFIXES.get(script_of(invented), ("",)) if bends else ("",),
        needs_ending=shares,
    )


def _target(units: Sequence[Unit], gaps: Sequence[str]) -> Target:
    words = tuple((unit, word) for unit in units for word in unit.words)
    starts = tuple(place == 0 for unit in units for place in range(len(unit.words)))
    return Target(units=tuple(units), gaps=("", *gaps), words=words, starts_unit=starts)


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
