"""The estimate of memory, what would fit instead, and what is free on a made-up machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from finetune.errors import NotEnoughMemory
from finetune.methods.language.protocol import Need
from finetune.training.adapter import make_trainable
from finetune.training.free_memory import free_bytes, free_host_bytes
from finetune.training.memory import Load, ModelSizes, check_fits, estimate
from tests.unit.finetune.training.tiny_training import tiny_data, tiny_model, tiny_plan, tiny_trainer

LORA = {"kind": "lora", "rank": 4, "alpha": 8}
SMOLLM2 = ModelSizes(
    weights=134_515_008,
    trained=134_515_008,
    layers=30,
    hidden=576,
    inner=1536,
    vocabulary=49_152,
    linear_ends=30 * (2 * 1152 + 2 * 768 + 3 * 2112),
)
ALL = Load(needs=frozenset({Need.RETAIN, Need.REFERENCE}), longest_tokens=256)
GIB = 1024**3


def test_sizes_are_read_from_the_model() -> None:
    plain = sum(one.numel() for one in tiny_model().parameters())
    sizes = ModelSizes.of(make_trainable(tiny_model(), tiny_plan(where=LORA)))
    linear_ends = 2 * ((32 + 32) + 2 * (32 + 16) + (32 + 32) + 3 * (32 + 48))
    assert sizes == ModelSizes(
        weights=plain + 4 * linear_ends,
        trained=4 * linear_ends,
        layers=2,
        hidden=32,
        inner=48,
        vocabulary=64,
        linear_ends=linear_ends,
    )


def test_weights_gradients_and_states_are_counted_exactly() -> None:
    full = estimate(SMOLLM2, tiny_plan(), ALL)
    assert full.weights == full.gradients == 4 * SMOLLM2.weights
    assert full.optimizer == 8 * SMOLLM2.weights
    assert full.copies == 8 * SMOLLM2.weights  # the reference, and the weights as they were
    narrow = estimate(SMOLLM2, tiny_plan(dtype="bfloat16"), ALL, on_host=False)
    assert narrow.weights == 4 * SMOLLM2.weights
    assert narrow.copies == 4 * SMOLLM2.weights
    cut = Load(needs=frozenset(), longest_tokens=8, shards=4)
    assert estimate(SMOLLM2, tiny_plan(), cut).optimizer == 2 * SMOLLM2.weights


def test_activations_grow_with_the_parts_and_with_what_is_kept_for_each_text_to_forget() -> None:
    def activations(*needs: Need, **plan: Any) -> int:
        return estimate(SMOLLM2, tiny_plan(**plan), Load(needs=frozenset(needs), longest_tokens=100)).activations

    one = activations()
    assert activations(Need.RETAIN) == activations(Need.ALTERNATIVE) == 2 * one
    assert activations(Need.RETAIN, retain_per_forget=3) == 4 * one
    assert activations(retain_per_forget=3) == one
    assert activations(Need.RETAIN, Need.ALTERNATIVE, retain_per_forget=2) == 4 * one


def test_lora_needs_no_copy_for_its_reference() -> None:
    sizes = ModelSizes.of(make_trainable(tiny_model(), tiny_plan(where=LORA)))
    assert estimate(sizes, tiny_plan(where=LORA), ALL, on_host=False).copies == 0


def test_what_activations_take_grows_with_tokens_and_shrinks_when_they_are_computed_anew() -> None:
    sizes, plan = SMOLLM2, tiny_plan()
    twice = estimate(sizes, tiny_plan(batch_size=8), ALL)
    once = estimate(sizes, plan, ALL)
    assert (twice.activations, twice.logits) == (2 * once.activations, 2 * once.logits)
    assert estimate(sizes, tiny_plan(gradient_checkpointing=True), ALL).activations < once.activations / 10


def test_what_does_not_fit_is_told_with_what_would() -> None:
    plan = tiny_plan(batch_size=32)
    check_fits(SMOLLM2, plan, ALL, free=100 * GIB)
    with pytest.raises(NotEnoughMemory) as told:
        check_fits(SMOLLM2, plan, ALL, free=10 * GIB)
    message = str(told.value)
    assert "free: 10.00 GiB" in message
    assert "logits 15.00 GiB" in message  # 32 x 256 tokens, 49,152 words, 4 bytes, 10 times
    assert "batch_size 4 with accumulation 8" in message
    assert all(f"batch_size {batch} " not in message for batch in (16, 8, 2))
    assert "together" in message


def test_where_nothing_would_fit_it_says_so() -> None:
    with pytest.raises(NotEnoughMemory, match="Nothing smaller fits"):
        check_fits(SMOLLM2, tiny_plan(), ALL, free=1000)


def test_a_trainer_refuses_before_it_starts_and_counts_weights_that_are_there_already() -> None:
    model, plan, data = tiny_model(), tiny_plan(), tiny_data()
    needs = frozenset({Need.REFERENCE})
    load = Load(needs=needs, longest_tokens=data.longest_tokens())
    needed = estimate(ModelSizes.of(make_trainable(model, plan)), plan, load)
    with pytest.raises(NotEnoughMemory, match="MiB"):
        tiny_trainer(model, data, plan, needs=needs, free_memory=lambda _: needed.total - needed.weights - 1)
    tiny_trainer(model, data, plan, needs=needs, free_memory=lambda _: needed.total - needed.weights)
    tiny_trainer(model, data, plan, needs=needs, free_memory=lambda _: None)  # not measured is no reason to refuse


def machine(root: Path, **files: str) -> Path:
    for name, text in files.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="ascii")
    return root


MEMINFO = {"proc__meminfo": "MemTotal: 9000 kB\nMemAvailable:   4000 kB\n"}


def test_what_the_kernel_calls_available_is_free(tmp_path: Path) -> None:
    assert free_host_bytes(machine(tmp_path, **MEMINFO)) == 4000 * 1024


def test_a_control_group_above_this_process_can_leave_less(tmp_path: Path) -> None:
    root = machine(
        tmp_path,
        **MEMINFO,
        **{
            "proc__self__cgroup": "0::/jobs/one\n",
            "sys__fs__cgroup__jobs__one__memory.max": "max\n",
            "sys__fs__cgroup__jobs__one__memory.current": "70\n",
            "sys__fs__cgroup__jobs__memory.max": "1000\n",
            "sys__fs__cgroup__jobs__memory.current": "900\n",
            "sys__fs__cgroup__jobs__memory.stat": "anon 5\ninactive_file 50\n",
        },
    )
    assert free_host_bytes(root) == 150


def test_control_groups_of_the_first_version_count_too(tmp_path: Path) -> None:
    root = machine(
        tmp_path,
        **MEMINFO,
        **{
            "proc__self__cgroup": "5:cpu:/x\n4:memory:/box\n",
            "sys__fs__cgroup__memory__box__memory.limit_in_bytes": "1000\n",
            "sys__fs__cgroup__memory__box__memory.usage_in_bytes": "400\n",
        },
    )
    assert free_host_bytes(root) == 600


def test_where_nothing_can_be_read_nothing_is_known(tmp_path: Path) -> None:
    assert free_host_bytes(tmp_path) is None
    assert free_bytes(torch.device("meta")) is None
