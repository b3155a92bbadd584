"""Restricted answers in vLLM's batches: rows that move (runner V1), slots that are used again (runner V2)."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any

import torch

from guardrail.decoding.batches import RowBatch, SlotBatch, StepRow
from guardrail.decoding.request import RestrictionRequest
from guardrail.decoding.sequences import Restrictions
from guardrail.decoding.tokenizer_pieces import tokenizer_vocabulary
from tests.fakes import small_tokenizers

TOKENIZER = small_tokenizers.byte_level()
RESTRICTIONS = Restrictions(tokenizer_vocabulary(TOKENIZER))
NEW, YORK, ANN = (small_tokenizers.token_of(TOKENIZER, text) for text in (" New", " York", " Ann"))
NEW_YORK = RestrictionRequest(phrases=("New York",)).to_xargs()
ANNS = RestrictionRequest(phrases=("Ann",)).to_xargs()


class Direction(Enum):
    """As vLLM's MoveDirectionality."""

    UNIDIRECTIONAL = auto()
    SWAP = auto()


@dataclass(frozen=True)
class Parameters:
    extra_args: dict[str, Any] | None = None


@dataclass(frozen=True)
class Change:
    """As vLLM's BatchUpdate."""

    removed: list[int] = field(default_factory=list)
    added: list[tuple[int, Any, Any, list[int]]] = field(default_factory=list)
    moved: list[tuple[int, int, Direction]] = field(default_factory=list)


def banned(batch: RowBatch, rows: int = 4) -> list[set[int]]:
    logits_RV = torch.zeros(rows, len(TOKENIZER))
    batch.apply(logits_RV)
    return [{token for token, score in enumerate(row) if score == -math.inf} for row in logits_RV.tolist()]


def batch_of(*arguments: dict[str, Any] | None) -> tuple[RowBatch, list[list[int]]]:
    batch, tokens = RowBatch(RESTRICTIONS), [list[int]() for _ in arguments]
    added = [(row, Parameters(extra), None, tokens[row]) for row, extra in enumerate(arguments)]
    batch.update(Change(added=added))
    return batch, tokens


def test_only_rows_of_restricted_answers_change() -> None:
    batch, tokens = batch_of(None, NEW_YORK, {"other": 1})
    for answer in tokens:
        answer.append(NEW)
    found = banned(batch)
    assert YORK in found[1]
    assert found[0] == found[2] == found[3] == set()


def test_a_row_follows_its_answers_own_list_of_tokens() -> None:
    batch, tokens = batch_of(NEW_YORK)
    assert YORK not in banned(batch)[0]
    tokens[0].append(NEW)
    assert YORK in banned(batch)[0]
    tokens[0].append(ANN)
    batch.update(None)
    assert YORK not in banned(batch)[0]


def test_an_answer_that_comes_with_tokens_is_read_from_its_beginning() -> None:
    batch = RowBatch(RESTRICTIONS)
    batch.update(Change(added=[(2, Parameters(NEW_YORK), None, [ANN, NEW])]))
    assert YORK in banned(batch)[2]


def test_answers_leave_and_rows_are_taken_by_others() -> None:
    batch, _ = batch_of(ANNS, ANNS)
    batch.update(Change(removed=[1], added=[(0, Parameters(), None, [])]))
    assert banned(batch) == [set(), set(), set(), set()]


def test_answers_move_and_change_places_with_their_state() -> None:
    batch, tokens = batch_of(NEW_YORK, ANNS, None)
    tokens[0].append(NEW)
    banned(batch)
    batch.update(Change(moved=[(0, 1, Direction.SWAP), (1, 3, Direction.UNIDIRECTIONAL)]))
    found = banned(batch)
    assert ANN in found[0]
    assert YORK in found[3]
    assert found[1] == found[2] == set()


def test_a_move_onto_a_restricted_row_ends_its_restriction() -> None:
    batch, _ = batch_of(None, ANNS)
    batch.update(Change(moved=[(0, 1, Direction.UNIDIRECTIONAL)]))
    assert banned(batch)[1] == set()


def slots_of(**histories: list[int]) -> tuple[SlotBatch, dict[int, list[int]]]:
    """Slots named s0, s1, ... with what their answers hold, all forbidden to name New York."""
    batch, kept = SlotBatch(RESTRICTIONS), {int(name[1:]): tokens for name, tokens in histories.items()}
    for slot in kept:
        assert batch.add(slot, NEW_YORK)
    return batch, kept


def step(batch: SlotBatch, kept: dict[int, list[int]], *rows: StepRow) -> list[bool]:
    """Where York is banned in a step's rows."""
    logits_RV = torch.zeros(len(rows), len(TOKENIZER))
    batch.apply(logits_RV, rows, lambda slot, seen: kept[slot][seen:])
    return (logits_RV[:, YORK] == -math.inf).tolist()


def test_slots_are_found_whatever_row_they_have_in_a_step() -> None:
    batch, kept = slots_of(s3=[ANN, NEW], s1=[ANN])
    assert step(batch, kept, StepRow(1, 0, ANN), StepRow(7, 0, NEW), StepRow(3, 0, NEW)) == [False, False, True]
    kept[1].append(NEW)
    kept[3].append(ANN)
    assert step(batch, kept, StepRow(3, 0, ANN), StepRow(1, 0, NEW)) == [False, True]


def test_a_slot_that_is_used_again_knows_nothing_of_its_old_answer() -> None:
    batch, kept = slots_of(s0=[NEW])
    assert step(batch, kept, StepRow(0, 0, NEW)) == [True]
    assert batch.add(0, NEW_YORK)
    assert step(batch, {0: []}, StepRow(0, 0, NEW)) == [False]
    assert not batch.add(0, None)
    assert batch.changed([0, 1]) == []


def test_drafted_tokens_count_in_the_rows_behind_them_only() -> None:
    batch, kept = slots_of(s0=[ANN], s1=[NEW])
    rows = [StepRow(0, 0, ANN), StepRow(0, 1, NEW), StepRow(0, 2, ANN), StepRow(1, 0, NEW)]
    assert step(batch, kept, *rows) == [False, True, False, True]
    assert step(batch, kept, StepRow(0, 0, ANN)) == [False]


def test_only_slots_with_restricted_answers_are_named() -> None:
    batch, _ = slots_of(s2=[], s5=[])
    assert not batch.add(4, {"other": 1})
    assert batch.changed([5, 4, 2, 0]) == [5, 2]
