"""Which tokens may come next, so that no forbidden phrase is ever written, however the model is asked.

The rule is the strictest simple one: **after every token the text so far, if it ended there, holds no forbidden
phrase.** A token that would leave one standing whole is banned. So it does not matter how the answer ends (by the
model, by its length, by a caller who hangs up), the end-of-text token is always allowed, and there is no dead end.
The price: with "Ann" forbidden, "Annual" still comes out as one token or as "An" + "nual", but not as "Ann" + "ual".
Waiting for the word's end instead would let "Ann" stand where the answer is cut, and drive a model that means "Paris"
into "Parisian".

A token that goes on with a phrase loses `strength * share ** 2` from its logit, `share` being how much of the phrase is
then written: so the model turns away before it stands at the end of a name, and a shared first name costs little. The
default of 5 makes an all but finished name about 150 times less likely. A token that begins a phrase is left alone
unless it writes half of it and more than two letters at once: " an" is no part of "Ann" to anyone.

Sources: GUARD (arXiv:2505.13312) restricts decoding by penalties for tokens of forbidden spans.
Differs from the paper: no beam search and no similarity of sentences; whole phrases are banned for certain.

It does not know entries, tensors, sampling, or what is cut from the text afterwards (a caller's stop string may cut
"Annual" to "Ann": the output inspector sees that). What stood in the prompt does not count.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from guardrail.decoding.phrase_trie import DEAD, ROOT, PhraseTrie, compile_phrases, kind_of
from guardrail.decoding.vocabulary import SortedTexts, Span, Vocabulary, Written, read

DEFAULT_STRENGTH = 5.0
BANNED = -math.inf

_BEGUN_SHARE = 0.5
_BEGUN_LETTERS = 3
_CACHE_LIMIT = 4096  # states; an answer in a language of split characters meets many


class State(NamedTuple):
    """Where the text stands. `places` are those of the trie that live, `unfinished` the bytes of a character that is
    not whole, `run` every place met since a run of single-byte tokens began (None outside of one)."""

    places: frozenset[int] = frozenset((ROOT,))
    unfinished: bytes = b""
    run: frozenset[int] | None = None


class Reached(NamedTuple):
    """What tokens do: write a phrase to its end, or carry one on to a share of it."""

    banned: frozenset[int]
    carried: Mapping[int, float]


class Restriction:
    """Forbidden phrases over one vocabulary. States are values: any number of answers share one restriction, in any
    number of threads."""

    start = State()

    def __init__(self, *, phrases: Iterable[str], vocabulary: Vocabulary, strength: float = DEFAULT_STRENGTH) -> None:
        self.vocabulary = vocabulary
        self.strength = strength
        self._trie: PhraseTrie = compile_phrases(tuple(phrases))
        self._from: dict[int, Reached] = {}
        self._penalties: dict[tuple[frozenset[int], bytes], Mapping[int, float]] = {}
        first = [vocabulary.inner.first.get(symbol) for symbol in self._trie.first_symbols()]
        # Tokens in which a phrase begins: these count wherever the text stands.
        self._anywhere = self._walk(vocabulary.inner, ROOT, [span for span in first if span is not None])

    def advance(self, state: State, token: int) -> State:
        """The state behind one more token."""
        trie, vocabulary = self._trie, self.vocabulary
        piece = vocabulary.pieces.get(token)
        if piece is None:  # shown or cut from the text: it may part words or not
            return state._replace(places=state.places | trie.behind_gap(state.places))
        written = self._write(state, token, piece)
        places = trie.follow(state.places, written.symbols).places
        if token not in vocabulary.bytes_alone:
            return State(places, written.unfinished)
        # The run may turn out unreadable as a whole: then everything in it is a gap.
        run = state.places | places | (state.run or frozenset())
        return State(places | trie.behind_gap(run), written.unfinished, run)

    def penalties(self, state: State) -> Mapping[int, float]:
        """What to add to the scores of tokens that may come next; tokens that are not named stay as they are.

        The same mapping is given for the same state: callers may keep what they make of it.
        """
        key = (state.places, state.unfinished)
        known = self._penalties.get(key)
        if known is None:
            if len(self._penalties) >= _CACHE_LIMIT:
                self._penalties.clear()
            known = self._penalties[key] = self._sum(state)
        return known

    def _write(self, state: State, token: int, piece: bytes) -> Written:
        if state.unfinished:
            return read(state.unfinished + piece)
        return self.vocabulary.written[token]

    def _sum(self, state: State) -> dict[int, float]:
        places = state.places
        banned = set(self._anywhere.banned)
        shares = dict(self._anywhere.carried)
        if state.unfinished:
            # Most tokens break the waiting character off; those that go on with it are tried one by one. A special
            # token between two halves of a character would leave open what is read.
            places = self._trie.behind_gap(places)
            banned.update(self._completing_halves(state))
            banned.update(self.vocabulary.silent)
        for place in places:
            reached = self._reached(place)
            banned.update(reached.banned)
            for token, share in reached.carried.items():
                shares[token] = max(share, shares.get(token, 0.0))
        out = {token: -self.strength * share**2 for token, share in shares.items()} if self.strength else {}
        out.update(dict.fromkeys(banned, BANNED))
        return out

    def _completing_halves(self, state: State) -> Iterator[int]:
        for token in self.vocabulary.continuing:
            written = self._write(state, token, self.vocabulary.pieces[token])
            if self._trie.follow(state.places, written.symbols).complete:
                yield token

    def _reached(self, place: int) -> Reached:
        """What every token does to the phrases that stand at `place`."""
        known = self._from.get(place)
        if known is None:
            known = self._from[place] = self._walk(self.vocabulary.whole, place, self.vocabulary.whole.first.values())
        return known

    def _walk(self, entries: SortedTexts, place: int, spans: Iterable[Span]) -> Reached:
        """Go down the tokens and the phrases together, from a place, along what they share."""
        trie, begun = self._trie, self._trie.depth[place]
        banned: set[int] = set()
        carried: dict[int, float] = {}
        waiting = [(place, span, 0) for span in spans]
        while waiting:
            at, span, depth = waiting.pop()
            kind = kind_of(span.symbol)
            if trie.whole[at] and trie.ends_word(at, kind):
                banned.update(entries.tokens[span.low : span.high])
                continue
            at, low, depth = trie.step(at, span.symbol, kind), span.low, depth + 1
            if at == DEAD:
                continue
            while low < span.high and len(entries.texts[low]) == depth:
                token = entries.tokens[low]
                if trie.whole[at]:
                    banned.add(token)
                elif trie.depth[at] > begun and (begun or self._counts_as_begun(at)):
                    carried[token] = max(trie.share(at), carried.get(token, 0.0))
                low += 1
            waiting.extend((at, branch, depth) for branch in entries.branches(low, span.high, depth))
        return Reached(frozenset(banned), carried)

    def _counts_as_begun(self, place: int) -> bool:
        return self._trie.share(place) >= _BEGUN_SHARE and self._trie.depth[place] >= _BEGUN_LETTERS
