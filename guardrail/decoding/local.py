"""Restrictions for the embedded backend: a request's phrases -> what `local_sequence` calls before it chooses a token.

    restrictions = LocalRestrictions(loaded.tokenizer, loaded.stop_ids)     # once per model
    restricted = restrictions.sequence(request)                             # once per answer
    restricted.adjust(scores_V, tokens)                                     # before every token

The vocabulary is read when the first restricted answer begins: about a second for 150,000 tokens. It does not know the
backend, sampling or threads, but that answers may begin in several at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from threading import Lock
from typing import TYPE_CHECKING, Any

from guardrail.decoding.request import RestrictionRequest
from guardrail.decoding.sequences import RestrictedSequence, Restrictions
from guardrail.decoding.tokenizer_pieces import tokenizer_vocabulary

if TYPE_CHECKING:
    import torch


class LocalRestriction:
    """The restriction of one answer."""

    def __init__(self, sequence: RestrictedSequence) -> None:
        self._sequence = sequence

    def adjust(self, scores_V: torch.Tensor, tokens: Sequence[int]) -> None:
        """Change the raw scores of the next token in place; `tokens` are all tokens of the answer so far."""
        self._sequence.follow(tokens)
        self._sequence.adjust(scores_V)


class LocalRestrictions:
    """The restrictions of one loaded model. `ending`: the tokens that end its answers."""

    def __init__(self, tokenizer: Any, ending: Iterable[int]) -> None:
        self._tokenizer = tokenizer
        self._ending = frozenset(ending)
        self._restrictions: Restrictions | None = None
        self._lock = Lock()

    def sequence(self, request: RestrictionRequest) -> LocalRestriction:
        """A new answer. Raises `UnreadableTokenizerError` for a tokenizer that cannot be told token by token."""
        with self._lock:
            if self._restrictions is None:
                self._restrictions = Restrictions(tokenizer_vocabulary(self._tokenizer, ending=self._ending))
        return LocalRestriction(self._restrictions.sequence(request))
