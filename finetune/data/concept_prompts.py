"""Prompts with what is to be forgotten and without it, and prompts to keep: what edits of diffusion models learn from.

What stands in a concept's place is the entry's substitute, else its first neighbour that is not to be forgotten, too, else
nothing but the plain words of the prompt; no real person or artist is ever made to stand for another one. An entry's
exemplars that name it are among the prompts. It knows no pipeline.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from finetune.errors import InvalidData
from retrieval.concept_states.frames import ORDINARY, WITHOUT_NEIGHBOURS, Frame, frames_of
from retrieval.concept_states.samples import ConceptTexts
from retrieval.entry import ForgetEntry

MOST_NAMES = 8
MOST_PAIRS = 64
MOST_KEPT = 64


def concept_texts(entries: Sequence[ForgetEntry]) -> ConceptTexts:
    """Pairs and prompts to keep of all entries. Raises `InvalidData` for none, and for an entry without a name."""
    forgotten = _names(entries)
    pairs: list[Frame] = []
    kept: list[str] = []
    for entry in entries:
        frames, names, anchor = frames_of(entry.kind), _names([entry])[:MOST_NAMES], anchor_of(entry, entries)
        own = [*_exemplars(entry, names, anchor), *_framed(frames, names, anchor)]
        pairs += list(dict.fromkeys(own))[:MOST_PAIRS]
        kept += [with_it.format(name) for with_it, _ in frames for name in entry.neighbors][:MOST_KEPT]
    return ConceptTexts(pairs=tuple(pairs), kept=tuple(dict.fromkeys(_unnamed([*ORDINARY, *kept], forgotten))))


def single_words(entries: Sequence[ForgetEntry]) -> ConceptTexts:
    """The bare names and what stands in their place; the neighbours' bare names to keep. Raises as `concept_texts`."""
    pairs = [(name, anchor_of(entry, entries) or "") for entry in entries for name in _names([entry])[:MOST_NAMES]]
    near = _unnamed([name for entry in entries for name in entry.neighbors], _names(entries))
    return ConceptTexts(pairs=tuple(pairs), kept=tuple(dict.fromkeys(["", *near])))


def anchor_of(entry: ForgetEntry, others: Sequence[ForgetEntry] = ()) -> str | None:
    """What stands in the concept's place, which is none of the `others`; None: nothing."""
    if entry.substitute:
        return entry.substitute
    if entry.kind in WITHOUT_NEIGHBOURS:
        return None
    return next(iter(_unnamed(entry.neighbors, _names([entry, *others]))), None)


def _names(entries: Sequence[ForgetEntry]) -> list[str]:
    nameless = [entry.id for entry in entries if not any(name.strip() for name in entry.names)]
    if nameless or not entries:
        which = f"the entry '{nameless[0]}' has no name" if nameless else "there is no entry"
        raise InvalidData(f"No prompt can be made that asks for what is to be forgotten: {which}. Give it one.")
    return [name for entry in entries for name in entry.names if name.strip()]


def _framed(frames: Sequence[Frame], names: Sequence[str], anchor: str | None) -> Iterator[Frame]:
    for with_it, without in frames:
        for name in names:
            yield with_it.format(name), with_it.format(anchor) if anchor else without


def _exemplars(entry: ForgetEntry, names: Sequence[str], anchor: str | None) -> Iterator[Frame]:
    pattern = _pattern(names)
    for text in entry.exemplars[: MOST_PAIRS // 2]:
        if pattern.search(text):
            yield text, re.sub(r"\s+", " ", pattern.sub(lambda _: anchor or "", text)).strip()


def _unnamed(texts: Iterable[str], names: Sequence[str]) -> list[str]:
    """Those that name none of what is to be forgotten."""
    pattern = _pattern(names)
    return [text for text in texts if not pattern.search(text)]


def _pattern(names: Sequence[str]) -> re.Pattern[str]:
    longest_first = sorted(names, key=len, reverse=True)
    return re.compile(r"(?<!\w)(?:" + "|".join(map(re.escape, longest_first)) + r")(?!\w)", re.IGNORECASE)
