"""Cuts documents into claims: short sentences that say something, each of which can be understood alone.

Headings, link lists and reference lists are left out; list items are gathered under their heading ("Albums: A (2003); B
(2005)"). "He was born in ..." does not say who: what a claim is compared by has the entry's name before it. It does not
know embedders, judges or other entries. Sizes are in characters (`_chars`) or counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from retrieval.memory.name_runs import name_words
from retrieval.text.views import normalise, sentences

CLAIMS_LIMIT = 512
"""Most claims of an entry; more are thinned evenly, those that name nothing first."""

CLAIM_CHARS = 300
"""A longer sentence is cut into clauses."""

_SHORTEST_CHARS = 24
_FEWEST_WORDS = 4
_HEADING = re.compile(r"={2,}\s*([^=\n]{1,120}?)\s*={2,}|^#{1,6}[ \t]+([^\n]{1,120})$", re.MULTILINE)
_NOISE = re.compile(
    r"(?:external links?|further reading|see also|references|reference list|notes(?: and references)?|footnotes|citations|"
    r"sources|works cited|general bibliography|navigation|weblinks|einzelnachweise|liens externes|enlaces externos)",
    re.IGNORECASE,
)
_GLUED = re.compile(r"(?<=[a-z0-9\)\"”])([.!?][\"”]?)(?=[A-Z][a-z ])")  # pages lose the space between paragraphs
_STATED = re.compile(r"[.!?…][\"'”’»)\]]*$|[。！？]$")
_SAYING = re.compile(r"\b[a-z]{2,}\b")
_CLAUSE = re.compile(r"[;:–—] |, (?=(?:and|but|while|which|who|whose|where|when|after|before|including)\b)")
_TELLING = re.compile(r"\d|(?<=[\w,;:)] )[A-ZÀ-Þ\"“]")
_LINK = re.compile(r"https?://|www\.|\bISBN\b|\bdoi:|\bRetrieved\b")


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """A sentence as it stands in the document, and the same with what it needs to be understood alone."""

    sentence: str
    text: str


def claims_of(name: str, documents: Sequence[str]) -> list[Claim]:
    """The claims of documents about `name`, in their order; sentences that compare equal once."""
    found: dict[tuple[str, ...], Claim] = {}
    own = set(name_words(name))
    for sentence in _sentences(documents):
        words = normalise(sentence).words
        if len(words) >= 2 and words not in found:
            found[words] = _alone(sentence, name, own)
    return _thinned(list(found.values()))


def claim_of(name: str, sentence: str) -> Claim:
    """One sentence as a claim about `name`, whatever it says."""
    return _alone(" ".join(sentence.split()), name, set(name_words(name)))


def _alone(sentence: str, name: str, own: set[str]) -> Claim:
    is_named = bool(own) and own <= set(normalise(sentence).words)
    return Claim(sentence=sentence, text=sentence if is_named else f"{name}: {sentence}")


def _sentences(documents: Sequence[str]) -> Iterator[str]:
    """Sentences of at most `CLAIM_CHARS`, and list items gathered under their heading, also across documents."""
    under, items = "", list[str]()
    for heading, body in (section for document in documents for section in _sections(document)):
        if heading != under:
            yield from _gathered(under, items)
            under, items = heading, []
        if _NOISE.fullmatch(heading):
            continue
        for sentence in _whole(_GLUED.sub(r"\1 ", body)):
            if _says_something(sentence):
                yield from _cut(sentence)
            elif sentence and heading and not _LINK.search(sentence):
                items.append(sentence.rstrip(" ;,"))
    yield from _gathered(under, items)


def _whole(body: str) -> Iterator[str]:
    """Sentences, put together again where the cut fell into brackets or before a small letter ("Repo! the ...")."""
    held = ""
    for span in sentences(body):
        piece = " ".join(body[span.start : span.end].split())
        is_open = held.count("(") > held.count(")") and len(held) < 2 * CLAIM_CHARS
        if held and (is_open or piece[:1].islower()):
            held = f"{held} {piece}"
            continue
        if held:
            yield held
        held = piece.lstrip("*•·-– ")
    if held:
        yield held


def _sections(document: str) -> Iterator[tuple[str, str]]:
    """Headings with what stands below each; the first without one, if anything stands there."""
    heading, start = "", 0
    for match in _HEADING.finditer(document):
        if document[start : match.start()].strip():
            yield heading, document[start : match.start()]
        heading, start = (match[1] or match[2] or "").strip(), match.end()
    yield heading, document[start:]


def _says_something(sentence: str) -> bool:
    if len(sentence) < _SHORTEST_CHARS or _LINK.search(sentence):
        return False
    words = sentence.split()
    if len(words) < _FEWEST_WORDS:
        return len(normalise(sentence).words) >= 2 * _FEWEST_WORDS  # scripts without spaces
    return bool(_STATED.search(sentence)) and (len(_SAYING.findall(sentence)) >= 2 or not sentence.isascii())


def _cut(sentence: str) -> Iterator[str]:
    """A sentence as clauses of at most `CLAIM_CHARS`, cut where a clause ends if possible."""
    rest = sentence
    while len(rest) > CLAIM_CHARS:
        ends = [match.end() for match in _CLAUSE.finditer(rest, CLAIM_CHARS // 3, CLAIM_CHARS)]
        cut = ends[-1] if ends else rest.rfind(" ", 1, CLAIM_CHARS)
        if cut <= 0:
            cut = CLAIM_CHARS
        yield rest[:cut].rstrip(" ,;:–—")
        rest = rest[cut:].lstrip()
    if len(rest) >= _SHORTEST_CHARS:
        yield rest


def _gathered(heading: str, items: Sequence[str]) -> Iterator[str]:
    """List items under their heading, as many together as fit."""
    line = ""
    for item in items:
        longer = f"{line}; {item}" if line else f"{heading}: {item}"
        if line and len(longer) > CLAIM_CHARS:
            yield line
            longer = f"{heading}: {item}"
        line = longer[:CLAIM_CHARS]
    if len(line) >= _SHORTEST_CHARS:
        yield line


def _thinned(claims: list[Claim]) -> list[Claim]:
    """At most `CLAIMS_LIMIT`, in their order: claims that name something or give a number come before the others."""
    if len(claims) <= CLAIMS_LIMIT:
        return claims
    telling = [number for number, claim in enumerate(claims) if _TELLING.search(claim.sentence)]
    others = sorted(set(range(len(claims))) - set(telling))
    kept = _evenly(telling, CLAIMS_LIMIT)
    kept += _evenly(others, CLAIMS_LIMIT - len(kept))
    return [claims[number] for number in sorted(kept)]


def _evenly(numbers: Sequence[int], most: int) -> list[int]:
    if len(numbers) <= most:
        return list(numbers)
    return [numbers[place * len(numbers) // most] for place in range(most)]
