"""What a run does where no method is named: what came nearest to a model that never knew.

Chosen by `benchmarks/consolidation`, on SmolLM2-135M with four authors of TOFU to forget, one after another or together;
for other models it is a place to start from.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

METHOD: Final = "wga"
HYPER_PARAMETERS: Final[Mapping[str, object]] = {}
EDIT_SCALE: Final = 0.75
PLAN: Final[Mapping[str, Any]] = {"learning_rate": 1e-3, "batch_size": 8}
"""Of a training plan; what is not here is the plan's own default."""
