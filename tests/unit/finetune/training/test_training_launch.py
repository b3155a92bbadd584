"""What accelerate was told and does not suit is refused before any work, each option by its name."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import GradientAccumulationPlugin

from finetune.errors import InvalidPlan
from finetune.training.loop import Trainer
from finetune.training.processes import check_launch, launched
from tests.unit.finetune.training.tiny_training import tiny_data, tiny_model, tiny_plan


@pytest.fixture(autouse=True)
def fresh_state() -> Iterator[None]:
    """accelerate reads its environment once."""
    AcceleratorState._reset_state(True)
    yield
    AcceleratorState._reset_state(True)


def test_fsdp_that_would_have_no_effect_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    monkeypatch.setenv("FSDP_VERSION", "2")
    with pytest.raises(InvalidPlan, match=r"FSDP is asked for, but without effect \(NO on cpu\).*accelerate launch"):
        Trainer(tiny_model(), tiny_data(), tiny_plan())


def test_precision_that_is_not_the_plans_is_refused() -> None:
    accelerator = Accelerator(cpu=True, mixed_precision="bf16")
    with pytest.raises(InvalidPlan, match="mixed_precision is bf16; set it to no: the plan's dtype decides"):
        Trainer(tiny_model(), tiny_data(), tiny_plan(), accelerator=accelerator)


def test_accumulation_that_is_not_the_plans_is_refused() -> None:
    accelerator = Accelerator(cpu=True, gradient_accumulation_plugin=GradientAccumulationPlugin(num_steps=3))
    with pytest.raises(InvalidPlan, match="gradient_accumulation_steps is 3; set it to 1"):
        check_launch(accelerator)


def test_a_configuration_that_accelerate_itself_refuses_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    monkeypatch.setenv("FSDP_AUTO_WRAP_POLICY", "SOMEHOW")
    with pytest.raises(InvalidPlan, match=r"accelerate cannot use its own configuration: .*SOMEHOW"):
        launched()
