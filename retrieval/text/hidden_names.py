"""Names, aliases and facts that are in a text, but not as plain words: the sum of the ways to hide them.

    near spellings, joined and scattered letters, other scripts, other orders of the name     on the text as written
    names and facts in plain, joined or nearly right words                                    on every other reading

The phrases of an entry come and go one by one; nothing is rebuilt. Where a plain phrase of any entry stands, no near
spelling of another is found: it is that other's name. It does not know scopes or policies. Scores: 1 = as good as the
plain name; below `MATCH_SCORE` a hit is a hint for a judge, not a match.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from retrieval.text.automaton import PhraseAutomaton
from retrieval.text.foreign_names import ForeignNames
from retrieval.text.foreign_words import has_foreign
from retrieval.text.joined_names import JoinedNames
from retrieval.text.name_forms import FormTag, forms_of, score_of
from retrieval.text.near_names import NearName, NearNames
from retrieval.text.phrases import Phrase, PhraseTag
from retrieval.text.reading import Reading
from retrieval.text.readings import READINGS_CAP_CHARS, readings_of, unknown_places
from retrieval.text.views import Span, TextView, normalise

MATCH_SCORE = 0.62
_DEPTH = 2
_READING_SCORE = 0.98
_BUDGET_SHARE = 12  # characters of readings looked at for each character of the text
_BUDGET_CHARS = 20_000


_USUAL_WAYS = frozenset({"joined", "near spelling", "other script", "last name first", "initials", "without initials"})


@dataclass(frozen=True, kw_only=True, slots=True)
class HiddenHit:
    """A phrase at a range of the text as written; `how` tells how it is written there."""

    tag: PhraseTag
    start: int
    end: int
    how: str
    score: float

    @property
    def is_match(self) -> bool:
        """False for a hint."""
        return self.score >= MATCH_SCORE

    @property
    def is_disguised(self) -> bool:
        """True unless it stands there as people write names: misspelt, abbreviated, joined, in their own script."""
        return self.how not in _USUAL_WAYS


@dataclass(frozen=True, kw_only=True, slots=True)
class HiddenHits:
    """`truncated`: the text is longer, or holds more to decode, than is looked at; the rest was read as it stands only."""

    hits: tuple[HiddenHit, ...]
    truncated: bool = False


@dataclass(slots=True)
class _Budget:
    chars: int
    is_spent: bool = False

    def takes(self, chars: int) -> bool:
        self.chars -= chars
        self.is_spent |= self.chars < 0
        return not self.is_spent


class HiddenNames:
    """See the module. `plain` holds the same phrases as plain words. Not thread-safe: one thread owns it."""

    def __init__(self, plain: PhraseAutomaton[PhraseTag], *, cap_chars: int = READINGS_CAP_CHARS) -> None:
        self._plain = plain
        self._cap_chars = cap_chars
        self._near = NearNames()
        self._joined = JoinedNames()
        self._foreign = ForeignNames()
        self._forms: PhraseAutomaton[FormTag] = PhraseAutomaton()

    def add(self, phrases: Sequence[Phrase]) -> None:
        """Take an entry's phrases in."""
        for words, tag in _names(phrases):
            self._near.add(words, tag)
            self._joined.add(words, tag)
            self._foreign.add(words, tag)
            for form in forms_of(words, tag):
                self._forms.add(form.text, form.tag)

    def remove(self, phrases: Sequence[Phrase]) -> None:
        """Take an entry's phrases out."""
        for words, tag in _names(phrases):
            self._near.remove(words, tag)
            self._joined.remove(words, tag)
            self._foreign.remove(words, tag)
            for form in forms_of(words, tag):
                self._forms.remove(form.text, form.tag)

    def find(self, text: str) -> HiddenHits:
        """Every hidden phrase, the best hit for each entry and place, by place."""
        truncated = len(text) > self._cap_chars
        looked = text[: self._cap_chars] if truncated else text
        budget = _Budget(_BUDGET_CHARS + _BUDGET_SHARE * len(looked))
        best: dict[tuple[str, int], HiddenHit] = {}
        for hit in self._find(looked, _DEPTH, budget):
            key = (hit.tag.entry_id, hit.end)
            known = best.get(key)
            if known is None or (hit.score, hit.start) > (known.score, known.start):
                best[key] = hit
        hits = tuple(sorted(best.values(), key=lambda hit: (hit.start, hit.end)))
        return HiddenHits(hits=hits, truncated=truncated or budget.is_spent)

    def _find(self, text: str, depth: int, budget: _Budget) -> Iterator[HiddenHit]:
        view = normalise(text)
        unknown = unknown_places(view)
        yield from self._as_written(text, view, unknown, budget)
        if depth == 0:
            return
        for reading in readings_of(text, self._near.words).readings:
            if budget.takes(len(reading.text)):
                yield from self._in_reading(reading, depth, budget)

    def _as_written(self, text: str, view: TextView, unknown: Sequence[int], budget: _Budget) -> Iterator[HiddenHit]:
        """What the text's own words hide."""
        found = [(near, "joined") for near in self._joined.apart(text, view)]
        found += [(near, "joined") for near in self._joined.inside(view)]
        near_ones = list(self._near.find(text, view, unknown)) if unknown else []
        if near_ones:
            plain = [Span(hit.start, hit.end) for hit in self._plain.find(text)]
            found += [(near, "near spelling") for near in near_ones if not _covered(view, near, plain)]
        for near, how in found:
            start, end = view.starts[near.first], view.ends[near.last]
            yield from (HiddenHit(tag=tag, start=start, end=end, how=how, score=near.score) for tag in near.tags)
        yield from self._other_forms(text)
        if has_foreign(text):
            foreign = self._foreign.find(text)
            budget.is_spent |= foreign.truncated
            for name in foreign.names:
                yield from (
                    HiddenHit(tag=tag, start=name.start, end=name.end, how="other script", score=name.score)
                    for tag in name.tags
                )

    def _other_forms(self, text: str) -> Iterator[HiddenHit]:
        for hit in self._forms.find(text):
            for form in hit.tags:
                score = score_of(
                    form, text, Span(hit.start, hit.end), shared=len({tag.tag.entry_id for tag in hit.tags})
                )
                if score > 0:
                    yield HiddenHit(tag=form.tag, start=hit.start, end=hit.end, how=form.how, score=score)

    def _in_reading(self, reading: Reading, depth: int, budget: _Budget) -> Iterator[HiddenHit]:
        """Plain phrases of the reading, and what is hidden in it in turn."""
        for hit in self._plain.find(reading.text):
            span = reading.original(hit.start, hit.end)
            for tag in hit.tags:
                if tag.always and not tag.exact_case:
                    score = _READING_SCORE
                    yield HiddenHit(tag=tag, start=span.start, end=span.end, how=reading.how, score=score)
        inner = list(self._loose(reading.text)) if reading.is_loose else []
        if reading.is_whole:
            inner += self._find(reading.text, depth - 1, budget)
        for found in inner:
            span = reading.original(found.start, found.end)
            score = round(found.score * _READING_SCORE, 3)
            yield HiddenHit(tag=found.tag, start=span.start, end=span.end, how=reading.how, score=score)

    def _loose(self, text: str) -> Iterator[HiddenHit]:
        """Names in a text of fragments: put together from several, or nearly right."""
        view = normalise(text)
        found = [*self._joined.apart(text, view, is_loose=True), *self._near.find(text, view, unknown_places(view))]
        for near in found:
            start, end = view.starts[near.first], view.ends[near.last]
            yield from (HiddenHit(tag=tag, start=start, end=end, how="joined", score=near.score) for tag in near.tags)


def _covered(view: TextView, near: NearName, plain: Sequence[Span]) -> bool:
    start, end = view.starts[near.first], view.ends[near.last]
    return any(span.start < end and start < span.end for span in plain)


def _names(phrases: Sequence[Phrase]) -> Iterator[tuple[tuple[str, ...], PhraseTag]]:
    """The words of the names and aliases that are worth looking for; not their joined spellings."""
    telling = [
        (normalise(phrase.text).words, phrase.tag)
        for phrase in phrases
        if phrase.tag.kind != "fact" and phrase.tag.always and not phrase.tag.exact_case
    ]
    joined = {"".join(words) for words, _ in telling if len(words) > 1}
    for words, tag in telling:
        if len(words) > 1 or words[0] not in joined:
            yield words, tag
