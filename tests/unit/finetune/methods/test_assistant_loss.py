"""The loss of an assistant against NumPy, its slope against central differences, and what it has no opinion on."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from finetune.data.batch import IGNORED, TokenBatch, UnlearningBatch
from finetune.errors import InvalidData, InvalidPlan
from finetune.methods.language import ASSISTANTS, LOSSES, Need, make_method
from finetune.methods.language.losses import Predictions, token_entropy, token_kl_of_uniform
from finetune.methods.language.uld_assistant import UldAssistant
from tests.unit.finetune.methods.test_method_gradients import central_difference
from tests.unit.finetune.methods.tiny_models import VOCABULARY, TinyModel, step_loss, whole_batch

MODEL = TinyModel(seed=1)


def said(logits_NV: torch.Tensor) -> Predictions:
    count = len(logits_NV)
    return Predictions(
        logits_NV=logits_NV,
        labels_N=torch.zeros(count, dtype=torch.int64),
        learnt_BS=torch.ones(1, count, dtype=torch.bool),
    )


def log_probabilities(tokens: TokenBatch) -> list[tuple[Any, int]]:
    """Of each learnt token, in NumPy alone: what was said in its place, and which it is."""
    with torch.no_grad():
        logits = MODEL(tokens.input_ids_BT, tokens.attention_mask_BT).logits.numpy()
    found = []
    for row, labels in enumerate(tokens.labels_BT.tolist()):
        for place, label in enumerate(labels):
            if place and label != IGNORED:
                values = logits[row, place - 1]
                found.append((values - np.log(np.exp(values).sum()), label))
    return found


def test_the_two_terms_are_what_the_paper_says() -> None:
    batch = whole_batch()
    assert batch.retain is not None
    forget, retain = UldAssistant().loss(batch, MODEL, None)
    learnt = -sum(values[label] for values, label in log_probabilities(batch.forget))
    share = 1 / VOCABULARY
    uneven = sum((share * (np.log(share) - values)).sum() for values, _ in log_probabilities(batch.retain))
    assert forget.total.item() == pytest.approx(learnt, rel=1e-9)
    assert retain.total.item() == pytest.approx(uneven, rel=1e-9)
    assert [(term.part, term.unit, term.weight) for term in (forget, retain)] == [
        ("forget", "token", 1.0),
        ("retain", "token", 5.0),
    ]


def test_a_step_of_an_assistant_follows_the_slope_of_its_loss() -> None:
    method, model, unread = UldAssistant(), TinyModel(seed=1), TinyModel(seed=2)
    step_loss(method, whole_batch(), model, None).backward()  # type: ignore[no-untyped-call] # torch's own
    for weight in model.parameters():
        assert weight.grad is not None
        expected = central_difference(method, model, unread, weight.data)
        torch.testing.assert_close(weight.grad, expected, rtol=1e-6, atol=1e-8)


def test_even_logits_have_no_divergence_whatever_their_height_and_the_greatest_entropy() -> None:
    even = said(torch.tensor([[0.0] * 11, [700.0] * 11, [-3.5] * 11], dtype=torch.float64))
    assert token_kl_of_uniform(even).tolist() == pytest.approx([0.0] * 3, abs=1e-12)
    assert token_entropy(even).tolist() == pytest.approx([math.log(11)] * 3)


def test_uneven_logits_diverge_as_torch_says() -> None:
    logits_NV = torch.randn(5, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    even_NV = torch.full_like(logits_NV, 1 / 9)
    expected = functional.kl_div(logits_NV.log_softmax(-1), even_NV, reduction="none").sum(-1)
    assert (expected > 0.01).all()
    torch.testing.assert_close(token_kl_of_uniform(said(logits_NV)), expected)
    entropy = torch.special.entr(logits_NV.softmax(-1)).sum(-1)
    torch.testing.assert_close(token_entropy(said(logits_NV)), entropy)


def test_without_a_retain_weight_no_texts_to_keep_are_read() -> None:
    alone = UldAssistant(retain_weight=0)
    assert UldAssistant().needs == {Need.RETAIN}
    assert alone.needs == frozenset()
    bare = UnlearningBatch(forget=whole_batch().forget)
    assert [term.name for term in alone.loss(bare, MODEL, None)] == ["forget"]
    with pytest.raises(InvalidData, match="uld_assistant needs texts to keep"):
        UldAssistant().loss(bare, MODEL, None)


def test_an_assistants_method_is_found_by_name_but_stands_with_no_method_that_forgets() -> None:
    assert make_method("uld_assistant", retain_weight=2) == UldAssistant(retain_weight=2)
    assert not ASSISTANTS.keys() & LOSSES.keys()
    with pytest.raises(InvalidPlan, match="uld_assistant: retain_weight is -1"):
        make_method("uld_assistant", retain_weight=-1)
