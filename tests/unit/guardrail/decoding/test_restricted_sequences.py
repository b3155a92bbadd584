"""Restrictions on tensors, as the embedded backend and vLLM use them."""

from __future__ import annotations

import math

import pytest
import torch

from guardrail.decoding.local import LocalRestrictions
from guardrail.decoding.request import RestrictionRequest
from guardrail.decoding.sequences import RestrictedSequence, Restrictions
from guardrail.decoding.tokenizer_pieces import tokenizer_vocabulary
from tests.fakes import small_tokenizers

TOKENIZER = small_tokenizers.byte_level()
RESTRICTIONS = Restrictions(tokenizer_vocabulary(TOKENIZER))
REQUEST = RestrictionRequest(phrases=("New York", "Ann"))
NEW, YORK, K = (small_tokenizers.token_of(TOKENIZER, text) for text in (" New", " York", "k"))
END = TOKENIZER.eos_token_id


def zeros(dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.zeros(len(TOKENIZER), dtype=dtype)


def scores_after(answer: RestrictedSequence, tokens: list[int]) -> torch.Tensor:
    scores_V = zeros()
    answer.follow(tokens)
    answer.adjust(scores_V)
    return scores_V


def test_banned_tokens_cannot_be_chosen_and_others_keep_their_scores() -> None:
    scores_V = scores_after(RESTRICTIONS.sequence(REQUEST), [NEW])
    assert scores_V[YORK] == -math.inf
    assert scores_V[K] == 0
    assert torch.isfinite(scores_V[END])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_scores_may_have_any_precision(dtype: torch.dtype) -> None:
    answer, scores_V = RESTRICTIONS.sequence(REQUEST), zeros(dtype)
    answer.follow([NEW])
    answer.adjust(scores_V)
    assert scores_V[YORK] == -math.inf
    assert scores_V.dtype == dtype


def test_a_model_with_fewer_or_more_outputs_than_tokens_is_served() -> None:
    for size in (YORK + 1, len(TOKENIZER) + 61):
        answer, scores_V = RESTRICTIONS.sequence(REQUEST), torch.zeros(size)
        answer.follow([NEW])
        answer.adjust(scores_V)
        assert scores_V[YORK] == -math.inf


@pytest.mark.parametrize("masked", [-math.inf, torch.finfo(torch.float32).min])
def test_where_only_banned_tokens_were_allowed_the_answer_may_end(masked: float) -> None:
    answer, scores_V = RESTRICTIONS.sequence(REQUEST), torch.full((len(TOKENIZER),), masked)
    scores_V[YORK] = 3.0
    answer.follow([NEW])
    answer.adjust(scores_V)
    assert scores_V.argmax() == END
    assert not scores_V.isnan().any()


def test_an_end_that_was_not_allowed_stays_so_while_something_else_is() -> None:
    answer, scores_V = RESTRICTIONS.sequence(REQUEST), zeros()
    scores_V[END] = -math.inf
    answer.follow([NEW])
    answer.adjust(scores_V)
    assert scores_V[END] == -math.inf


def test_tokens_seen_before_are_not_read_again_and_taken_back_ones_are_forgotten() -> None:
    answer = RESTRICTIONS.sequence(REQUEST)
    assert scores_after(answer, [K, NEW])[YORK] == -math.inf
    assert answer.seen_tokens == 2
    assert scores_after(answer, [K])[YORK] == 0
    assert answer.seen_tokens == 1


def test_a_token_that_is_not_known_yet_is_read_when_it_is() -> None:
    answer = RESTRICTIONS.sequence(REQUEST)
    assert scores_after(answer, [K, -1])[YORK] == 0
    assert scores_after(answer, [K, NEW])[YORK] == -math.inf


def test_drafted_tokens_count_for_one_step_only() -> None:
    answer, scores_V, other_V = RESTRICTIONS.sequence(REQUEST), zeros(), zeros()
    answer.adjust(scores_V, [NEW])
    answer.adjust(other_V)
    assert scores_V[YORK] == -math.inf
    assert other_V[YORK] == 0


def test_answers_with_the_same_request_share_what_is_compiled_but_not_their_state() -> None:
    first, second = RESTRICTIONS.sequence(REQUEST), RESTRICTIONS.sequence(REQUEST)
    assert scores_after(first, [NEW])[YORK] == -math.inf
    assert scores_after(second, [K])[YORK] == 0


def test_the_embedded_backend_gives_its_own_ending_tokens() -> None:
    special = TOKENIZER.get_vocab()[small_tokenizers.SPECIAL]
    scores_V = torch.full((len(TOKENIZER),), -math.inf)
    scores_V[YORK] = 0.0
    LocalRestrictions(TOKENIZER, (special,)).sequence(REQUEST).adjust(scores_V, [NEW])
    assert {token for token, score in enumerate(scores_V.tolist()) if score == 0} == {END, special}
