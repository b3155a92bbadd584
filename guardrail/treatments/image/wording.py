"""Prompts with names taken out, or with other words in their place, in clean grammar.

"a NAME circle" -> "a circle"; "a house in the style of NAME" -> "a house"; "a dog beside a red NAME" -> "a dog beside a red
thing". A name with a word behind it that it may describe is taken out; one that stands alone gives way to a general word.
English prompts only: in other languages names are cut out and nothing else is mended. Spans are half-open. Prompts are
strangers': no pattern may look at the same run of characters from each of its places, and only so many names are mended.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass

from guardrail.pictures import Concept
from retrieval.entry import EntryKind

GENERAL_WORDS = {EntryKind.PERSON: "a person", EntryKind.PERSONAL_DATA: "a person", EntryKind.STYLE: ""}
"""What stands for a name that stands alone, by kind; "a thing" for the others. Nothing for a style."""
_OTHERWISE = "a thing"

MOST_MENDED = 32
"""Names around which the grammar is mended; each costs a look at the whole prompt."""
_NEAR = 200
"""Characters before a name among which its article is looked for."""

_HOLES_BY_WORDS = {"": "\ue000", "a person": "\ue001", _OTHERWISE: "\ue002"}
"""Private characters that stand for names that are being taken out, by what may stand for them."""
_HOLE = "[\ue000-\ue002]"
_HOLES = rf"{_HOLE}(?:(?:\s*,\s*|\s+and\s+|\s+or\s+|\s*&\s*|\s+){_HOLE})*"
_GAP = r"(?<![\s,;])[\s,;]*\b"
_MADE = r"(?:painted|drawn|made|created|designed|illustrated|rendered|sculpted|photographed|directed|written|inspired)"
_MANNER = r"(?:style|styles|manner|look|technique|spirit|vein|aesthetic|fashion|palette|vibe)"
_ART = r"(?:a|an|the|some|any|this|that|his|her|its|their)"
_DROPPED = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"{_GAP}(?:{_MADE}\s+)?(?:in|with|using|after|imitating|copying)\s+(?:{_ART}\s+)?(?:\w+\s+)?{_MANNER}\s+of\s+{_HOLES}",
        rf"{_GAP}(?:in|with|using)\s+(?:{_ART}\s+)?{_HOLES}(?:['’]s)?[\s-]*{_MANNER}\b",
        rf"{_GAP}{_MADE}\s+(?:by|after|from)\s+{_HOLES}",
        rf"{_GAP}(?:by|after|à la|a la)\s+{_HOLES}",
        rf"{_HOLES}(?:['’]s)?[\s-]+{_MANNER}\b",
    )
)
_LISTED = re.compile(rf"\b(of|by|after)\s+{_HOLES}\s+(?:and|or|&)\s+(?!{_ART}\b)(?=\w)", re.IGNORECASE)
"""The name is one of several in whose style something is drawn; the others stay."""
_SUFFIX = re.compile(rf"({_HOLE})(?:['’]s\b|['’](?=\s)|-(?:style|like|inspired|esque|themed|ish)\b)", re.IGNORECASE)
_FUNCTION_WORDS = frozenset({
    "a", "above", "against", "along", "an", "and", "are", "around", "as", "at", "be", "behind", "below", "beneath",
    "beside", "between", "but", "by", "for", "from", "has", "having", "holding", "in", "inside", "into", "is", "near",
    "next", "of", "off", "on", "onto", "or", "outside", "over", "that", "the", "then", "to", "under", "up", "upon",
    "was", "wearing", "were", "which", "while", "who", "whose", "with", "within", "without",
})  # fmt: skip
_SPACES = re.compile(r"\s+")
_COMMAS = re.compile(r"([,;])(?:\s?[,;])+")
_NEXT_WORD = re.compile(r"\s+([A-Za-z][\w'-]*)")
_ARTICLE_BEFORE = re.compile(rf"\b{_ART}((?:\s+[\w-]+)?)\s*$", re.IGNORECASE)
_MANY_BEFORE = re.compile(
    r"\b(?:two|three|four|five|six|seven|eight|nine|ten|many|several|few|both|these|those|some|\d+)(?:\s+[\w-]+)?\s*$",
    re.IGNORECASE,
)
_LOOSE_BEFORE = re.compile(r"\b(?:of|by|in|with|and|or|like|on)\s*$")
_LOOSE = frozenset({"and", "or", "of", "with", "in", "by"})
_MANY = {"a person": "people", _OTHERWISE: "things"}
_A_OR_AN = re.compile(r"\b([Aa])(n?)(\s+)(?=[A-Za-z])([A-Za-z]+)")
_SOUNDS_AS_CONSONANT = ("uni", "use", "usu", "eu", "one", "once", "ufo")
_SOUNDS_AS_VOWEL = ("hour", "honest", "heir", "honour", "honor")


@dataclass(frozen=True, kw_only=True, slots=True)
class NameThere:
    """A name at a place of the prompt. `words` stand in its place, as a plural where it is one; None: it is taken out."""

    start: int
    end: int
    kind: EntryKind
    words: str | None = None
    is_plural: bool = False

    @property
    def filling(self) -> str:
        """What is put in for the name at first."""
        if not self.words:
            return _HOLES_BY_WORDS[GENERAL_WORDS.get(self.kind, _OTHERWISE)]
        return f"{self.words}s" if self.is_plural and not self.words.endswith("s") else self.words


def spans_of(prompt: str, concept: Concept) -> list[tuple[int, int]]:
    """Where the concept is named: what the detectors met, and its phrases as whole words in any case."""
    found = [(start, end) for start, end in concept.met if 0 <= start < end <= len(prompt)]
    for phrase in sorted(concept.phrases, key=len, reverse=True):
        found += [match.span() for match in _loosely(phrase).finditer(prompt)]
    return found


@functools.lru_cache(maxsize=2048)
def _loosely(phrase: str) -> re.Pattern[str]:
    loose = r"[\s_-]+".join(map(re.escape, phrase.split()))
    return re.compile(rf"(?<!\w){loose}(?:e?s)?(?!\w)", re.IGNORECASE)


def answered_prompt(prompt: str, names: Sequence[NameThere]) -> str:
    """The prompt with each name answered by its words, or taken out; it may be empty. Names must not overlap. Where there
    are more than anybody writes they give way all the same, but the grammar around them is left as it is."""
    pieces, last = list[str](), 0
    clean = re.sub(_HOLE, " ", prompt)
    for name in sorted(names, key=lambda one: one.start):
        pieces += (clean[last : name.start], name.filling)
        last = name.end
    text = _evened("".join((*pieces, clean[last:])))
    if len(names) > MOST_MENDED:
        return _tidied(re.sub(_HOLE, " ", text), prompt)
    text = _SUFFIX.sub(r"\1", text)
    text = _LISTED.sub(r"\1 ", text)
    for pattern in _DROPPED:
        text = pattern.sub("", text)
    while hole := re.search(_HOLE, text):
        before, after = text[: hole.start()], text[hole.end() :]
        words = next(key for key, value in _HOLES_BY_WORDS.items() if value == hole[0])
        text = before + after if _describes(after, words) else _general(before, after, words)
    return _tidied(text, prompt)


def _evened(text: str) -> str:
    """One space and one comma where several stood: behind it no run of them is long."""
    return _COMMAS.sub(r"\1", _SPACES.sub(" ", text))


def _describes(after: str, words: str) -> bool:
    """True if the name may stand before the word that it describes; a person's name never does."""
    follows = _NEXT_WORD.match(after)
    return words != "a person" and follows is not None and follows[1].lower() not in _FUNCTION_WORDS


def _general(before: str, after: str, words: str) -> str:
    """A general word for a name that stands alone; its own article only where none stands there."""
    near = max(0, len(before) - _NEAR)
    article = _ARTICLE_BEFORE.search(before, near)
    if not words:
        if article is not None and not article[1].strip():
            before = before[: article.start()]
        if listed := re.match(r"\s+(?:and|or|&)\s+", after):
            return before + after[listed.end() :]
        return _LOOSE_BEFORE.sub("", before) + after
    if _MANY_BEFORE.search(before, near):
        return before + _MANY[words] + after
    return before + (words.split(" ", 1)[1] if article is not None else words) + after


def _tidied(text: str, original: str) -> str:
    """One space between words, no loose commas, "a" and "an" as they should be, the first letter as it was."""
    text = re.sub(r" ([,;.!?])", r"\1", _SPACES.sub(" ", text))
    text = _COMMAS.sub(r"\1", text).lstrip(" ,;.").rstrip(" ,;")
    words = text.split(" ")
    while len(words) > 1 and words[-1] in _LOOSE:
        words.pop()
    text = re.sub(r"^(?:and|or) ", "", " ".join(words))
    text = _A_OR_AN.sub(_fitting, text)
    return text[:1].upper() + text[1:] if original[:1].isupper() else text


def _fitting(match: re.Match[str]) -> str:
    word = match[4].lower()
    vowel = (word[0] in "aeiou" and not word.startswith(_SOUNDS_AS_CONSONANT)) or word.startswith(_SOUNDS_AS_VOWEL)
    if word in _FUNCTION_WORDS or len(word) == 1:
        return match[0]
    return f"{match[1]}{'n' if vowel else ''}{match[3]}{match[4]}"
