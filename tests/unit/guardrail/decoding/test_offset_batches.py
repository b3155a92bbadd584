"""Offset answers in vLLM's batches, beside restricted ones and those that are both."""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from guardrail.decoding.assistant import Assistant, OffsetSequence, offset
from guardrail.decoding.batches import KEPT_STEPS, RowBatch, SlotBatch, StepRow
from guardrail.decoding.request import RestrictionRequest, offset_xargs
from guardrail.decoding.sequences import Restrictions
from guardrail.decoding.tokenizer_pieces import tokenizer_vocabulary
from tests.fakes import small_tokenizers
from tests.fakes.assistants import expecting
from tests.fakes.tiny_llama import tiny_llama

TOKENIZER = small_tokenizers.byte_level()
SIZE = len(TOKENIZER)
RESTRICTIONS = Restrictions(tokenizer_vocabulary(TOKENIZER))
NEW, YORK, ANN = (small_tokenizers.token_of(TOKENIZER, text) for text in (" New", " York", " Ann"))
MODEL = tiny_llama(vocab_size=SIZE).eval()
ASSISTANT = Assistant(MODEL, context_tokens=64)
OFFSET = offset_xargs(0.75)
PROMPT = [NEW, ANN, NEW]


@dataclass(frozen=True)
class Change:
    """As vLLM's BatchUpdate."""

    removed: list[int] = field(default_factory=list)
    added: list[tuple[int, Any, Any, list[int]]] = field(default_factory=list)
    moved: list[tuple[int, int, Any]] = field(default_factory=list)


def added(row: int, extra: dict[str, Any] | None, prompt: list[int] | None, tokens: list[int]) -> Change:
    return Change(added=[(row, SimpleNamespace(extra_args=extra), prompt, tokens)])


def wanted(*ids: int, beta: float = 0.75) -> torch.Tensor:
    """Scores of zero with the offset behind these tokens."""
    scores_V = torch.zeros(SIZE)
    with torch.no_grad():
        offset(scores_V, MODEL(input_ids=torch.tensor([ids])).logits[0, -1], beta)
    return scores_V


def rows_of(batch: RowBatch, rows: int = 2) -> torch.Tensor:
    scores_RV = torch.zeros(rows, SIZE)
    batch.apply(scores_RV)
    return scores_RV


def test_a_row_is_offset_behind_its_prompt_and_its_own_answer() -> None:
    batch, tokens = RowBatch(RESTRICTIONS, ASSISTANT), list[int]()
    batch.update(added(1, OFFSET, PROMPT, tokens))
    batch.update(added(0, None, PROMPT, []))
    for token in (YORK, ANN, NEW):
        found = rows_of(batch)
        assert torch.allclose(found[1], wanted(*PROMPT, *tokens), atol=1e-5)
        assert not found[0].any()
        tokens.append(token)


def test_a_row_that_moves_keeps_its_offset_and_one_that_leaves_does_not() -> None:
    batch = RowBatch(RESTRICTIONS, ASSISTANT)
    batch.update(added(0, OFFSET, PROMPT, [YORK]))
    rows_of(batch)
    batch.update(Change(moved=[(0, 1, SimpleNamespace(name="UNIDIRECTIONAL"))]))
    found = rows_of(batch)
    assert torch.allclose(found[1], wanted(*PROMPT, YORK), atol=1e-5)
    assert not found[0].any()
    batch.update(Change(removed=[1]))
    assert not rows_of(batch).any()


def test_a_prompt_of_embeddings_leaves_the_answer_to_be_read() -> None:
    batch, tokens = RowBatch(RESTRICTIONS, ASSISTANT), list[int]()
    batch.update(added(0, OFFSET, None, tokens))
    assert not rows_of(batch).any()
    tokens.append(YORK)
    assert torch.allclose(rows_of(batch)[0], wanted(YORK), atol=1e-5)


def test_forbidden_phrases_come_behind_the_offset() -> None:
    both = {**OFFSET, **RestrictionRequest(phrases=("New York",)).to_xargs()}
    # The assistant expects anything but York, so that the offset speaks for it.
    elsewhere = expecting((token for token in range(SIZE) if token != YORK), vocab_size=SIZE)
    batch = RowBatch(RESTRICTIONS, Assistant(elsewhere, context_tokens=64))
    batch.update(added(0, OFFSET, PROMPT, [NEW]))
    batch.update(added(1, both, PROMPT, [NEW]))
    found = rows_of(batch)
    assert found[0].argmax() == YORK
    assert found[1, YORK] == -math.inf
    assert found[1, ANN] == pytest.approx(float(found[0, ANN]))


def test_where_the_likeliest_is_forbidden_the_next_is_taken_and_the_answer_goes_on() -> None:
    both = {**OFFSET, **RestrictionRequest(phrases=("New York",), strength=0).to_xargs()}
    batch = RowBatch(RESTRICTIONS, ASSISTANT)
    batch.update(added(0, both, PROMPT, [NEW]))
    scores_RV = torch.zeros(1, SIZE)
    scores_RV[0, YORK], scores_RV[0, ANN] = 20.0, 5.0
    batch.apply(scores_RV)
    assert scores_RV[0].argmax() == ANN


def test_an_offset_of_nothing_is_none() -> None:
    batch, slots = RowBatch(RESTRICTIONS, ASSISTANT), SlotBatch(RESTRICTIONS, ASSISTANT)
    batch.update(added(0, offset_xargs(0.0), PROMPT, []))
    assert not rows_of(batch).any()
    assert not slots.add(0, offset_xargs(0.0))


def step(batch: SlotBatch, kept: dict[int, list[int]], *rows: StepRow) -> torch.Tensor:
    scores_RV = torch.zeros(len(rows), SIZE)
    batch.apply(scores_RV, rows, lambda slot, seen: kept[slot][seen:])
    return scores_RV


def test_a_slots_prompt_is_read_in_its_first_step() -> None:
    batch, prompts = SlotBatch(RESTRICTIONS, ASSISTANT), dict[int, list[int]]()
    assert batch.add(3, OFFSET, lambda slot: prompts[slot])
    assert not batch.add(1, None, lambda slot: prompts[slot])
    assert batch.changed([1, 3]) == [3]
    prompts[3] = PROMPT
    kept = {3: list[int]()}
    for token in (YORK, ANN):
        found = step(batch, kept, StepRow(1, 0, NEW), StepRow(3, 0, NEW))
        assert torch.allclose(found[1], wanted(*PROMPT, *kept[3]), atol=1e-5)
        assert not found[0].any()
        kept[3].append(token)


def test_drafted_tokens_are_read_for_the_rows_behind_them_and_dropped_again() -> None:
    batch, kept = SlotBatch(RESTRICTIONS, ASSISTANT), {0: [YORK]}
    batch.add(0, OFFSET, lambda _: PROMPT)
    found = step(batch, kept, StepRow(0, 0, YORK), StepRow(0, 1, ANN), StepRow(0, 2, NEW))
    for row, drafted in enumerate(([], [ANN], [ANN, NEW])):
        assert torch.allclose(found[row], wanted(*PROMPT, YORK, *drafted), atol=1e-5)
    kept[0].append(NEW)
    assert torch.allclose(step(batch, kept, StepRow(0, 0, NEW))[0], wanted(*PROMPT, YORK, NEW), atol=1e-5)


def test_a_slot_that_is_used_again_has_the_prompt_of_its_new_answer() -> None:
    batch = SlotBatch(RESTRICTIONS, ASSISTANT)
    batch.add(0, OFFSET, lambda _: PROMPT)
    step(batch, {0: [YORK]}, StepRow(0, 0, YORK))
    batch.add(0, {**OFFSET, **RestrictionRequest(phrases=("New York",)).to_xargs()}, lambda _: [ANN])
    found = step(batch, {0: [NEW]}, StepRow(0, 0, NEW))[0]
    assert found[YORK] == -math.inf
    unchanged = found > -math.inf
    unchanged[small_tokenizers.token_of(TOKENIZER, " Yor")] = False  # goes on with what is forbidden, and loses for it
    assert torch.allclose(found[unchanged], wanted(ANN, NEW)[unchanged], atol=1e-5)


class Watched(Assistant):
    """Remembers its answers as long as somebody else does."""

    def __init__(self) -> None:
        super().__init__(MODEL, context_tokens=64)
        self.made: list[weakref.ref[OffsetSequence]] = []

    def sequence(self, read_prompt: Callable[[], Sequence[int]], beta: float) -> OffsetSequence:
        made = super().sequence(read_prompt, beta)
        self.made.append(weakref.ref(made))
        return made

    @property
    def alive(self) -> list[bool]:
        return [one() is not None for one in self.made]


def test_an_answer_that_is_in_no_step_any_more_is_freed_and_the_others_are_not() -> None:
    assistant = Watched()
    batch, kept = SlotBatch(RESTRICTIONS, assistant), {0: [YORK], 1: [YORK]}
    for slot in kept:
        batch.add(slot, OFFSET, lambda _: PROMPT)
    step(batch, kept, StepRow(0, 0, YORK), StepRow(1, 0, YORK))
    for _ in range(KEPT_STEPS + 1):
        assert assistant.alive == [True, True]
        batch.next_step()
        step(batch, kept, StepRow(1, 0, YORK))
    assert assistant.alive == [False, True]


def test_an_answer_that_had_to_wait_for_long_goes_on_as_if_it_had_not() -> None:
    assistant = Watched()
    both = {**OFFSET, **RestrictionRequest(phrases=("New York",)).to_xargs()}
    batch, waited_for, kept = SlotBatch(RESTRICTIONS, assistant), SlotBatch(RESTRICTIONS, ASSISTANT), {0: [ANN]}
    for one in (batch, waited_for):
        one.add(0, both, lambda _: PROMPT)
        step(one, kept, StepRow(0, 0, ANN))
    for _ in range(KEPT_STEPS + 1):
        batch.next_step()
    assert assistant.alive == [False]
    assert batch.changed([0]) == [0]
    kept[0].append(NEW)
    found, expected = (step(one, kept, StepRow(0, 0, NEW))[0] for one in (batch, waited_for))
    assert found[YORK] == -math.inf
    assert torch.allclose(found, expected, atol=1e-5)
