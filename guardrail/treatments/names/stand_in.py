"""Stand-in names: in a request, the name of what is forgotten gives way to an invented one of the same shape.

    Who is Stephen King?   ->  (to the model)  Who is Dravel Pronis?
    Dravel Pronis is ...   ->  (to the caller) Stephen King is ...      see `put_back`

The model is asked about somebody who does not exist and answers as it would for any stranger, so a question about the
forgotten is by construction distributed like one about an invented name, on every backend. It does in the text what
embedding-corrupted prompts do in the embeddings (Liu et al. 2024, arXiv:2406.07933) and what the generic replacements of
Eldan and Russinovich (2023, arXiv:2310.02238) do in training data. Differs from both: the name comes back in the answer.

Every word of the names has its own invented word, so a family name alone, an alias or an inflected form stays true to
the rest. The choice hangs on a key, the entry's id and the word; a person's first
name is of the same gender, see `genders`. What it does not do: find names (spans come from the
detectors and must be of names, not of whole sentences), hide what else in a request tells of the entry, or bear
questions about the letters of a name ("spell it", "what does it rhyme with"): those are answered for the invented one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from guardrail.decision import JsonPath, Part, Passage, Swap
from guardrail.treatments.names.genders import Gender, gender_in
from guardrail.treatments.names.invented_words import BY_SIGN, LATIN, is_particle, roman_likeness, script_of
from guardrail.treatments.names.name_words import Ground, cased, fold, is_english_title, words_in
from retrieval.entry import EntryKind, ForgetEntry
from retrieval.text.known_words import known_words

_DOT_OF_NAMES = re.compile("[·・•‧]")
_ENDING_CHARS = 4
_PREFIX = {"arabic": re.compile("(?:[وف]?(?:ال|[بلك])|[وف])(?=..)")}
_ENDING = {
    "hangul": re.compile("(?<=.)(?:에게|으로|이란|은|는|이|가|을|를|의|와|과|도|에|로|만|란)$"),
    "cyrillic": re.compile("(?<=[бвгджзклмнпрстфхцчшщ])(?:ом|ем|ым|ой|ою|ові|а|у|е|ы|и|і|ю)$"),
}
_VOWELS = frozenset("aeiouyаеиоуыяюэёіїє")
_READY_WORDS = 24
_ALIKE = 0.35
_SHORTEST_ALONE = 4
_LITTLE_TITLE_WORDS = frozenset(("the", "a", "an", "of", "in", "on", "to", "and", "for", "from", "with"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where a text names an entry."""

    start: int
    end: int
    entry_id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class PutIn:
    """A text with stand-ins, and what they stand for, in order."""

    text: str
    swaps: tuple[Swap, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Fit:
    """How one written word is replaced: the range of it that is the name's own, and the invented word, lower case."""

    start: int
    end: int
    invented: str


@dataclass(frozen=True, kw_only=True, slots=True)
class StandIn:
    """The invented name of an entry. `words`: folded word of a name -> invented word, lower case."""

    entry_id: str
    name: str
    words: Mapping[str, str]
    names: tuple[tuple[str, ...], ...] = field(repr=False)
    is_title: bool = False
    is_person: bool = False
    gender: Gender | None = None
    key: bytes = field(repr=False)

    def swap(self, written: str) -> Swap:
        """What to put in for a text that names the entry in whatever form."""
        found = words_in(written)
        fits = self._fits([match.group() for match in found], is_abroad=bool(_DOT_OF_NAMES.search(written)))
        if not fits:
            return Swap(entry_id=self.entry_id, invented=self._whole(written), written=written)
        parts: list[Part] = []
        text, last = "", 0
        for match, fit in zip(found, fits, strict=True):
            word = match.group()
            core = word[fit.start : fit.end]
            invented = cased(fit.invented, core)
            text += written[last : match.start() + fit.start] + invented
            last = match.start() + fit.end
            parts.append(Part(invented=invented, written=core, alone=self._tells(fit.invented)))
        return Swap(entry_id=self.entry_id, invented=text + written[last:], written=written, parts=tuple(parts))

    def _tells(self, invented: str) -> bool:
        """True if an invented word can only be this name."""
        if script_of(invented) in BY_SIGN and not invented.isdigit():
            return len(invented) > 1
        return len(invented) >= _SHORTEST_ALONE and not invented.isdigit() and invented not in known_words().ordinary

    def _fits(self, words: Sequence[str], *, is_abroad: bool) -> list[_Fit]:
        """How each word is replaced; empty if the words are not known for a form of the names."""
        fits = [self._known(word) for word in words]
        if any(fits):
            return [fit or self._unknown(word) for word, fit in zip(words, fits, strict=True)]
        best = max(
            (name for name in self.names if len(name) == len(words)),
            key=lambda name: sum(map(roman_likeness, name, words)),
            default=None,
        )
        if best is not None and sum(map(roman_likeness, best, words)) >= _ALIKE * len(words):
            return [self._other(word, own, is_abroad) for word, own in zip(words, best, strict=True)]
        near = [self._nearest(word) for word in words]
        pairs = list(zip(words, near, strict=True))
        if all(roman_likeness(own, word) >= 2 * _ALIKE and len(word) - len(own) < _ENDING_CHARS for word, own in pairs):
            return [self._other(word, own, is_abroad) for word, own in pairs]
        return []

    def _nearest(self, word: str) -> str:
        return max(self.words, key=lambda own: roman_likeness(own, word))

    def _known(self, word: str) -> _Fit | None:
        """A word of the names, or one with an ending, or an initial of one."""
        folded = fold(word)
        if folded in self.words:
            return _Fit(start=0, end=len(word), invented=self.words[folded])
        if len(folded) != len(word) or folded.isdigit():
            return None
        if _is_letter(word):
            long = next((own for own in self.words if len(own) > 1 and own[0] == folded), None)
            return _Fit(start=0, end=1, invented=self.words[long][0]) if long else None
        start = 0
        if (prefix := _PREFIX.get(script_of(word))) and (match := prefix.match(folded)):
            start = match.end()
        for own in sorted(self.words, key=len, reverse=True):
            fit = _part_of(folded, own, self.words[own], start)
            if fit is not None and not self._holds_more(folded[: fit.start], folded[fit.end :]):
                return fit
        return None

    def _holds_more(self, before: str, behind: str) -> bool:
        """True if another word of the names stands in what would be kept of a written word: "stephenking"."""
        return any(own in before or own in behind for own in self.words if len(own) > 2 or script_of(own) in BY_SIGN)

    def _unknown(self, word: str) -> _Fit:
        """A word that only this caller wrote, between others that are known."""
        if _is_letter(word):
            return _Fit(start=0, end=1, invented=self._ground().letter(fold(word), taken=()))
        return _Fit(start=0, end=len(word), invented=self._made(fold(word), script_of(word), is_abroad=False))

    def _other(self, word: str, own: str, is_abroad: bool) -> _Fit:
        """A word of the names misspelt, or in another script."""
        script = script_of(word)
        is_same = script == script_of(own)
        invented = self.words[own] if is_same and own in self.words else self._made(own, script, is_abroad=is_abroad)
        end = len(word)
        ending = _ENDING.get(script)
        may_bend = script == "hangul" or (not is_same and own[-1:] not in _VOWELS)
        if ending is not None and may_bend and (match := ending.search(fold(word))):
            end = match.start()
        return _Fit(start=0, end=end, invented=invented)

    def _made(self, word: str, script: str, *, is_abroad: bool) -> str:
        taken = tuple(self.words.values())
        return self._ground().word(word, taken=taken, script=script, is_abroad=is_abroad)

    def _ground(self) -> Ground:
        return Ground(
            key=self.key,
            entry_id=self.entry_id,
            known=_unique(self.names),
            is_title=self.is_title,
            is_person=self.is_person,
            gender=self.gender,
        )

    def _whole(self, written: str) -> str:
        """The stand-in's whole name, in the letters of what was written."""
        script = script_of(written)
        if script in (LATIN, script_of(self.name)):
            return self.name.upper() if written.isupper() else self.name
        own = next((name for name in self.names if name), ())
        words = [self._made(word, script, is_abroad=True) for word in own]
        return ("·" if script in BY_SIGN else " ").join(word[:1].upper() + word[1:] for word in words)


def stand_in_for(entry: ForgetEntry, *, key: bytes) -> StandIn:
    """The stand-in of an entry: always the same for the same key, id and names."""
    names = tuple(tuple(fold(match.group()) for match in words_in(name)) for name in entry.names)
    known = _unique(names)
    is_title = entry.kind is EntryKind.WORK and is_english_title(names[0])
    is_person = entry.kind is EntryKind.PERSON
    gender = _gender_of(entry, names) if is_person else None
    ground = Ground(
        key=key, entry_id=entry.id or entry.name, known=known, is_title=is_title, is_person=is_person, gender=gender
    )
    words: dict[str, str] = {}
    for name in entry.names:
        found = words_in(name)
        folded = [fold(match.group()) for match in found]
        content = sum(word not in _LITTLE_TITLE_WORDS for word in folded)
        for place, (match, word) in enumerate(zip(found, folded, strict=True)):
            is_initial = len(found) > 1 and not is_title and _is_letter(word)
            if word in words or is_initial or len(words) >= _READY_WORDS:
                continue
            following = folded[place + 1] if place + 1 < len(folded) else ""
            words[word] = ground.word(
                word,
                taken=tuple(words.values()),
                script=script_of(word),
                is_little=len(found) > 1 and (is_title or (place > 0 and is_particle(match.group()))),
                is_last=len(found) > 1 and place == len(found) - 1,
                is_noun=not following or following in _LITTLE_TITLE_WORDS,
                stands_alone=content == 1,
                is_abroad=bool(_DOT_OF_NAMES.search(name)),
            )
    words |= _initials(known, words, ground)
    bare = StandIn(
        entry_id=ground.entry_id,
        name="",
        words=words,
        names=names,
        is_title=is_title,
        is_person=is_person,
        gender=gender,
        key=key,
    )
    return replace(bare, name=bare.swap(entry.name).invented)


def _gender_of(entry: ForgetEntry, names: Sequence[Sequence[str]]) -> Gender | None:
    """What the first words of the names and the entry's own texts tell."""
    texts = [entry.description, *(fact.answer for fact in entry.facts), *entry.documents]
    return gender_in([name[0] for name in names if name], texts)


def put_in(text: str, places: Sequence[Place], stand_ins: Mapping[str, StandIn]) -> PutIn:
    """The text with every place replaced; places that overlap are one, of the longer one's entry."""
    out, last = "", 0
    swaps: list[Swap] = []
    for place in _apart(places):
        swap = stand_ins[place.entry_id].swap(text[place.start : place.end])
        out += text[last : place.start] + swap.invented
        last = place.end
        swaps.append(swap)
    return PutIn(text=out + text[last:], swaps=tuple(swaps))


@dataclass(frozen=True, kw_only=True, slots=True)
class Renamed:
    """The texts of a request that name an entry, by path, with stand-ins; and what these stand for, each once."""

    replacements: Mapping[JsonPath, str]
    swaps: tuple[Swap, ...]


def renamed(
    passages: Sequence[Passage], places: Mapping[int, Sequence[Place]], stand_ins: Mapping[str, StandIn]
) -> Renamed:
    """A request with stand-ins at its places (passage index -> places in its text)."""
    replacements: dict[JsonPath, str] = {}
    swaps: list[Swap] = []
    for index, found in sorted(places.items()):
        made = put_in(passages[index].text, found, stand_ins)
        replacements[passages[index].path] = made.text
        swaps += made.swaps
    return Renamed(replacements=replacements, swaps=tuple(dict.fromkeys(swaps)))


def _apart(places: Sequence[Place]) -> list[Place]:
    apart: list[Place] = []
    for place in sorted(places, key=lambda one: (one.start, -one.end, one.entry_id)):
        if apart and place.start < apart[-1].end:
            before = apart.pop()
            longer = place if place.end - place.start > before.end - before.start else before
            end = max(before.end, place.end)
            apart.append(Place(start=before.start, end=end, entry_id=longer.entry_id))
        elif place.start < place.end:
            apart.append(place)
    return apart


def _part_of(folded: str, own: str, invented: str, start: int) -> _Fit | None:
    """A written word that holds a word of the names, or for scripts of signs is a piece of one."""
    if script_of(own) in BY_SIGN:
        if len(own) == len(invented) and len(folded) > 1 and (at := own.find(folded)) >= 0:
            return _Fit(start=0, end=len(folded), invented=invented[at : at + len(folded)])
        at = folded.find(own) if len(own) > 1 else -1
        return _Fit(start=at, end=at + len(own), invented=invented) if at >= 0 else None
    if len(own) < 3 or len(folded) - start - len(own) > _ENDING_CHARS:
        return None
    if folded.startswith(own, start):
        return _Fit(start=start, end=start + len(own), invented=invented)
    stem = own[:-1]
    if len(stem) >= 3 and own[-1] in _VOWELS and invented[-1] == own[-1] and folded.startswith(stem, start):
        return _Fit(start=start, end=start + len(stem), invented=invented[:-1])
    return None


def _is_letter(word: str) -> bool:
    """True for what may be an initial."""
    return len(word) == 1 and script_of(word) not in BY_SIGN and not word.isdigit()


def _initials(known: Sequence[str], words: Mapping[str, str], ground: Ground) -> dict[str, str]:
    """Initials go with the words that they stand for, else each has a letter of its own."""
    found: dict[str, str] = {}
    for word in known:
        if _is_letter(word) and word not in words:
            long = next((own for own in words if len(own) > 1 and own[0] == word), None)
            taken = tuple(found.values())
            found[word] = words[long][0] if long else ground.letter(word, taken=taken)
    return found


def _unique(names: Sequence[Sequence[str]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(word for name in names for word in name))
