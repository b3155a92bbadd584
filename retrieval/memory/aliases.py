"""Which other names an entry gives beyond those that it lists: read from its opening sentences, or made from a name.

"Robert Craig Vale (born 1938), known professionally as Bobby Vale" gives the full name to an entry named "Bobby Vale".
Each alias is either unmistakable (it may decide alone, as the entry's name does) or only evidence for a judge. Precision
comes first: a lone first or last name, a nickname or a name of two ordinary words is never unmistakable. It does not know
automata, scores or other entries.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from retrieval.entry import EntryKind, ForgetEntry
from retrieval.memory.name_runs import (
    SUFFIXES,
    fold,
    holds_in_order,
    is_other_script,
    is_telling,
    name_words,
    without_ends,
)
from retrieval.memory.opening import Named, Naming, Opening, pen_names, read_opening
from retrieval.memory.ordinary_words import ORDINARY
from retrieval.text.views import normalise, sentences

ALIASES_LIMIT = 40
"""Most aliases that are derived."""

_OPENING_CHARS = 1_200
_OPENING_SENTENCES = 8
_DOCUMENTS_READ = 2
_FACTS_READ = 40
_PEOPLE = frozenset({EntryKind.PERSON, EntryKind.PERSONAL_DATA})
_PERHAPS_PEOPLE = frozenset({*_PEOPLE, EntryKind.CUSTOM})
_PRONOUNS = frozenset({"he", "she", "they"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Alias:
    """Another name. `is_unmistakable`: may decide alone; otherwise it is evidence beside other evidence."""

    text: str
    is_unmistakable: bool


def aliases_of(entry: ForgetEntry) -> list[Alias]:
    """Aliases that the entry does not list itself, the surest first; names that compare equal once."""
    listed = {normalise(name).words for name in entry.names}
    found: dict[tuple[str, ...], Alias] = {}
    for alias in _candidates(entry):
        words = normalise(alias.text).words
        if not words or words in listed:
            continue
        known = found.get(words)
        if known is None or (alias.is_unmistakable and not known.is_unmistakable):
            found[words] = alias
    ordered = sorted(found.values(), key=lambda alias: not alias.is_unmistakable)
    return ordered[:ALIASES_LIMIT]


def unmistakable_aliases(entry: ForgetEntry) -> list[str]:
    """The aliases that may decide alone."""
    return [alias.text for alias in aliases_of(entry) if alias.is_unmistakable]


def _candidates(entry: ForgetEntry) -> Iterator[Alias]:
    given = list(entry.names)
    full: list[str] = []
    for opening in _openings(entry, given):
        for named in _names_of(opening, given):
            yield _judged(named, entry)
            if named.naming in (Naming.SUBJECT, Naming.BIRTH, Naming.MAIDEN):
                full.append(named.text)
    yield from _pen_names(entry)
    if entry.kind not in _PERHAPS_PEOPLE:
        return
    is_person = entry.kind in _PEOPLE
    for name in given:
        yield from _shortened(name, is_person=is_person)
    for name in full:
        yield from _variants(name, entry.name) if is_person else ()


def _openings(entry: ForgetEntry, given: list[str]) -> Iterator[Opening]:
    """Openings of the description, the first documents and the facts' statements."""
    for text in (entry.description, *entry.documents[:_DOCUMENTS_READ]):
        if (opening := read_opening(text, given)) is not None:
            yield opening
    for fact in entry.facts[:_FACTS_READ]:
        if (opening := read_opening(fact.answer, given)) is not None and opening.others:
            yield opening


def _names_of(opening: Opening, given: list[str]) -> list[Named]:
    """The opening's names if it is about the entry: one of its names must hold the entry's, or share its last word."""
    names = [Named(text=opening.subject, naming=Naming.SUBJECT), *opening.others]
    sure = [name_words(named.text) for named in names if named.naming is not Naming.NICKNAME]
    own = [name_words(without_ends(name.partition(",")[0])) for name in given]
    if any(_is_same(words, mine) for words in sure for mine in own):
        return names
    subject = name_words(without_ends(opening.subject))
    shares_last = any(mine and subject and mine[-1] == subject[-1] for mine in own)
    return names if shares_last and opening.is_defining else []


def _is_same(found: list[str], own: list[str]) -> bool:
    return bool(own) and holds_in_order(found, own)


def _judged(named: Named, entry: ForgetEntry) -> Alias:
    text = named.text
    if named.naming is Naming.NICKNAME:
        return Alias(text=text, is_unmistakable=False)
    if named.naming is Naming.SCRIPT and len(entry.name.split()) == 1 and is_other_script(text):
        return Alias(text=text, is_unmistakable=len(fold(text)) >= 3)
    return Alias(text=text, is_unmistakable=is_telling(text))


def _pen_names(entry: ForgetEntry) -> Iterator[Alias]:
    """Pen names in the opening paragraphs, from sentences about the entry itself."""
    own = set(name_words(entry.name))
    for text in (entry.description, *entry.documents[:_DOCUMENTS_READ]):
        head = text[:_OPENING_CHARS]
        if not pen_names(head):
            continue
        for span in sentences(head)[:_OPENING_SENTENCES]:
            sentence = head[span.start : span.end]
            words = name_words(sentence[:60])
            if words and (words[0] in _PRONOUNS or own & set(words[:3])):
                for name in pen_names(sentence):
                    yield Alias(text=name, is_unmistakable=is_telling(name))


def _shortened(name: str, *, is_person: bool) -> Iterator[Alias]:
    """A given name without what follows its comma, without title and suffix, without middle parts, and turned round."""
    head, comma, _ = name.partition(",")
    if comma:
        yield Alias(text=head, is_unmistakable=is_telling(head))
    bare = without_ends(head)
    parts = bare.split()
    if len(parts) < 2:
        return
    if len(parts) >= 3 and not any(part.islower() for part in parts) and not parts[0].endswith("."):
        short = f"{parts[0]} {parts[-1]}"
        # Of what may be no person only initials are left out: "Los Angeles Lakers" are no "Los Lakers".
        has_initials = all(len(fold(part)) == 1 for part in parts[1:-1])
        yield Alias(text=short, is_unmistakable=is_telling(short) and (is_person or has_initials))
    # A comma is no part of what is compared: "Ritz, Paris" is a hotel. And "Odo Brask Jr." has a father.
    for text in (bare, f"{parts[-1]}, {' '.join(parts[:-1])}", parts[0], parts[-1]):
        yield Alias(text=text, is_unmistakable=False)


def _variants(full: str, name: str) -> Iterator[Alias]:
    """Other forms of a full name: without title and suffix, middle names as initials or left out."""
    bare = without_ends(full)
    parts = bare.split()
    yield Alias(text=bare, is_unmistakable=is_telling(bare) and not _is_shared(bare, name))
    if len(parts) < 3 or any(part.islower() for part in parts):
        return
    first, *middle, last = parts
    own = name_words(name)
    is_own_first = fold(first) in own
    for count in dict.fromkeys((len(middle), 1)):
        initials = " ".join(f"{part[0]}." for part in middle[:count])
        yield Alias(text=f"{first} {initials} {last}", is_unmistakable=is_own_first and fold(last) in own)
    for part in (first, *middle):
        text = f"{part} {last}"
        if part == first or fold(part) in own:
            sure = is_telling(text) if fold(part) in own else _is_rare(text)
            yield Alias(text=text, is_unmistakable=sure and not _is_shared(text, name))


def _is_shared(text: str, name: str) -> bool:
    """True for the name without its "Jr.": his father has it, too."""
    own = name_words(name)
    return bool(set(own) & SUFFIXES) and name_words(text) == [word for word in own if word not in SUFFIXES]


def _is_rare(name: str) -> bool:
    """Names that nobody wrote, but that follow from a full name, must be rare in every word."""
    return all(word not in ORDINARY and len(word) >= 4 for word in name_words(name))
