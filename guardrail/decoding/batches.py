"""The restricted and offset answers among those that vLLM computes together, for both of its model runners.

vLLM moves answers between the rows of a batch (runner V1) or keeps each in a slot while rows change at every step
(runner V2). Only answers to be changed are known here; a batch without one costs a look at an empty dictionary. It does
not import vLLM: what it is given has the shape of vLLM 0.32's `BatchUpdate` and of plain lists.

Shapes: R rows of a step, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from guardrail.decoding.assistant import Assistant
from guardrail.decoding.changes import AllChanges, Changers
from guardrail.decoding.sequences import Restrictions

if TYPE_CHECKING:
    import torch


KEPT_STEPS = 32
"""For so many steps an answer's state is kept while none of its rows is computed (runner V2)."""


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
    sequence: AllChanges
    tokens: list[int]


class RowBatch:
    """Runner V1: one row an answer, whose list of tokens grows by itself. It tells no tokens of a prompt that was given
    as embeddings: an assistant then reads the answer alone."""

    def __init__(self, restrictions: Restrictions, assistant: Assistant | None = None) -> None:
        self._changers = Changers(restrictions, assistant)
        self._rows: dict[int, _Row] = {}

    def update(self, change: BatchChange | None) -> None:
        """Follow the batch: answers leave, come and change places, in this order."""
        if change is None:
            return
        for row in change.removed:
            self._rows.pop(row, None)
        for row, parameters, prompt, tokens in change.added:
            self._rows.pop(row, None)
            sequence = self._changers.begin(parameters.extra_args, partial(_given, prompt))
            if sequence is not None:
                self._rows[row] = _Row(sequence, tokens)
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
        """Change the rows of such answers in place."""
        for row, (sequence, tokens) in self._rows.items():
            sequence.follow(tokens)
            sequence.adjust(logits_RV[row])


def _given(prompt: Sequence[int] | None) -> Sequence[int]:
    return () if prompt is None else prompt


class StepRow(NamedTuple):
    """A row of one step of runner V2: its answer's slot, its place among the rows of that answer (0, or the number of
    drafted tokens before it), and the token that was read at it."""

    slot: int
    draft: int
    token: int


@dataclass(slots=True)
class _Slot:
    """`begin` makes the state of the answer, which reads all its tokens anew; None while it is not kept."""

    begin: Callable[[], AllChanges | None]
    sequence: AllChanges | None
    last_step: int


class SlotBatch:
    """Runner V2: one slot an answer; a slot is used again without notice of its old answer's end.

    So an answer that is in no step any more is taken for ended, and its state, which holds an assistant's key-value
    cache, is freed. One that only had to wait is read again.
    """

    def __init__(self, restrictions: Restrictions, assistant: Assistant | None = None) -> None:
        self._changers = Changers(restrictions, assistant)
        self._slots: dict[int, _Slot] = {}
        self._step = 0

    def next_step(self) -> None:
        """A step begins, whatever answers are in it."""
        self._step += 1
        for slot in self._slots.values():
            if self._step - slot.last_step > KEPT_STEPS:
                slot.sequence = None

    def add(
        self,
        slot: int,
        extra_args: Mapping[str, object] | None,
        read_prompt: Callable[[int], Sequence[int]] = lambda _: (),
    ) -> bool:
        """A new answer in a slot; True if it is to be changed. `read_prompt(slot)`: its prompt's tokens, asked for in the
        answer's first step, as they are not in place before."""
        self._slots.pop(slot, None)
        begin = partial(self._changers.begin, extra_args, partial(read_prompt, slot))
        sequence = begin()
        if sequence is not None:
            self._slots[slot] = _Slot(begin, sequence, self._step)
        return sequence is not None

    def changed(self, slots: Sequence[int]) -> list[int]:
        """Those of the slots that hold answers to be changed."""
        return [slot for slot in slots if slot in self._slots] if self._slots else []

    def apply(
        self, logits_RV: torch.Tensor, rows: Sequence[StepRow], read_tokens: Callable[[int, int], Sequence[int]]
    ) -> None:
        """Change the rows of such answers in place. `read_tokens(slot, seen)`: the tokens of the answer in a slot
        that are settled, from number `seen` on."""
        drafted: list[int] = []
        for number, row in enumerate(rows):
            sequence = self._sequence(row.slot)
            if sequence is None:
                continue
            if row.draft == 0:
                drafted = []
                sequence.push(read_tokens(row.slot, sequence.seen_tokens))
            else:
                drafted.append(row.token)
            sequence.adjust(logits_RV[number], drafted)

    def _sequence(self, number: int) -> AllChanges | None:
        """The state of the answer in a slot that is in this step; None if it is not to be changed."""
        slot = self._slots.get(number)
        if slot is None:
            return None
        slot.last_step = self._step
        if slot.sequence is None:
            slot.sequence = slot.begin()
        return slot.sequence
