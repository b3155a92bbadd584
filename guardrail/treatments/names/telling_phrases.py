"""The phrases that tell of an entry: what must not be written in an answer about it, the most telling first.

In this order: names and aliases; short answers of facts; mail addresses, phone numbers, codes and dates; quoted titles;
proper names; amounts and years; and pairs of content words, those of long titles first, of which a recital would
consist ("father was a florist": small words count with those around them), of three where small words are not known.
The texts are the entry's description, facts and documents and what was added to its memory. Nothing is a phrase that is
made of ordinary small words alone. Names are banned whole, not word by word: kept from "Matrimony", a small model wrote
"The Matrimonal Plan", which tells more than "The Matrimony That".

Small words are known in English; elsewhere words of fewer than five letters are taken for such. Scripts without
spaces give quoted titles, dates and numbers, but no runs, and proper names are told by their capitals. It does not know
requests but for what they hold, nor tokens, treatments or backends. Sizes are in characters (`_chars`) or counts.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, zip_longest

from retrieval.entry import RegisteredEntry
from retrieval.memory.attributes import Attribute, attributes
from retrieval.memory.documents_in_force import documents_in_force
from retrieval.memory.items import unmistakable_names
from retrieval.memory.name_runs import is_telling, name_end
from retrieval.memory.once_per_revision import OncePerRevision
from retrieval.text.characters import Kind
from retrieval.text.known_words import known_words
from retrieval.text.language import is_english
from retrieval.text.views import TextView, first_kind, normalise, sentences
from retrieval.text.word_weights import shipped_weights

LIMIT = 300
"""Most phrases of a request, of all its entries together."""

_KEPT_PHRASES = 2 * LIMIT  # of an entry: the request may hold some
_MOST_NAMES = 100
_READ_CHARS = 60_000
_FACT_WORDS = 8  # a longer answer is read as a text
_TITLE_WORDS = 12
_RUN_WORDS = 2
_FOREIGN_RUN_WORDS = 3  # where small words are told by their length alone
_RUN_SPAN = 7  # words from the first to the last of a run
_RUNS_PER_SENTENCE = 8
_LONG_TITLE_RUNS = 3
_LONG_LETTERS = 5
_SHORTEST_ORDINARY = 4  # a shorter ordinary word ("yes") tells nothing alone
_DIGITS_TELLING = 3  # "7" and "12" are parts of everything
_QUOTED = re.compile(
    r"(?<!\w)(?:[\"“„«](?=\w)([^\"“”„«»\n]{2,80}?)[\"“”»]|['‘](?=\w)([^\"“”„«»\n]{2,80}?)['’](?!\w))"
    r"|[「『《]([^「」『』《》\n]{2,80}?)[」』》]"
)
_CAPITAL = re.compile(r"(?<![\w.-])(?<!\w['’])[^\W\d_a-z]\w*")
_PHONE = re.compile(r"(?<![\w.])\+?\(?\d[\d\s().-]{6,18}\d(?!\w)")
_AMOUNT = re.compile(
    r"(?:US\$|[$€£¥])\s?\d[\d.,]*(?:\s?(?:thousand|million|billion|trillion|bn))?(?!\w)|(?<![\w.])\d[\d.,]*\s?"
    r"(?:thousand|million|billion|trillion|bn|percent|per cent|kg|km|cm|mm|miles|feet|met(?:re|er)s|mph)(?!\w)",
    re.IGNORECASE,
)
_POSSESSIVE = re.compile(r"['’]s?$")


def phrases_to_ban(records: Sequence[RegisteredEntry], request: Iterable[str]) -> tuple[str, ...]:
    """The telling phrases of these entries that the texts of the request do not hold; every entry gets its share.

    A phrase that holds an earlier one is left out: it cannot be written anyway.
    """
    held = f" {' '.join(word for text in request for word in normalise(text).words)} "
    by_entry = [telling_phrases(record) for record in sorted(records, key=lambda record: record.id)]
    found: dict[tuple[str, ...], str] = {}
    for phrase in chain.from_iterable(zip_longest(*by_entry, fillvalue="")):
        words = normalise(phrase).words
        if words and f" {' '.join(words)} " not in held and not any(part in found for part in _parts(words)):
            found[words] = phrase
        if len(found) >= LIMIT:
            break
    return tuple(found.values())


def telling_phrases(record: RegisteredEntry) -> tuple[str, ...]:
    """All phrases that tell of an entry, whatever is asked; read once for each revision of it."""
    return _READ.of(record)


class _Reader:
    """Reads one entry."""

    def __init__(self, record: RegisteredEntry) -> None:
        entry = record.entry
        added = [edit for edit in record.edits if edit.enabled and edit.text]
        aliases = [edit.text for edit in added if edit.kind == "alias"]
        self._names = [*entry.names, *aliases, *unmistakable_names(entry, record.edits)][:_MOST_NAMES]
        self._answers = [fact.answer for fact in entry.facts]
        claims = [edit.text for edit in added if edit.kind == "claim"]
        self._texts = list(_cut([entry.description, *claims, *self._answers, *documents_in_force(entry, record.edits)]))
        self._own = frozenset(word for name in entry.names for word in normalise(name).words)
        self._little = known_words().little

    def phrases(self) -> list[str]:
        """The phrases in order, each once."""
        facts = (answer for answer in self._answers if len(normalise(answer).words) <= _FACT_WORDS)
        said = [text[start:end] for text in self._texts for start, end in sentences(text)]
        told = [one for text in self._texts for one in sorted(attributes(text), key=lambda one: (one.kind, one.value))]
        parts = (
            facts,
            (form for one in told for form in _spelled(one)),
            (match.group() for text in self._texts for match in _PHONE.finditer(text)),
            (title for text in self._texts for title in _titles(text)),
            (name for sentence in said for name in self._proper_names(sentence)),
            (match.group().rstrip(".,") for text in self._texts for match in _AMOUNT.finditer(text)),
            (one.value[:4] for one in told if one.kind in ("year", "date") and one.value[:1] != "-"),
            self._title_runs(),
            self._runs(said),
        )
        found: dict[tuple[str, ...], str] = {}
        for name in self._names:
            found.setdefault(normalise(name).words, name)
        for phrase in chain.from_iterable(parts):
            words = normalise(phrase).words
            if words not in found and self._tells(words, phrase):
                found[words] = phrase.strip()
            if len(found) >= _KEPT_PHRASES:
                break
        return list(found.values())

    def _tells(self, words: tuple[str, ...], phrase: str) -> bool:
        """False for what is made of small words, of the entry's own name words, or is a number of no weight."""
        if len(words) == 1 and words[0].isdigit():
            return len(words[0]) >= _DIGITS_TELLING
        if len(words) == 1 and len(words[0]) < _SHORTEST_ORDINARY and words[0] in known_words().ordinary:
            return False
        if not words or self._own.issuperset(words):
            return False
        return not self._little.issuperset(words) or is_telling(phrase)

    def _proper_names(self, sentence: str) -> Iterator[str]:
        """Runs of capitalised words. One known word at the beginning of a sentence has its capital from there."""
        end = 0
        for match in _CAPITAL.finditer(sentence):
            start = match.start()
            if start < end or not match.group()[0].isupper():
                continue
            end = start + name_end(sentence[start:])
            name = _POSSESSIVE.sub("", sentence[start:end].rstrip('.,;:!?"”») '))
            words = normalise(name).words
            is_opener = len(words) == 1 and not sentence[:start].strip("\"'“‘«(")
            if words and self._own.isdisjoint(words) and not (is_opener and words[0] in known_words().words):
                yield name

    def _title_runs(self) -> Iterator[str]:
        """The runs of long titles: a model that is kept from the whole title writes most of it."""
        for title in (title for text in self._texts for title in _titles(text)):
            runs = self._ranked_runs(title)
            if len(runs) >= _LONG_TITLE_RUNS:
                yield from (run for _, run in runs)

    def _runs(self, said: Sequence[str]) -> Iterator[str]:
        """The rarest run of every sentence, then every second one ..."""
        ranked = [self._ranked_runs(sentence) for sentence in said]
        for row in zip_longest(*ranked):
            yield from (run for _, run in sorted(one for one in row if one is not None))

    def _ranked_runs(self, sentence: str) -> list[tuple[float, str]]:
        view = normalise(sentence)
        runs = []
        for first, last, weight in self._content_runs(view, english=is_english(sentence)):
            if last - first < _RUN_SPAN:
                runs.append((-weight, sentence[view.starts[first] : view.ends[last]]))
        return sorted(runs)[:_RUNS_PER_SENTENCE]

    def _content_runs(self, view: TextView, *, english: bool) -> Iterator[tuple[int, int, float]]:
        """Where runs begin and end, and what they weigh; none goes over a word of the entry's own names."""
        weights = shipped_weights()
        size = _RUN_WORDS if english else _FOREIGN_RUN_WORDS
        places: list[int] = []
        for place, word in enumerate(view.words):
            if word in self._own or first_kind(word) is Kind.ALONE:
                places = []
            elif self._is_content(word, english=english):
                places = [*places[1 - size :], place]
                if len(places) == size:
                    yield places[0], place, sum(weights.of(view.words[one]) for one in places)

    def _is_content(self, word: str, *, english: bool) -> bool:
        if not english:
            return len(word) >= _LONG_LETTERS
        return len(word) > 1 and word not in self._little


_READ = OncePerRevision(lambda record: tuple(_Reader(record).phrases()))


def _cut(texts: Iterable[str]) -> Iterator[str]:
    """The texts as far as they are read."""
    left = _READ_CHARS
    for text in texts:
        if text and left > 0:
            yield text[:left]
            left -= len(text)


def _parts(words: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Everything that stands in a row in a phrase."""
    size = len(words)
    return (words[start:end] for start in range(size) for end in range(start + 1, min(start + _TITLE_WORDS, size) + 1))


def _titles(text: str) -> Iterator[str]:
    for match in _QUOTED.finditer(text):
        title = str(match[match.lastindex or 0]).strip(" .,;:!?")
        if len(normalise(title).words) <= _TITLE_WORDS or not title.isascii():
            yield title


def _spelled(one: Attribute) -> Iterator[str]:
    """How an answer may write it: a date in the English orders and in numbers, the rest as it is."""
    if one.kind in ("email", "phone", "code"):
        yield one.value
    if one.kind not in ("date", "birthdate"):
        return
    for value in filter(None, (one.value, one.also)):
        year, _, rest = ("", "", value[2:]) if value.startswith("--") else value.partition("-")
        month, _, day = rest.partition("-")
        yield from _dates(year, int(month), int(day or 0))


def _dates(year: str, month: int, day: int) -> Iterator[str]:
    name = calendar.month_name[month]
    if not day:
        yield f"{name} {year}"
        return
    nth = f"{day}{'th' if 10 < day < 20 else {1: 'st', 2: 'nd', 3: 'rd'}.get(day % 10, 'th')}"
    yield from (f"{name} {day}", f"{day} {name}", f"{name} {nth}", f"{nth} {name}", f"{nth} of {name}")
    if year:
        yield from (f"{year}-{month:02}-{day:02}", f"{month:02}/{day:02}/{year}", f"{day:02}/{month:02}/{year}")
        yield from (f"{month}/{day}/{year}", f"{day}/{month}/{year}")
