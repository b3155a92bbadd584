"""All that is done to the scores of one answer in vLLM, in order: the assistant's offset, then forbidden phrases.

Phrases come last, so that no offset brings a banned token back. It does not know batches or where tokens come from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from guardrail.decoding.assistant import Assistant
from guardrail.decoding.request import read_offset, read_xargs
from guardrail.decoding.sequences import Restrictions

if TYPE_CHECKING:
    import torch


class ScoreChange(Protocol):
    """What changes the scores of one answer and follows its tokens (`RestrictedSequence`, `OffsetSequence`)."""

    @property
    def seen_tokens(self) -> int: ...
    def follow(self, tokens: Sequence[int]) -> None: ...
    def push(self, tokens: Sequence[int]) -> None: ...
    def adjust(self, scores_V: torch.Tensor, drafted: Sequence[int] = ()) -> None: ...


class AllChanges:
    """Several changes as one. They are given the same tokens, so all have seen as many. There is at least one."""

    def __init__(self, changes: Sequence[ScoreChange]) -> None:
        self._changes = changes

    @property
    def seen_tokens(self) -> int:
        """How many tokens of the answer are known."""
        return self._changes[0].seen_tokens

    def follow(self, tokens: Sequence[int]) -> None:
        """Take note of all tokens so far."""
        for change in self._changes:
            change.follow(tokens)

    def push(self, tokens: Sequence[int]) -> None:
        """Take note of the next tokens."""
        for change in self._changes:
            change.push(tokens)

    def adjust(self, scores_V: torch.Tensor, drafted: Sequence[int] = ()) -> None:
        """Change the scores in place, one change upon the other."""
        for change in self._changes:
            change.adjust(scores_V, drafted)


class Changers:
    """What one server can do to its answers. Without an assistant no request for an offset is accepted
    (`ExpungeRestriction.validate_params`), so there none is looked for."""

    def __init__(self, restrictions: Restrictions, assistant: Assistant | None = None) -> None:
        self._restrictions = restrictions
        self._assistant = assistant

    def begin(
        self, arguments: Mapping[str, object] | None, read_prompt: Callable[[], Sequence[int]]
    ) -> AllChanges | None:
        """A new answer; None where the request asks for no change."""
        changes: list[ScoreChange] = []
        beta = read_offset(arguments) if self._assistant is not None else 0.0
        if self._assistant is not None and beta:
            changes.append(self._assistant.sequence(read_prompt, beta))
        request = read_xargs(arguments)
        if request is not None:
            changes.append(self._restrictions.sequence(request))
        return AllChanges(changes) if changes else None
