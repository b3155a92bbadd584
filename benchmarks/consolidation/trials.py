"""Which hyper-parameters each method is tried with. At most eight trials a method; a trial trains for six minutes at most.

All trials train LoRA of rank 16 on all linear layers in bfloat16, eight forget texts a step. Learning rate, epochs,
hyper-parameters and what keeps the rest are a trial's own: texts to keep for each to be forgotten, how many of the model's
own answers to ordinary prompts are among them, and how much of the edit is written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from finetune.settings import LoraAdapter, TrainingPlan

MOST_TRIALS: Final = 8
MOST_SECONDS: Final = 360.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """One method with its hyper-parameters, for `epochs` over the forget texts."""

    method: str
    learning_rate: float
    epochs: int = 3
    hyper_parameters: Mapping[str, Any] = field(default_factory=dict)
    retain_per_forget: int = 1
    retain_generated: int = 0
    edit_scale: float = 1.0
    seed: int = 0

    def plan(self, *, max_steps: int | None = None) -> TrainingPlan:
        """How it is trained."""
        return TrainingPlan(
            where=LoraAdapter(rank=16, alpha=32),
            learning_rate=self.learning_rate,
            epochs=self.epochs,
            max_steps=max_steps,
            batch_size=8,
            retain_per_forget=self.retain_per_forget,
            dtype="bfloat16",
            seed=self.seed,
            save_every_steps=10,
        )


def _tried(method: str, *settings: tuple[float, int, dict[str, Any]], **common: Any) -> tuple[Trial, ...]:
    """Learning rate, epochs and hyper-parameters of each; `common` are other fields of all."""
    return tuple(
        Trial(method=method, learning_rate=rate, epochs=epochs, hyper_parameters=chosen, **common)
        for rate, epochs, chosen in settings
    )


_KEEPING: Final[dict[str, Any]] = {"tokens": "learnt", "retain_weight": 10.0}

TRIALS: Final[Mapping[str, Sequence[Trial]]] = {
    "grad_ascent": _tried("grad_ascent", (1e-4, 2, {}), (2e-4, 2, {}), (5e-4, 2, {})),
    "grad_diff": _tried("grad_diff", (5e-4, 3, {"forget_weight": 0.3}), (5e-4, 3, {})),
    "kl_minimisation": _tried("kl_minimisation", (2e-4, 3, {}), (5e-4, 3, {})),
    "dpo": _tried("dpo", (2e-4, 3, {}), (1e-3, 3, {})),
    "npo": _tried("npo", (1e-3, 3, {"retain_weight": 30.0})),
    "simnpo": _tried(
        "simnpo",
        (5e-4, 3, {}),
        (1e-3, 4, {"delta": 2.0, "forget_weight": 1.0, "retain_weight": 3.0}),
        (1e-3, 5, {"delta": 2.0, "forget_weight": 1.0, "retain_weight": 10.0}),
        (5e-4, 6, {"delta": 2.0, "forget_weight": 1.0, "retain_weight": 3.0}),
    )
    + _tried("simnpo", (1e-3, 4, {"delta": 2.0, "forget_weight": 1.0, "retain_weight": 5.0}), retain_per_forget=2),
    "rmu": _tried(
        "rmu",
        (1e-3, 3, {"steering": 200.0, **_KEEPING}),
        (1e-3, 3, {"steering": 400.0, **_KEEPING}),
    ),
    "undial": _tried(
        "undial",
        (1e-3, 3, {"retain_weight": 1.0}),
        (1e-3, 3, {"retain_weight": 3.0}),
        (1e-3, 5, {"retain_weight": 3.0}),
        (1e-3, 4, {"retain_weight": 3.0}),
        (1e-3, 4, {"beta": 7.0, "retain_weight": 3.0}),
    ),
    "wga": _tried("wga", (1e-3, 5, {"retain_weight": 3.0}), (1e-3, 5, {}))
    + _tried("wga", (1e-3, 5, {}), edit_scale=0.75)
    + _tried("wga", (1e-3, 5, {}), edit_scale=0.7),
    "satimp": _tried(
        "satimp",
        (1e-3, 5, {"forget_weight": 1.0}),
        (1e-3, 5, {"beta_1": 1.0, "forget_weight": 1.0}),
        (1e-3, 5, {"forget_weight": 5.0}),
    ),
    "ce_u": _tried("ce_u", (1e-3, 3, {"retain_weight": 1.0}), (1e-3, 5, {"skipped": 0, "retain_weight": 1.0})),
    "llmu": _tried(
        "llmu",
        (1e-3, 2, {"mismatch_weight": 0.3, "retain_weight": 5.0}),
        (1e-3, 3, {}),
        (1e-3, 3, {"forget_weight": 0.5}),
    ),
    "altpo": _tried("altpo", (1e-3, 3, {}), (2e-4, 3, {})),
    "pdu": _tried("pdu", (1e-3, 3, {"slack": 0.3}), (5e-4, 3, {})),
    "eul": _tried(
        "eul", (1e-3, 3, {"forget_weight": 0.5, "likelihood_weight": 1.0, "retain_weight": 2.0}), (1e-3, 3, {})
    ),
    "task_vector": _tried(
        "task_vector", (5e-4, 3, {"scale": 1.0}), (5e-4, 3, {"scale": 3.0}), (5e-4, 3, {"scale": 5.0})
    ),
    "lora_negation": _tried(
        "lora_negation", (5e-4, 3, {"scale": 3.0, "kept_share": 0.3}), (5e-4, 3, {"scale": 5.0, "kept_share": 0.3})
    ),
    "ext_sub": _tried("ext_sub", (5e-4, 3, {"scale": 3.0}), (5e-4, 3, {"scale": 1.0})),
    "sku": _tried("sku", (5e-4, 3, {"scale": 3.0}), (5e-4, 3, {"scale": 1.0})),
    "whp": _tried("whp", (1e-3, 3, {"alpha": 5.0}), (1e-3, 3, {"alpha": 100.0})),
}
