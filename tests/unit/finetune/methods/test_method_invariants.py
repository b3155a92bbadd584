"""What holds for every loss: micro-batches do not matter, a weight of 0 is no term, and padding says nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from finetune.data.batch import IGNORED, TokenBatch, UnlearningBatch
from finetune.methods.language import LOSSES, LossMethod
from tests.unit.finetune.methods.tiny_models import TinyModel, method_of, step_loss, tokens_of, whole_batch

WITH_FORGET_WEIGHT_0 = {name: method_of(name, forget_weight=0) for name in LOSSES}

_NO_MISMATCH = {"llmu": {"mismatch_weight": 0}}


def rows(tokens: TokenBatch, part: slice) -> TokenBatch:
    return TokenBatch(
        input_ids_BT=tokens.input_ids_BT[part],
        attention_mask_BT=tokens.attention_mask_BT[part],
        labels_BT=tokens.labels_BT[part],
    )


def cut(batch: UnlearningBatch, share: slice) -> UnlearningBatch:
    assert batch.retain is not None
    assert batch.alternative is not None
    half = slice(share.start // 2, share.stop // 2)  # two texts to keep, four to forget
    return UnlearningBatch(
        forget=rows(batch.forget, share), retain=rows(batch.retain, half), alternative=rows(batch.alternative, share)
    )


def totals(method: LossMethod, batch: UnlearningBatch) -> dict[str, float]:
    return {term.name: term.total.item() for term in method.loss(batch, TinyModel(seed=1), TinyModel(seed=2))}


def gradients(method: LossMethod, batch: UnlearningBatch) -> dict[str, Tensor]:
    model = TinyModel(seed=1)
    step_loss(method, batch, model, TinyModel(seed=2)).backward()  # type: ignore[no-untyped-call] # torch's own
    return {
        name: torch.zeros_like(weight) if weight.grad is None else weight.grad
        for name, weight in model.named_parameters()
    }


@pytest.mark.parametrize("name", LOSSES)
def test_two_halves_of_a_batch_add_up_to_the_batch(name: str) -> None:
    method, batch = method_of(name), whole_batch()
    first, second = totals(method, cut(batch, slice(0, 2))), totals(method, cut(batch, slice(2, 4)))
    added = {term: first[term] + second[term] for term in first}
    assert added == pytest.approx(totals(method, batch), rel=1e-12)


@pytest.mark.parametrize("name", LOSSES)
def test_more_padding_changes_nothing(name: str) -> None:
    method, batch = method_of(name), whole_batch()
    wider = UnlearningBatch(forget=wide(batch.forget), retain=wide(batch.retain), alternative=wide(batch.alternative))
    assert totals(method, wider) == pytest.approx(totals(method, batch), rel=1e-12)


def wide(tokens: TokenBatch | None) -> TokenBatch:
    assert tokens is not None
    pad = torch.nn.functional.pad
    return TokenBatch(
        input_ids_BT=pad(tokens.input_ids_BT, (0, 3), value=6),
        attention_mask_BT=pad(tokens.attention_mask_BT, (0, 3), value=0),
        labels_BT=pad(tokens.labels_BT, (0, 3), value=IGNORED),
    )


@pytest.mark.parametrize("name", [name for name in LOSSES if name != "grad_ascent"])
def test_a_forget_weight_of_0_leaves_exactly_the_gradient_of_the_retain_term(name: str) -> None:
    method, batch = method_of(name, **_NO_MISMATCH.get(name, {}), forget_weight=0, retain_weight=0.5), whole_batch()
    model = TinyModel(seed=1)
    (retain,) = [term for term in method.loss(batch, model, TinyModel(seed=2)) if term.part == "retain"]
    assert batch.retain is not None
    unit = batch.retain.label_tokens if retain.unit == "token" else len(batch.retain)
    (retain.weight * retain.total / unit).backward()  # type: ignore[no-untyped-call] # torch's own
    found = gradients(method, batch)
    assert any(slope.abs().max() > 0 for slope in found.values())
    for weight_name, weight in model.named_parameters():
        expected = torch.zeros_like(weight) if weight.grad is None else weight.grad
        assert torch.equal(found[weight_name], expected)


@pytest.mark.parametrize("name", LOSSES)
def test_a_forget_weight_of_0_without_a_retain_term_changes_nothing(name: str) -> None:
    without = {} if name == "grad_ascent" else {"retain_weight": 0.0, **_NO_MISMATCH.get(name, {})}
    slopes = gradients(method_of(name, forget_weight=0, **without), replace(whole_batch(), retain=None))
    assert all(torch.equal(slope, torch.zeros_like(slope)) for slope in slopes.values())


@pytest.mark.parametrize("name", LOSSES)
def test_weights_scale_terms_and_not_their_totals(name: str) -> None:
    plain, heavy = method_of(name), method_of(name, forget_weight=7.0)
    assert totals(plain, whole_batch()) == totals(heavy, whole_batch())
    (term,) = [one for one in heavy.loss(whole_batch(), TinyModel(seed=1), TinyModel(seed=2)) if one.part == "forget"]
    assert term.weight == 7.0


@pytest.mark.parametrize("name", LOSSES)
def test_a_text_of_which_nothing_is_learnt_leaves_finite_totals_and_gradients(name: str) -> None:
    silent = tokens_of(((1, 2, 3), 3), ((4, 5), 2))
    batch = UnlearningBatch(forget=silent, retain=silent, alternative=silent)
    model = TinyModel(seed=1)
    terms = method_of(name).loss(batch, model, TinyModel(seed=2))
    torch.stack([term.total for term in terms]).sum().backward()  # type: ignore[no-untyped-call] # torch's own
    assert all(torch.isfinite(term.total) for term in terms)
    assert all(weight.grad is None or torch.isfinite(weight.grad).all() for weight in model.parameters())


@pytest.mark.parametrize("name", ["npo", "dpo"])
def test_a_preference_loss_begins_where_model_and_reference_agree(name: str) -> None:
    same = TinyModel(seed=1)
    terms = method_of(name, beta=0.1, retain_weight=0).loss(whole_batch(), TinyModel(seed=1), same)
    assert terms[0].total.item() == pytest.approx(4 * 20 * 0.6931471805599453, rel=1e-12)


def test_distances_to_the_model_as_it_was_begin_at_0() -> None:
    same = TinyModel(seed=1)
    for name in ("kl_minimisation", "rmu"):
        (_, retain) = method_of(name).loss(whole_batch(), TinyModel(seed=1), same)
        assert retain.total.item() == pytest.approx(0.0, abs=1e-12)
