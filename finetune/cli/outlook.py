"""`expunge consolidate run --dry-run`: all checks that need no weights, and what the run would do.

Nothing is written and no weight is loaded. What only the model's own answers decide is left open, and says so.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Literal

from accelerate import Accelerator
from pydantic import BaseModel, ConfigDict

from finetune.consolidation.request import RunRequest
from finetune.consolidation.run import CheckedRun, FreeMemory, check_run_request
from finetune.consolidation.tokens import training_data
from finetune.methods.language import RECIPES, Need
from finetune.training.memory import Load, MemoryEstimate, ModelSizes, estimate
from finetune.training.steps import StepOrder, TrainingData

State = Literal["new", "goes on", "done"]
"""Whether the run begins, goes on from a checkpoint, or was carried out before."""


class Outlook(BaseModel):
    """What a run would do; None: not known before the model has answered.

    `training` counts texts by part, `left_out` those to keep that are none, `questions` by split. If it `is_draft`, the
    model's own answers make more of them: `generated` texts to keep, of which some are asked instead, questions, and more
    to forget if `forget_is_least`. `steps` are those of each stage if the method `has_stages`. `needed_bytes` is
    estimated, part by part.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: str
    state: State
    out: Path
    training: dict[str, int]
    generated: int
    left_out: int
    questions: dict[str, int]
    is_draft: bool
    forget_is_least: bool
    steps: int | None
    has_stages: bool
    device: str
    needed_bytes: dict[str, int] | None
    free_bytes: int | None


def outlook_of(request: RunRequest, free_memory: FreeMemory) -> Outlook:
    """Raises what a run raises before any work, but for damaged weights, which are not read."""
    device = Accelerator().device
    free = free_memory(device)
    checked = check_run_request(request, free)
    draft, needs = checked.draft, checked.method.needs
    parts = {"forget": draft.forget, "retain": draft.retain, "alternative": draft.alternative}
    wanted = {"forget"} | {need.value for need in (Need.RETAIN, Need.ALTERNATIVE) if need in needs}
    data = None
    if draft.forget:
        data = training_data(checked.base, draft, needs, max_tokens=request.max_tokens)
    needed = _needed(checked, data, on_host=device.type == "cpu") if data is not None else None
    return Outlook(
        method=request.method,
        state=_state(checked),
        out=request.out,
        training={name: len(texts) for name, texts in parts.items() if name in wanted},
        generated=request.retain_generated,
        left_out=draft.left_out,
        questions=dict(Counter(one.split for one in draft.questions)),
        is_draft=draft.is_draft,
        forget_is_least=draft.is_draft and any(entry.exemplars for entry in request.entries),
        steps=StepOrder(data=data, plan=request.training_plan).steps if data is not None else None,
        has_stages=request.method in RECIPES,
        device=str(device),
        needed_bytes=asdict(needed) | {"total": needed.total} if needed is not None else None,
        free_bytes=free,
    )


def _needed(checked: CheckedRun, data: TrainingData, *, on_host: bool) -> MemoryEstimate:
    plan, needs = checked.request.training_plan, checked.method.needs
    load = Load(needs=needs, longest_tokens=data.longest_tokens())
    return estimate(ModelSizes.of(checked.base.sketch(plan)), plan, load, on_host=on_host)


def _state(checked: CheckedRun) -> State:
    if checked.finished is not None:
        return "done"
    return "goes on" if any(checked.folder.checkpoints.glob("*.pt")) else "new"
