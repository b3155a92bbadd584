"""The restricted answers among those that vLLM computes together, for both of its model runners.

vLLM moves answers between the rows of a batch (runner V1) or keeps each in a slot while rows change at every step
(runner V2). Only restricted answers are known here; a batch without one costs a look at an empty dictionary. It does
not import vLLM: what it is given has the shape of vLLM 0.32's `BatchUpdate` and of plain lists.

Shapes: R rows of a step, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from guardrail.decoding.request import read_xargs
from guardrail.decoding.sequences import RestrictedSequence, Restrictions

if TYPE_CHECKING:
    import torch


class BatchChange(Protocol):
    """`vllm.v1.sample.logits_processor.BatchUpdate`. Added: (row, sampling parameters, prompt, running list of the
    answer's tokens); moved: (row, row, direction)."""

    @property
    def removed(self) -> Sequence[int]: ...
    @property
    def added(self) -> Sequence[tuple[int, Any, Any, list[int]]]: ...
    @property
    def moved(self) -> Sequence[tuple[int, int, Any]]: ...


class _Row(NamedTuple):
    sequence: RestrictedSequence
    tokens: list[int]


class RowBatch:
    """Runner V1: one row an answer, whose list of tokens grows by itself."""

    def __init__(self, restrictions: Restrictions) -> None:
        self._restrictions = restrictions
        self._rows: dict[int, _Row] = {}

    def update(self, change: BatchChange | None) -> None:
        """Follow the batch: answers leave, come and change places, in this order."""
        if change is None:
            return
        for row in change.removed:
            self._rows.pop(row, None)
        for row, parameters, _, tokens in change.added:
            self._rows.pop(row, None)
            request = read_xargs(parameters.extra_args)
            if request is not None:
                self._rows[row] = _Row(self._restrictions.sequence(request), tokens)
        if self._rows:
            for first, second, direction in change.moved:
                self._move(first, second, swap=direction.name == "SWAP")

    def _move(self, first: int, second: int, *, swap: bool) -> None:
        moving, other = self._rows.pop(first, None), self._rows.pop(second, None)
        if moving is not None:
            self._rows[second] = moving
        if swap and other is not None:
            self._rows[first] = other

    def apply(self, logits_RV: torch.Tensor) -> None:
        """Change the rows of restricted answers in place."""
        for row, (sequence, tokens) in self._rows.items():
            sequence.follow(tokens)
            sequence.adjust(logits_RV[row])


class StepRow(NamedTuple):
    """A row of one step of runner V2: its answer's slot, its place among the rows of that answer (0, or the number of
    drafted tokens before it), and the token that was read at it."""

    slot: int
    draft: int
    token: int


class SlotBatch:
    """Runner V2: one slot an answer; a slot is used again without notice of its old answer's end."""

    def __init__(self, restrictions: Restrictions) -> None:
        self._restrictions = restrictions
        self._slots: dict[int, RestrictedSequence] = {}

    def add(self, slot: int, extra_args: Mapping[str, object] | None) -> bool:
        """A new answer in a slot; True if it is restricted."""
        self._slots.pop(slot, None)
        request = read_xargs(extra_args)
        if request is not None:
            self._slots[slot] = self._restrictions.sequence(request)
        return request is not None

    def restricted(self, slots: Sequence[int]) -> list[int]:
        """Those of the slots that hold restricted answers."""
        return [slot for slot in slots if slot in self._slots] if self._slots else []

    def apply(
        self, logits_RV: torch.Tensor, rows: Sequence[StepRow], read_tokens: Callable[[int, int], Sequence[int]]
    ) -> None:
        """Change the rows of restricted answers in place. `read_tokens(slot, seen)`: the tokens of the answer in a slot
        that are settled, from number `seen` on."""
        drafted: list[int] = []
        for number, row in enumerate(rows):
            sequence = self._slots.get(row.slot)
            if sequence is None:
                continue
            if row.draft == 0:
                drafted = []
                sequence.push(read_tokens(row.slot, sequence.seen_tokens))
            else:
                drafted.append(row.token)
            sequence.adjust(logits_RV[number], drafted)
