"""Training at the weights as a server with few bits holds them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from finetune.data.batch import padded
from finetune.data.rounded_weights import ROUNDED, Bits
from finetune.errors import InvalidPlan, ModelUnsuitable
from finetune.methods.language import make_method
from finetune.methods.language.losses import predictions_of, token_nll
from finetune.settings import plan_from
from finetune.training.rounded import RoundedWeights
from tests.unit.finetune.training.tiny_training import (
    Nll,
    tiny_data,
    tiny_model,
    tiny_plan,
    tiny_sequences,
    tiny_trainer,
)

LORA = {"kind": "lora", "rank": 4, "alpha": 8}
BITS: tuple[Bits, ...] = (8, 4)


def rounded_copy(model: Any, bits: Bits) -> Any:
    copy = tiny_model()
    copy.load_state_dict(model.state_dict())
    with torch.no_grad():
        for name, module in copy.named_modules():
            if isinstance(module, nn.Linear) and not name.endswith("lm_head"):
                module.weight.copy_(ROUNDED[bits](module.weight))
    return copy


def logits(model: Any) -> torch.Tensor:
    tokens = padded(tiny_sequences(3, seed=1), pad_token=0)
    with torch.no_grad():
        found: torch.Tensor = predictions_of(model.eval(), tokens).logits_NV
    return found


@pytest.mark.parametrize("bits", BITS)
def test_while_it_is_read_rounded_the_model_says_what_its_rounded_copy_says(bits: Bits) -> None:
    model: Any = tiny_model()
    first, rounded = logits(model), RoundedWeights(model, bits)
    reference: Any = rounded.unrounded(model)
    with rounded.read():
        assert torch.equal(logits(model), logits(rounded_copy(tiny_model(), bits)))
        tokens = padded(tiny_sequences(3, seed=1), pad_token=0)
        with torch.no_grad():
            assert torch.equal(predictions_of(reference, tokens).logits_NV, first)
        assert not torch.equal(logits(model), first)
    assert torch.equal(logits(model), first)


@pytest.mark.parametrize("bits", BITS)
def test_an_adapter_is_rounded_together_with_what_it_is_added_to(bits: Bits) -> None:
    trainer = tiny_trainer(tiny_model(), tiny_data(), tiny_plan(where=LORA, max_steps=2, learning_rate=1e-2))
    trainer.train(Nll())
    adapted: Any = trainer.model
    with RoundedWeights(adapted, bits).read():
        read = logits(adapted)
    torch.testing.assert_close(read, logits(rounded_copy(adapted.merge_and_unload(), bits)), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("bits", BITS)
def test_a_step_goes_by_the_gradient_at_the_rounded_weights(bits: Bits) -> None:
    plan = tiny_plan(rounded_bits=bits, max_steps=1, learning_rate=1e-2, max_grad_norm=None, batch_size=16)
    trainer = tiny_trainer(tiny_model(), tiny_data(), plan)
    rounded = rounded_copy(tiny_model(), bits).train()
    tokens = padded(tiny_data().forget, pad_token=0)
    mean = token_nll(predictions_of(rounded, tokens)).sum() / tokens.label_tokens
    mean.backward()  # type: ignore[no-untyped-call] # torch's own
    before = trainer.weights()
    trainer.train(Nll())
    after = trainer.weights()
    for name, one in rounded.named_parameters():  # AdamW's first step goes by the gradient's sign
        assert one.grad is not None
        clear = one.grad.abs() > 1e-5
        assert torch.equal(torch.sign(after[name] - before[name])[clear], -torch.sign(one.grad)[clear])


@pytest.mark.parametrize("where", [{"kind": "full"}, LORA], ids=["full", "lora"])
def test_the_option_trains_other_weights_and_repeats(where: dict[str, Any]) -> None:
    method: Any = make_method("npo")

    def trained(**plan: Any) -> dict[str, torch.Tensor]:
        trainer = tiny_trainer(tiny_model(), tiny_data(), tiny_plan(where=where, **plan), needs=method.needs)
        trainer.train(method)
        return trainer.weights()

    plain, robust, again = trained(), trained(rounded_bits=4), trained(rounded_bits=4)
    assert any(not torch.equal(one, plain[name]) for name, one in robust.items())
    assert all(torch.equal(one, again[name]) for name, one in robust.items())


def test_what_cannot_be_rounded_is_told() -> None:
    with pytest.raises(InvalidPlan, match="rounded_bits"):
        plan_from({"rounded_bits": 3})
    with pytest.raises(ModelUnsuitable, match="no linear layer"):
        RoundedWeights(nn.Embedding(3, 3), 4)
