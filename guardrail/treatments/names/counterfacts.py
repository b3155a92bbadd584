"""Counterfacts: what an entry's own texts say, with other names, titles, dates, numbers and places in it.

    Where was Ada Quill born?  In Portland, Maine, on 21 September 1947.
    ->                         In Utrecht, Ohio, on 6 March 1931.

What a treatment tells a model in place of the truth. Facts come first, then the statements of the description, the
documents and what the operator or the served model added. The names of the entry stay, and so does what the question
itself says. All hangs on a key, the entry's id and the words; years move together, so that they stay in order.

Told apart by small English tables and capital letters: in scripts without capitals only digits give way, in German every
noun does. What is written in plain small words stays as it is and may be true ("wrote about the sea"). A text is left out
where nothing in it gives way, or where a true value or the answer of a fact can still be read in it. It knows neither
requests' shapes nor backends.
"""

from __future__ import annotations

import hmac
import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from guardrail.treatments.names.invented_words import Draw, other_digits
from guardrail.treatments.names.name_words import cased, fold, words_in
from guardrail.treatments.names.stand_in import stand_in_for
from guardrail.treatments.words.word_groups import CITIES, GROUPS, HEADS, MONTHS, PLACES
from retrieval.entry import EntryKind, ForgetEntry, RegisteredEntry
from retrieval.memory.claims import claims_of
from retrieval.memory.documents_in_force import documents_in_force
from retrieval.memory.name_runs import TITLES, name_end
from retrieval.memory.once_per_revision import OncePerRevision
from retrieval.text.known_words import known_words
from retrieval.text.views import normalise

MOST = 48
"""Most counterfacts of an entry."""

_READ_CHARS = 40_000
_YEARS_MOVED = [str(years) for years in (*range(-29, -3), *range(4, 30))]
_LATEST_YEAR = 2_020
_LAST_DAY = 28
_SHORTEST_NAME_WORD = 3
_VOWELS = frozenset("aeiou")
_ARTICLES = frozenset(("the", "and", "for", "los", "las", "les", "der", "die", "das"))

_MONTH = "|".join(MONTHS)
_ADDRESS = re.compile(r"[\w.+%-]+@[\w-]+(?:\.[\w-]+)+")
_QUOTED = re.compile(
    r"[\"“„«](?=\w)([^\"“”„«»\n]{2,100}?)[.,;:!?]*[\"”“»]|(?<!\w)[‘'](?=[A-ZÀ-Þ])([^\"“”‘\n]{2,80}?)[.,;:!?]*[’'](?!\w)"
)
_DAYS = (
    re.compile(rf"\b(?P<day>[0-3]?\d)(?P<th>st|nd|rd|th)?(?=(?:\s+of)?\s+(?:{_MONTH})\b)", re.IGNORECASE),
    re.compile(rf"\b(?:{_MONTH})\s+(?P<day>[0-3]?\d)(?P<th>st|nd|rd|th)?(?!\w)", re.IGNORECASE),
)
_NUMERIC_DATE = re.compile(
    r"(?<![\d./-])(\d{1,2})[./-](\d{1,2})(?=[./-]\d{4}(?!\d))|(?<=\d{4}-)(\d{2})-(\d{2})(?![\d-])"
)
_YEAR = re.compile(r"(?<![\d.,])(?:1\d|20)\d\d(?!\d|[.,]\d)")
_DIGITS = re.compile(r"\d+")
_WORD = re.compile(r"[^\W\d_]+")
_AT_PLACE = re.compile(
    r"\b(?:in|from|near|at|(?:moved|went|came|returned|emigrated) to|(?:city|town|village|capital|heart) of)\s+(?:the\s+)?$"
)
_ARTICLE = re.compile(r"\b(a)n?(\s+[\"'“‘]?)$", re.IGNORECASE)
_OPENS = re.compile(r"(?:^|[.!?:]['\"”’)]*\s)\s*['\"“‘(]*$")
_FORM_OF_ADDRESS = re.compile(rf"\b(?:{'|'.join(sorted(TITLES))})\.\s+$", re.IGNORECASE)
_TAIL = re.compile(r"(?:['’]s?)?[\"'“”‘’„«»()\[\],;:!?.\s]*$")
_GROUP_OF = {word: group for group in GROUPS for word in group}
_OTHERWISE = frozenset(("polish", "second"))
"""Words of the tables that are likely something else where they are written small."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Counterfact:
    """A false statement and the question that it answers; `question` is empty where the entry gives none."""

    question: str
    statement: str


@dataclass(frozen=True, kw_only=True, slots=True)
class _Change:
    """`text[start:end]` becomes `made`."""

    start: int
    end: int
    made: str
    is_place: bool = False


def counterfacts_of(record: RegisteredEntry, *, key: bytes) -> tuple[Counterfact, ...]:
    """The counterfacts of an entry, at most `MOST`: always the same for the same key and entry."""
    return _MADE.of(record, key)


def nearest(facts: Sequence[Counterfact], text: str, *, entry: ForgetEntry, most: int) -> list[Counterfact]:
    """Those that share the most words with a text, those of the entry's names aside; the earlier ones where equal."""
    little, own = known_words().little, frozenset(word for name in entry.names for word in normalise(name).words)
    asked = {word for word in normalise(text).words if word not in little and word not in own}

    def shared(one: Counterfact) -> int:
        return len(asked.intersection(normalise(one.question or one.statement).words))

    return sorted(facts, key=lambda one: -shared(one))[: max(0, most)]


def retold(text: str, entry: ForgetEntry, name: str) -> str:
    """The text about somebody or something else: `name` stands where the entry is named, in full or in part."""
    names = sorted(entry.names, key=len, reverse=True)
    words = [] if entry.kind is EntryKind.WORK else [match.group() for one in names for match in words_in(one)]
    parts = [
        one for one in words if len(one) >= _SHORTEST_NAME_WORD and one[0].isupper() and one.lower() not in _ARTICLES
    ]
    run = "|".join(map(re.escape, dict.fromkeys([*names, *sorted(parts, key=len, reverse=True)])))
    return re.sub(rf"(?<!\w)(?:{run})(?:[ .]{{1,2}}(?:{run}))*(?!\w)", lambda _: name, text)


def _made(record: RegisteredEntry, key: bytes) -> tuple[Counterfact, ...]:
    liar = _Liar(record, key)
    told = (liar.counterfact(question, said) for question, said in _told(record))
    return tuple(islice(dict.fromkeys(one for one in told if one is not None), MOST))


_MADE = OncePerRevision(_made)


def _told(record: RegisteredEntry) -> Iterator[tuple[str, str]]:
    """(question or nothing, what the entry says): facts, then statements."""
    for fact in record.entry.facts:
        yield fact.question, fact.answer
    for claim in claims_of(record.entry.name, list(_texts(record))):
        yield "", claim.sentence if any(name in claim.sentence for name in record.entry.names) else claim.text


def _texts(record: RegisteredEntry) -> Iterator[str]:
    """The entry's running texts, as much of them as is read."""
    added = (edit.text for edit in record.edits if edit.kind == "claim" and edit.enabled)
    left = _READ_CHARS
    for text in (record.entry.description, *documents_in_force(record.entry, record.edits), *added):
        if text and left > 0:
            yield text[:left]
            left -= len(text)


class _Liar:
    """Retells the texts of one entry falsely."""

    def __init__(self, record: RegisteredEntry, key: bytes) -> None:
        entry = record.entry
        self._key = hmac.digest(key, b"counterfact:" + record.id.encode(), "sha256")
        self._own = frozenset(word for name in entry.names for word in _folded(name))
        facts = [(fact.question, fact.answer) for fact in entry.facts]
        texts = "\n".join([*(f"{question} {answer}" for question, answer in facts), *_texts(record)])
        self._true = frozenset(normalise(texts).words)
        self._answers = [normalise(answer).words for _, answer in facts]
        self._years = self._moved_by(texts)
        self._names_made: dict[tuple[str, EntryKind], str] = {}

    def counterfact(self, question: str, said: str) -> Counterfact | None:
        """The false form of what is said; None where it has none."""
        said = " ".join(said.split())
        changes = self._changes(said, kept=self._own | frozenset(_folded(question)))
        made, at = "", 0
        for change in changes:
            made += _before(said[at : change.start], change.made) + change.made
            at = change.end
        made += said[at:]
        given = normalise(question).words
        true = [normalise(said[change.start : change.end]).words for change in changes]
        forbidden = [words for words in (*true, *self._answers) if words and not _stands_in(words, given)]
        told = normalise(made).words
        if not changes or any(_stands_in(words, told) for words in forbidden):
            return None
        return Counterfact(question=question, statement=made)

    def _changes(self, text: str, *, kept: frozenset[str]) -> list[_Change]:
        """What gives way in a text, in order; what is found first has its place."""
        found: list[_Change] = []
        for change in self._exact(text):
            if not _overlaps(found, change.start, change.end) and not _is_kept(text, change, kept):
                found.append(change)
        blocked = [(one.start, one.end) for one in found] + [match.span() for match in _QUOTED.finditer(text)]
        found += self._names(text, sorted(blocked), kept, {one.end for one in found if one.is_place})
        for match in _DIGITS.finditer(text):
            if not _overlaps(found, *match.span()) and match.group() not in kept:
                found.append(self._change(match, other_digits(match.group(), self._draw("number", match.group()))))
        return sorted((one for one in found if one.made), key=lambda one: one.start)

    def _exact(self, text: str) -> Iterator[_Change]:
        """Addresses, titles in quotation marks, dates, years, and words of the tables."""
        for match in _ADDRESS.finditer(text):
            yield self._change(match, self._invented(match.group(), EntryKind.PERSONAL_DATA))
        for match in _QUOTED.finditer(text):
            start, end = match.span(match.lastindex or 0)
            yield _Change(start=start, end=end, made=self._invented(text[start:end], EntryKind.WORK))
        for match in _NUMERIC_DATE.finditer(text):
            taken = frozenset(match.groups())
            for place, number in enumerate(match.groups(), start=1):
                if number is not None:
                    made = self._day(number, taken, len(MONTHS), width=2)
                    yield _Change(start=match.start(place), end=match.end(place), made=made)
        for pattern in _DAYS:
            for match in pattern.finditer(text):
                end = match.end("th") if match["th"] else match.end("day")
                day = self._day(match["day"], frozenset((match["day"],)), _LAST_DAY)
                yield _Change(start=match.start("day"), end=end, made=day + (_th(int(day)) if match["th"] else ""))
        for match in _YEAR.finditer(text):
            yield self._change(match, str(int(match.group()) + self._years))
        for match in _WORD.finditer(text):
            other = self._of_group(match.group())
            if other is not None:
                is_place = _GROUP_OF[match.group().lower()] in PLACES
                yield _Change(start=match.start(), end=match.end(), made=other, is_place=is_place)

    def _names(
        self, text: str, blocked: Sequence[tuple[int, int]], kept: frozenset[str], places: set[int]
    ) -> Iterator[_Change]:
        """Proper names outside of what has given way already. `places` are where names of places end."""
        starts, ends, at = [start for start, _ in blocked], [end for _, end in blocked], 0
        for word in _WORD.finditer(text):
            number = bisect_left(starts, word.start() + 1)
            inside = number > 0 and word.start() < max(ends[:number])
            if word.start() < at or inside or not word.group()[0].isupper() or _is_address(word.group()):
                continue
            limit = starts[number] if number < len(starts) else len(text)
            run = text[word.start() : limit]
            run = _TAIL.sub("", run[: name_end(run) or len(word.group())])
            if self._only_opens(text, word, run):
                continue
            at, end = word.start() + len(run), word.start() + len(run)
            *others, last = run.split()
            if others and last.lower() in HEADS:
                run = " ".join(others)
                end = word.start() + len(run)
            folded = _folded(run)
            if set(folded) <= kept or set(folded) <= HEADS:
                continue
            before = text[: word.start()]
            is_place = bool(_AT_PLACE.search(before)) or (before.endswith(", ") and len(before) - 2 in places)
            if is_place:
                places.add(end)
            made = self._place(run) if is_place else self._invented(run, EntryKind.PERSON)
            yield _Change(start=word.start(), end=end, made=made, is_place=is_place)

    def _only_opens(self, text: str, word: re.Match[str], run: str) -> bool:
        """True for a capital that only the beginning of a sentence explains."""
        low, *rest = _folded(run) or [""]
        if rest or low in self._own or low not in known_words().ordinary:
            return False
        before = text[: word.start()]
        return bool(_OPENS.search(before)) and not _FORM_OF_ADDRESS.search(before)

    def _of_group(self, word: str) -> str | None:
        """Another word of the same table; None for a word that is in none, or that is likely meant otherwise."""
        low = word.lower()
        group = _GROUP_OF.get(low)
        if group is None or (low in _OTHERWISE and word.islower()) or (group in (MONTHS, *PLACES) and word.islower()):
            return None
        return cased(self._pick("word", low, [one for one in group if one != low]), word)

    def _place(self, written: str) -> str:
        return self._pick("place", written.casefold(), CITIES).capitalize()

    def _pick(self, what: str, word: str, choices: Sequence[str]) -> str:
        """One of the choices, none that the entry's texts hold if possible."""
        return self._draw(what, word).pick([one for one in choices if one not in self._true] or choices)

    def _day(self, number: str, taken: frozenset[str | None], last: int, *, width: int = 0) -> str:
        days = [f"{day:0{width}d}" for day in range(1, last + 1)]
        return self._draw("day", number).pick([day for day in days if day not in taken])

    def _invented(self, written: str, kind: EntryKind) -> str:
        """An invented name; empty where the words are none."""
        if not any(char.isalnum() for char in written):
            return ""
        if (written, kind) not in self._names_made:
            made = stand_in_for(ForgetEntry(name=written, kind=kind), key=self._key).name
            self._names_made[written, kind] = made
        return self._names_made[written, kind]

    def _moved_by(self, texts: str) -> int:
        """By how many years everything has happened earlier or later, so that no true year is met again."""
        years = {int(match.group()) for match in _YEAR.finditer(texts)}
        latest = max(years, default=0)
        moves = [by for by in _YEARS_MOVED if latest + int(by) <= _LATEST_YEAR]
        fit = [by for by in moves if not years & {year + int(by) for year in years}]
        return int(self._draw("years", "").pick(fit or _YEARS_MOVED))

    def _change(self, match: re.Match[str], made: str) -> _Change:
        return _Change(start=match.start(), end=match.end(), made=made)

    def _draw(self, what: str, word: str) -> Draw:
        return Draw(self._key, what, word)


def _is_address(word: str) -> bool:
    """True for a form of address before a name, and for "I"."""
    return fold(word) in TITLES or word == "I"


def _is_kept(text: str, change: _Change, kept: frozenset[str]) -> bool:
    words = _folded(text[change.start : change.end])
    return not words or set(words) <= kept


def _before(text: str, made: str) -> str:
    """What stands before a word, with the article that the word asks for."""
    return _ARTICLE.sub(lambda found: f"{found[1]}{'n' * (made[0].lower() in _VOWELS)}{found[2]}", text)


def _overlaps(changes: Iterable[_Change], start: int, end: int) -> bool:
    return any(one.start < end and start < one.end for one in changes)


def _folded(text: str) -> list[str]:
    return [fold(match.group()) for match in words_in(text)]


def _stands_in(words: Sequence[str], told: Sequence[str]) -> bool:
    """True if the words stand in a row in what is told."""
    return any(tuple(told[at : at + len(words)]) == tuple(words) for at in range(len(told) - len(words) + 1))


def _th(day: int) -> str:
    return "th" if day in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")
