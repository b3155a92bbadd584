"""What a run does where no method is named: what came nearest to a model that never knew.

Method, learning rate and scale were chosen by `benchmarks/consolidation`, on SmolLM2-135M with four authors of TOFU to
forget; for other models they are a place to start from. Batches are small, as a single entry has few texts: one of 20
facts is hardly forgotten in 15 steps of eight texts, but in 50 of two, which take as long.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

METHOD: Final = "wga"
HYPER_PARAMETERS: Final[Mapping[str, object]] = {}
EDIT_SCALE: Final = 0.75
PLAN: Final[Mapping[str, Any]] = {"learning_rate": 1e-3, "batch_size": 2}
"""Of a training plan; what is not here is the plan's own default."""
