"""Quantised copies: errors within the bound, rounding twice is rounding once, and the model itself stays as it is."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.stats import norm
from torch import Tensor, nn
from transformers import LlamaForCausalLM

from finetune.data.rounded_weights import BLOCK, NF4_LEVELS, rounded_int8, rounded_nf4
from finetune.errors import InvalidPlan, ModelUnsuitable
from finetune.evaluation.attacks import Quantisation
from tests.fakes.tiny_llama import tiny_llama


def weights(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(7)).to(dtype)


def tied_llama() -> LlamaForCausalLM:
    model: LlamaForCausalLM = tiny_llama(num_attention_heads=2, tie_word_embeddings=True)
    return model


def test_eight_bits_err_by_half_a_step_of_the_row_at_most() -> None:
    exact_OI = weights(20, 33)
    error_OI = (rounded_int8(exact_OI) - exact_OI).abs()
    bound_O1 = exact_OI.abs().amax(dim=1, keepdim=True) / 254
    assert bool((error_OI <= bound_O1 * (1 + 1e-5)).all())
    assert float(error_OI.max()) > 0
    for row_I in rounded_int8(exact_OI):
        assert len(row_I.unique()) <= 255


def test_four_bits_take_the_nearest_of_sixteen_levels_of_the_block() -> None:
    exact_OI = weights(5, 2 * BLOCK)
    blocks_NK = exact_OI.numpy().reshape(-1, BLOCK)
    scales_N1 = np.abs(blocks_NK).max(axis=1, keepdims=True)
    levels = np.array(NF4_LEVELS, dtype=np.float32)
    nearest_NK = np.abs(blocks_NK[..., None] / scales_N1[..., None] - levels).argmin(axis=-1)
    expected_OI = (levels[nearest_NK] * scales_N1).reshape(5, -1)
    np.testing.assert_allclose(rounded_nf4(exact_OI).numpy(), expected_OI, atol=1e-6)
    widest = float(np.diff(levels).max()) / 2
    assert widest == pytest.approx(0.152, abs=1e-3)
    errors_NK = np.abs(expected_OI.reshape(-1, BLOCK) - blocks_NK)
    assert (errors_NK <= widest * scales_N1 * (1 + 1e-5)).all()


def test_the_levels_are_the_quantiles_of_a_normal_distribution() -> None:
    edge = 0.5 * ((1 - 1 / 32) + (1 - 1 / 30))
    above = norm.ppf(np.linspace(0.5, edge, 9)[1:])
    below = norm.ppf(np.linspace(0.5, edge, 8)[1:])
    expected = np.sort(np.concatenate([above, [0.0], -below])) / above.max()
    np.testing.assert_allclose(NF4_LEVELS, expected, atol=1e-4)


@pytest.mark.parametrize("rounded", [rounded_int8, rounded_nf4])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_rounding_twice_is_rounding_once_and_keeps_shape_and_dtype(
    rounded: Callable[[Tensor], Tensor], dtype: torch.dtype
) -> None:
    exact_OI = weights(9, 37, dtype=dtype)
    once_OI = rounded(exact_OI)
    assert (once_OI.shape, once_OI.dtype) == (exact_OI.shape, dtype)
    assert torch.equal(rounded(once_OI), once_OI)


@pytest.mark.parametrize("rounded", [rounded_int8, rounded_nf4])
def test_zeros_stay_zero_and_the_largest_weight_stays_as_it_is(rounded: Callable[[Tensor], Tensor]) -> None:
    assert torch.equal(rounded(torch.zeros(3, 70)), torch.zeros(3, 70))
    exact_OI = weights(4, BLOCK)
    largest_O = exact_OI.abs().argmax(dim=1)
    assert torch.equal(rounded(exact_OI)[range(4), largest_O], exact_OI[range(4), largest_O])


@pytest.mark.parametrize("bits", [8, 4])
def test_a_copy_is_rounded_in_its_linear_layers_and_the_model_stays(bits: int) -> None:
    model = tied_llama()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    copied = Quantisation(bits=bits).run(model)  # type: ignore[arg-type] # 8 or 4
    after = copied.state_dict()
    changed = {name for name in before if not torch.equal(after[name], before[name])}
    assert changed == {name for name in before if name.endswith("_proj.weight")}
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    input_ids_BT = torch.tensor([[1, 2, 3, 4]])
    with torch.no_grad():
        gap = (copied(input_ids_BT).logits - model(input_ids_BT).logits).abs().max()
    assert 0 < float(gap) < 1


def test_eight_bits_are_nearer_than_four() -> None:
    exact_OI = weights(16, 64)
    errors = [float((rounded(exact_OI) - exact_OI).square().mean()) for rounded in (rounded_int8, rounded_nf4)]
    assert errors[0] < errors[1] / 10


def test_an_adapter_a_model_without_linear_layers_and_other_bits_are_refused() -> None:
    adapted = tied_llama()
    adapted.peft_config = {}
    with pytest.raises(ModelUnsuitable, match="merge it before quantisation"):
        Quantisation().run(adapted)
    with pytest.raises(ModelUnsuitable, match="no linear layer"):
        Quantisation().run(nn.Sequential(nn.Embedding(4, 4)))
    with pytest.raises(InvalidPlan, match="3 bits is not simulated; take 8 or 4"):
        Quantisation(bits=3)  # type: ignore[arg-type] # what a configuration might hold
