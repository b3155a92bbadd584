"""Restrictions on tensors: one answer follows its own tokens and changes the scores of those that may come next.

It does not know where the scores come from, how a token is chosen from them, or the vocabulary's family. The tensors
of a state are made once and shared by all answers with the same phrases.

Shapes: V the scores of one step (at least the vocabulary), N the tokens whose score changes, E the ending tokens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from guardrail.decoding.phrase_bans import Restriction, State
from guardrail.decoding.request import RestrictionRequest
from guardrail.decoding.vocabulary import Vocabulary

if TYPE_CHECKING:
    import torch

FLOOR = -1e4
"""Where no score is left above this, everything that was allowed has been banned (masks are -inf or near it)."""

_CACHED_REQUESTS = 256
_CACHED_STATES = 4096


class _Change(NamedTuple):
    """Tokens and what their scores lose. `source` is kept so that its identity stays its own."""

    source: Mapping[int, float]
    tokens_N: torch.Tensor
    values_N: torch.Tensor
    ending_E: torch.Tensor


class ScoreAdjuster:
    """Applies one restriction to scores."""

    def __init__(self, restriction: Restriction) -> None:
        self.restriction = restriction
        self._changes: dict[tuple[int, int, torch.device, torch.dtype], _Change] = {}

    def adjust(self, scores_V: torch.Tensor, state: State) -> None:
        """Change the scores in place. Something may always be chosen: an ending token, if nothing else is left."""
        import torch

        penalties = self.restriction.penalties(state)
        if not penalties:
            return
        change = self._change(penalties, scores_V)
        scores_V.index_add_(0, change.tokens_N, change.values_N)
        lost = scores_V.max() <= FLOOR  # stays on the device: nothing waits for it
        ending_E = scores_V[change.ending_E]
        scores_V[change.ending_E] = torch.where(lost, torch.zeros_like(ending_E), ending_E)

    def _change(self, penalties: Mapping[int, float], scores_V: torch.Tensor) -> _Change:
        import torch

        key = (id(penalties), scores_V.shape[0], scores_V.device, scores_V.dtype)
        known = self._changes.get(key)
        if known is None:
            if len(self._changes) >= _CACHED_STATES:
                self._changes.clear()
            # A model may have fewer outputs than its tokenizer has tokens.
            size, device = scores_V.shape[0], scores_V.device
            within = {token: value for token, value in penalties.items() if token < size}
            ending = [token for token in self.restriction.vocabulary.ending if token < size]
            known = self._changes[key] = _Change(
                source=penalties,
                tokens_N=torch.tensor(list(within), dtype=torch.long, device=device),
                values_N=torch.tensor(list(within.values()), dtype=scores_V.dtype, device=device),
                ending_E=torch.tensor(ending, dtype=torch.long, device=device),
            )
        return known


class RestrictedSequence:
    """One answer in the making. Only its own tokens count, not its prompt."""

    def __init__(self, adjuster: ScoreAdjuster) -> None:
        self._adjuster = adjuster
        self._state = Restriction.start
        self.seen_tokens = 0

    def follow(self, tokens: Sequence[int]) -> None:
        """Take note of all tokens so far; those seen before are not looked at again, unless some were taken back."""
        if len(tokens) < self.seen_tokens:
            self._state, self.seen_tokens = Restriction.start, 0
        self.push(tokens[self.seen_tokens :])

    def push(self, tokens: Sequence[int]) -> None:
        """Take note of the next tokens. A negative number is the place of one that is not known yet: it and what
        follows wait for the next call of `follow`."""
        for token in tokens:
            if token < 0:
                return
            self._state = self._adjuster.restriction.advance(self._state, token)
            self.seen_tokens += 1

    def adjust(self, scores_V: torch.Tensor, drafted: Sequence[int] = ()) -> None:
        """Change the scores of the token that follows those seen, and `drafted` ones that may yet be dropped."""
        state = self._state
        for token in drafted:
            state = self._adjuster.restriction.advance(state, token)
        self._adjuster.adjust(scores_V, state)


class Restrictions:
    """Makes sequences for one model's vocabulary; what is compiled for a request is kept for the next like it."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        @lru_cache(maxsize=_CACHED_REQUESTS)
        def adjuster(request: RestrictionRequest) -> ScoreAdjuster:
            restriction = Restriction(phrases=request.phrases, vocabulary=vocabulary, strength=request.strength)
            return ScoreAdjuster(restriction)

        self._adjuster = adjuster

    def sequence(self, request: RestrictionRequest) -> RestrictedSequence:
        """A new answer under these restrictions."""
        return RestrictedSequence(self._adjuster(request))
