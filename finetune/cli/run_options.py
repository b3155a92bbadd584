"""The options of `expunge consolidate run`, and the request that they make.

Everything that needs nothing but options and files is told here, in the options' words; the rest is the run's to check.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from finetune.cli.entry_file import read_entries
from finetune.cli.model_names import Resolve
from finetune.cli.plan_file import read_plan_values
from finetune.cli.typed_values import hyper_parameters
from finetune.consolidation import default_method
from finetune.consolidation.base_model import base_of
from finetune.consolidation.request import SAVE_EVERY_STEPS, SAVE_EVERY_STEPS_OF_WEIGHTS, RunRequest
from finetune.data.tokens import prompt_tokens
from finetune.errors import InvalidData, InvalidPlan
from finetune.evaluation.suites import read_suite
from finetune.settings import TrainingPlan, plan_from
from finetune.training.model_files import Dtype

_GENERATED = 64
"""Texts to keep that the model gives itself where an operator names none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunOptions:
    """The command line as given."""

    model: str
    method: str | None
    entries: Path | None
    suite: Path | None
    out: Path
    hyper_parameters: tuple[str, ...]
    plan: Path | None
    learning_rate: float | None
    epochs: int | None
    max_steps: int | None
    batch_size: int | None
    retain_per_forget: int | None
    accumulation: int | None
    gradient_checkpointing: bool | None
    rank: int | None
    full: bool
    modules: tuple[str, ...]
    dtype: str | None
    seed: int | None
    edit_scale: float | None
    stop_probability: float | None
    retain: Path | None
    retain_generated: int | None
    training_paraphrases: int | None
    max_tokens: int
    saved_as: Dtype | None
    judge: Path | None
    judge_limit: int | None
    judge_max_new_tokens: int | None
    resolve: Resolve


def request_of(given: RunOptions) -> RunRequest:
    """Raises `FinetuneError` for what does not go together or cannot be read."""
    method = given.method or default_method.METHOD
    by_default = default_method.HYPER_PARAMETERS if given.method is None else {}
    chosen = {**by_default, **hyper_parameters(method, given.hyper_parameters)}
    _check_together(given)
    request = RunRequest(
        base=given.resolve(given.model),
        out=given.out,
        method=method,
        hyper_parameters=chosen,
        plan=plan_of(given),
        entries=read_entries(given.entries) if given.entries is not None else (),
        suite=read_suite(given.suite) if given.suite is not None else None,
        retain=given.retain,
        retain_generated=_retain_generated(given),
        training_paraphrases=given.training_paraphrases or 0,
        max_tokens=given.max_tokens,
        edit_scale=_edit_scale(given),
        stop_probability=given.stop_probability,
        saved_as=given.saved_as,
    )
    if given.judge is not None:
        _check_judge(given.judge, request)
    return request


def plan_of(given: RunOptions) -> TrainingPlan:
    """The file's plan, by default with checkpoints; an option beats the file. Where no method is named, an adapter is
    trained as the default method does best. Raises `InvalidPlan`."""
    in_file = read_plan_values(given.plan) if given.plan is not None else {}
    where = _where(given, in_file.get("where")) or in_file.get("where")
    is_adapter = _is_adapter(where)
    values: dict[str, Any] = {"save_every_steps": SAVE_EVERY_STEPS if is_adapter else SAVE_EVERY_STEPS_OF_WEIGHTS}
    if given.method is None and is_adapter:
        values |= default_method.PLAN
    values |= in_file
    named = {
        "learning_rate": given.learning_rate,
        "epochs": given.epochs,
        "max_steps": given.max_steps,
        "batch_size": given.batch_size,
        "retain_per_forget": given.retain_per_forget,
        "accumulation": given.accumulation,
        "gradient_checkpointing": given.gradient_checkpointing,
        "dtype": given.dtype,
        "seed": given.seed,
        "where": where,
    }
    return plan_from(values | {name: value for name, value in named.items() if value is not None})


def _edit_scale(given: RunOptions) -> float:
    if given.edit_scale is not None:
        return given.edit_scale
    return default_method.EDIT_SCALE if given.method is None else 1.0


def _where(given: RunOptions, in_file: object) -> Mapping[str, Any] | None:
    """None: as the file says. A rank alone keeps the adapter's scale, alpha / rank, at its usual 2."""
    named = [("--full", given.full), ("--modules", bool(given.modules)), ("--rank", given.rank is not None)]
    both = [name for name, is_given in named if is_given]
    if len(both) > 1:
        raise InvalidPlan(f"{' and '.join(both)} each say which weights are trained; give one of them.")
    if given.full:
        return {"kind": "full"}
    if given.modules:
        return {"kind": "modules", "patterns": list(given.modules)}
    if given.rank is None:
        return None
    as_before = in_file if isinstance(in_file, Mapping) and in_file.get("kind") == "lora" else {}
    return {"alpha": 2 * given.rank, **as_before, "kind": "lora", "rank": given.rank}


def _is_adapter(where: object) -> bool:
    return where is None or (isinstance(where, Mapping) and where.get("kind") == "lora")


def _check_together(given: RunOptions) -> None:
    if (given.entries is None) == (given.suite is None):
        state = "both were given" if given.entries is not None else "neither was given"
        raise InvalidData(
            f"What is to be forgotten comes from --entries or from --suite, and {state}; give one of them."
        )
    if given.suite is not None and given.training_paraphrases is not None:
        raise InvalidPlan("--training-paraphrases are made of --entries; a suite's training texts are what they are.")
    if given.judge is None and (given.judge_limit or given.judge_max_new_tokens):
        raise InvalidPlan("How much is asked was said, but not that anything is to be; add --judge R.json.")


def _retain_generated(given: RunOptions) -> int:
    if given.retain_generated is not None:
        return given.retain_generated
    return _GENERATED if given.entries is not None and given.retain is None else 0


def _check_judge(judge: Path, request: RunRequest) -> None:
    """What would stop a judgement only after the training. Raises `InvalidPlan` or `ModelUnsuitable`."""
    if judge.resolve().is_relative_to(request.out.resolve()):
        raise InvalidPlan(f"{judge} lies in {request.out}, which holds the run alone; name a file beside that folder.")
    there = next(one for one in judge.absolute().parents if one.exists())
    if not there.is_dir() or not os.access(there, os.W_OK):
        raise InvalidPlan(f"{judge} cannot be written; name a file in a folder that you may write.")
    prompt_tokens(base_of(request.base).tokenizer, "question")  # the judge asks questions, whatever was trained on
