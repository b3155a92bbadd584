"""What may stand in the place of something forgotten, and the texts that teach a pipeline's encoder what it is.

The anchor is the entry's substitute, else one of its neighbours, else nothing at all (its name is taken out). No real
person or artist is ever made to stand for another one. Pure; it knows no pipeline.
"""

from __future__ import annotations

import hashlib
import weakref
from bisect import bisect
from collections.abc import Mapping, Sequence
from dataclasses import replace

from guardrail.pictures import Concept
from guardrail.treatments.image.wording import NameThere, answered_prompt, spans_of
from retrieval.concept_states.frames import ORDINARY, WITHOUT_NEIGHBOURS, frames_of
from retrieval.concept_states.samples import ConceptTexts

MOST_PHRASES = 8
MOST_PAIRS = 48
MOST_KEPT = 48


def anchor_of(concept: Concept, others: Sequence[Concept] = (), *, turn: str = "") -> str | None:
    """What stands for the concept; among neighbours the choice hangs on `turn`, so that it is not always the same. None:
    nothing. Names of the request's other concepts are not taken: the next neighbour is."""
    if concept.substitute:
        return concept.substitute
    if concept.entry.entry.kind in WITHOUT_NEIGHBOURS or not concept.neighbors:
        return None
    forbidden = {phrase.casefold() for one in (concept, *others) for phrase in one.phrases}
    digest = hashlib.sha256(f"{concept.entry.id}\n{turn}".encode()).digest()
    first = int.from_bytes(digest[:4], "big") % len(concept.neighbors)
    turned = (*concept.neighbors[first:], *concept.neighbors[:first])
    return next((name for name in turned if name.casefold() not in forbidden), None)


def answered(prompt: str, concepts: Sequence[Concept], anchors: Mapping[str, str | None]) -> str:
    """The prompt with anchors (by entry id) in the place of names; those without one are taken out. As it is where none
    stands in it. Where names overlap the longest decides."""
    found = [
        _name_there(prompt, one, place, anchors.get(one.entry.id))
        for one in concepts
        for place in spans_of(prompt, one)
    ]
    taken = list[tuple[int, int, NameThere]]()
    for name in sorted(found, key=lambda one: (one.start - one.end, one.start)):
        place = bisect(taken, name.start, key=lambda one: one[0])
        is_free = place == 0 or taken[place - 1][1] <= name.start
        if is_free and (place == len(taken) or name.end <= taken[place][0]):
            taken.insert(place, (name.start, name.end, name))
    return answered_prompt(prompt, [name for _, _, name in taken]) if taken else prompt


def _name_there(prompt: str, concept: Concept, place: tuple[int, int], anchor: str | None) -> NameThere:
    start, end = place
    written, known = prompt[start:end].casefold(), {phrase.casefold() for phrase in concept.phrases}
    is_plural = written not in known and (written.removesuffix("s") in known or written.removesuffix("es") in known)
    return NameThere(start=start, end=end, kind=concept.entry.entry.kind, words=anchor, is_plural=is_plural)


def texts_of(concept: Concept, anchor: str | None) -> ConceptTexts:
    """Pairs of prompts with the concept and with what stands for it, and prompts to keep: its neighbours', and ordinary
    ones. Remembered while the entry is there: they cost some milliseconds, and many entries may be watched for."""
    entry = concept.entry
    if id(entry) not in _known:
        _known[id(entry)] = {}
        weakref.finalize(entry, _known.pop, id(entry), None).atexit = False
    key = (anchor, concept.phrases, concept.neighbors)
    known = _known[id(entry)]
    if key not in known:
        known[key] = _told(concept, anchor)
    return known[key]


_known: dict[int, dict[tuple[str | None, tuple[str, ...], tuple[str, ...]], ConceptTexts]] = {}
"""By the entry's identity, which is its own until it is gone."""


def _told(concept: Concept, anchor: str | None) -> ConceptTexts:
    """An entry's exemplars that name it are among the pairs: they are most like what callers will ask."""
    templates = [with_it for with_it, _ in frames_of(concept.entry.entry.kind)]
    phrases = concept.phrases[:MOST_PHRASES]
    exemplars = [text for text in concept.entry.entry.exemplars if spans_of(text, replace(concept, met=()))]
    asked = [*exemplars[: MOST_PAIRS // 2], *(template.format(name) for template in templates for name in phrases)]
    elsewhere, anchors = replace(concept, met=()), {concept.entry.id: anchor}
    pairs = [(text, answered(text, [elsewhere], anchors)) for text in dict.fromkeys(asked)]
    kept = [template.format(name) for template in templates for name in concept.neighbors]
    ordinary = [text for text in ORDINARY if not spans_of(text, elsewhere)]
    told = tuple((one, other) for one, other in pairs if one != other)[:MOST_PAIRS]
    return ConceptTexts(pairs=told, kept=(*ordinary, *dict.fromkeys(kept[:MOST_KEPT])))
