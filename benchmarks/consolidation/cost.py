"""What consolidation costs: one entry of 20 facts from the command line, and a step beside a bare one of the same model.

The entry is one TOFU author, known to the target model; texts to keep are the model's own answers, so that the time holds
everything a user waits for. That author's questions are asked before and after: a fast run that forgets nothing is no use.
The bare step is what one would write by hand: forward with labels, backward, AdamW. Both take the same batches in turn, and
the ratio is of tokens a second, above 1 where ours is faster.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from subprocess import run as run_process
from typing import Any, Final

import torch
from peft import LoraConfig, get_peft_model

from benchmarks.consolidation.judging import Judge, measured
from benchmarks.consolidation.material import Material
from finetune.consolidation.manifest import read_manifest
from finetune.consolidation.measures import Measures
from finetune.data.loading import without_peft_warnings
from finetune.data.tokens import sequences_of
from finetune.errors import ModelUnsuitable
from finetune.evaluation.run import UNTOUCHED
from finetune.methods.language.fine_tuning import FineTuning
from finetune.settings import LoraAdapter, TrainingPlan
from finetune.training.loop import StepReport, Trainer
from finetune.training.model_files import load_model, load_tokenizer
from finetune.training.steps import StepOrder, TrainingData
from retrieval.entry import ForgetEntry

PAIRS: Final = 5
_STEPS: Final = 6  # the first warms up and is not counted
_BATCH: Final = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """`entry_s` is the whole command, `training_s` its steps; memory is the process's peak. Leak rates are of the
    entry's own questions, before and after."""

    entry_s: float
    training_s: float
    peak_host_mb: float | None
    leak_rate_before: float
    leak_rate: float
    ratios: Sequence[float]
    ours: Sequence[float]
    bare: Sequence[float]

    def figures(self) -> dict[str, float]:
        """By name; what was not measured is absent."""
        peak = {} if self.peak_host_mb is None else {"entry_peak_host_mb": round(self.peak_host_mb)}
        return {
            "entry_seconds": round(self.entry_s, 1),
            "entry_training_seconds": round(self.training_s, 1),
            **peak,
            "entry_leak_rate_before": round(self.leak_rate_before, 4),
            "entry_leak_rate": round(self.leak_rate, 4),
            "step_tokens_per_s_ratio": round(statistics.median(self.ratios), 3),
        }

    def samples(self) -> dict[str, Any]:
        """Every pair."""
        return {
            "tokens_per_s_ratio": [round(one, 3) for one in self.ratios],
            "tokens_per_s": [round(one, 1) for one in self.ours],
            "bare_tokens_per_s": [round(one, 1) for one in self.bare],
        }


def cost_of_an_entry(judge: Judge, tell: Callable[[str], object], *, max_steps: int | None) -> Cost:
    """Measured now, not kept. Raises `ModelUnsuitable` where the command fails."""
    given = judge.given
    entry = given.judging.entries[0]
    asked = replace(
        given.choosing, questions=tuple(one for one in given.choosing.of("forget") if one.entry == entry.id)
    )
    tell("cost: one entry of 20 facts")
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        seconds, measures = _entry(given, entry, out, max_steps)
        models = {UNTOUCHED: judge.untouched(), "entry": judge.edited("entry", out / "adapter")}
        judged = judge.briefly(models, suite=asked)
    tell("cost: steps side by side")
    ours, bare = _pairs(given, 1 if max_steps is not None else PAIRS)
    return Cost(
        entry_s=seconds,
        training_s=measures.training_s,
        peak_host_mb=None if measures.peak_host_bytes is None else measures.peak_host_bytes / 1e6,
        leak_rate_before=measured(judged[UNTOUCHED], "forget", "leak_rate"),
        leak_rate=measured(judged["entry"], "forget", "leak_rate"),
        ratios=[one / other for one, other in zip(ours, bare, strict=True)],
        ours=ours,
        bare=bare,
    )


def _entry(given: Material, entry: ForgetEntry, out: Path, max_steps: int | None) -> tuple[float, Measures]:
    """The command as a user types it: the default method and its settings."""
    entries = out.with_name("entry.jsonl")
    entries.write_text(entry.model_dump_json(exclude_defaults=True) + "\n", encoding="utf-8")
    command: list[str | Path] = [Path(sys.executable).with_name("expunge"), "consolidate", "run"]
    command += ["--model", given.base, "--entries", entries, "--out", out]
    if max_steps is not None:
        command += ["--max-steps", str(max_steps)]
    started = time.perf_counter()
    done = run_process(command, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - started
    if done.returncode:
        raise ModelUnsuitable(f"expunge consolidate run ended with {done.returncode}: {done.stderr[-500:]}")
    return seconds, read_manifest(out).measures


def _pairs(given: Material, pairs: int) -> tuple[list[float], list[float]]:
    """Tokens a second of ours and of bare steps, pair by pair, in changing order."""
    tokenizer = load_tokenizer(given.base)
    texts = given.judging.retain_texts[: _STEPS * _BATCH]
    data = TrainingData(forget=sequences_of(tokenizer, texts, max_tokens=256), pad_token=int(tokenizer.pad_token_id))
    plan = TrainingPlan(where=LoraAdapter(rank=16, alpha=32), batch_size=_BATCH, epochs=1, learning_rate=1e-4)
    ours: list[float] = []
    bare: list[float] = []
    for pair in range(pairs):
        for one in (_ours, _bare) if pair % 2 else (_bare, _ours):
            (ours if one is _ours else bare).append(one(given.base, data, plan))
    return ours, bare


def _ours(base: Path, data: TrainingData, plan: TrainingPlan) -> float:
    reports: list[StepReport] = []
    Trainer(load_model(base), data, plan, progress=reports.append).train(FineTuning())
    return sum(one.tokens for one in reports[1:]) / sum(one.step_s for one in reports[1:])


def _bare(base: Path, data: TrainingData, plan: TrainingPlan) -> float:
    assert isinstance(plan.where, LoraAdapter)
    config = LoraConfig(
        r=plan.where.rank, lora_alpha=plan.where.alpha, target_modules="all-linear", task_type="CAUSAL_LM"
    )
    loaded: Any = load_model(base)
    with without_peft_warnings():
        model = get_peft_model(loaded, config).train()
    optimizer = torch.optim.AdamW([one for one in model.parameters() if one.requires_grad], lr=plan.learning_rate)
    model.config.use_cache = False
    order = StepOrder(data=data, plan=plan)
    tokens, seconds = 0, 0.0
    for number in range(order.steps):
        started = time.perf_counter()
        step = order.step(number)
        batch = step.micro_batches[0].batch.forget
        loss = model(input_ids=batch.input_ids_BT, attention_mask=batch.attention_mask_BT, labels=batch.labels_BT).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        if number:
            tokens += step.tokens
            seconds += time.perf_counter() - started
    return tokens / seconds
