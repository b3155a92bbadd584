"""What the losses that weigh tokens have in common, and what sets them apart."""

from __future__ import annotations

import pytest
import torch

from finetune.methods.language.losses import Predictions, token_unlikelihood
from tests.unit.finetune.methods.tiny_models import TinyModel, method_of, whole_batch


def forget_total(name: str, **hyper_parameters: object) -> float:
    method = method_of(name, retain_weight=0, **hyper_parameters)
    (term,) = method.loss(whole_batch(), TinyModel(seed=1), None)
    return term.total.item()


@pytest.mark.parametrize("beta", [0.5, 1.0, 4.0])
def test_satimp_without_importance_is_wga(beta: float) -> None:
    assert forget_total("satimp", beta_1=beta, beta_2=0) == pytest.approx(forget_total("wga", beta=beta), rel=1e-12)


def test_unlikelihood_goes_where_the_model_would_be_without_the_true_token() -> None:
    logits_NV = torch.randn(4, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(3)).requires_grad_()
    labels_N = torch.tensor([0, 3, 6, 3])
    said = Predictions(logits_NV=logits_NV, labels_N=labels_N, learnt_BS=torch.ones(1, 4, dtype=torch.bool))
    token_unlikelihood(said).sum().backward()  # type: ignore[no-untyped-call] # torch's own
    without_NV = logits_NV.detach().clone()
    without_NV[range(4), labels_N] = -torch.inf
    expected = logits_NV.detach().softmax(dim=-1) - without_NV.softmax(dim=-1)
    torch.testing.assert_close(logits_NV.grad, expected)


def test_unlikelihood_is_finite_where_the_model_is_sure_or_has_ruled_a_token_out() -> None:
    logits_NV = torch.tensor([[60.0, 0.0, 0.0], [-60.0, 0.0, 0.0]], requires_grad=True)
    said = Predictions(logits_NV=logits_NV, labels_N=torch.tensor([0, 0]), learnt_BS=torch.ones(1, 2, dtype=torch.bool))
    loss_N = token_unlikelihood(said)
    loss_N.sum().backward()  # type: ignore[no-untyped-call] # torch's own
    assert loss_N[0].item() == pytest.approx(60 - 0.6931, abs=1e-3)
    assert loss_N[1].item() == pytest.approx(0.0, abs=1e-6)
    assert torch.isfinite(logits_NV.grad if logits_NV.grad is not None else torch.tensor(torch.nan)).all()


def test_the_first_tokens_of_every_answer_are_left_alone() -> None:
    totals = [forget_total("ce_u", skipped=skipped) for skipped in range(4)]
    assert totals == sorted(totals, reverse=True)
    assert totals[0] > totals[1] > totals[2]
    assert forget_total("ce_u", skipped=9) == 0.0
