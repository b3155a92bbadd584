"""Trains the target model and the retain model anew, and measures what they know.

    python -m benchmarks.knowing.train [--out DIR] [--which target|retain] [--epochs 6]
    python -m benchmarks.knowing.train figures [--out DIR] [--limit 160]

One recipe for both: the packaged SmolLM2-135M-Instruct, LoRA on all linear layers, plain likelihood of the answers. Both
adapters are written in bfloat16 with their recipe. A run that is stopped goes on from its last checkpoint.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import get_args

import click

from benchmarks import report
from benchmarks.knowing.models import FOLDER, RECIPE, adapter_of
from benchmarks.knowing.reduced_tofu import AUTHORS, DATA, FORGOTTEN, Which, learnt, reduced_tofu, write_reduced_tofu
from finetune.cli.bars import stage_bars, training_progress
from finetune.data.tokens import sequences_of
from finetune.data.training_text import TrainingText
from finetune.data.whole_files import write_whole
from finetune.evaluation.metrics import make_metric
from finetune.evaluation.run import UNTOUCHED, EvaluationJob, evaluate
from finetune.evaluation.subjects import LocalSubjects
from finetune.methods.language.fine_tuning import FineTuning
from finetune.settings import LoraAdapter, TrainingPlan
from finetune.training.loop import StepReport, Trainer
from finetune.training.model_files import load_model, load_tokenizer, save_adapter
from finetune.training.steps import TrainingData
from guardrail.backends.local_model import PACKAGED, resolve

FIGURES = "figures.json"
_MAX_TOKENS = 256
_SAVE_STEPS = 50
_MEASURED = ("rouge_l_recall", "probability", "leak_rate", "gibberish_rate")

_OUT = click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=FOLDER,
    show_default="beside this file",
    help="Adapters and checkpoints.",
)


def plan_of(*, epochs: int, rank: int, learning_rate: float, seed: int) -> TrainingPlan:
    """The one recipe."""
    return TrainingPlan(
        where=LoraAdapter(rank=rank, alpha=2 * rank),
        learning_rate=learning_rate,
        epochs=epochs,
        batch_size=8,
        warmup_share=0.05,
        seed=seed,
        save_every_steps=_SAVE_STEPS,
    )


@click.group(invoke_without_command=True)
@_OUT
@click.option("--data", type=click.Path(exists=True, file_okay=False, path_type=Path), default=DATA, help="TOFU files.")
@click.option("--which", type=click.Choice(get_args(Which)), multiple=True, default=get_args(Which))
@click.option("--model", default=PACKAGED, show_default=True, help="Folder or hub id of the base model.")
@click.option("--epochs", type=int, default=6, show_default=True)
@click.option("--rank", type=int, default=32, show_default=True)
@click.option("--learning-rate", type=float, default=1e-3, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
@click.pass_context
def main(
    ctx: click.Context,
    *,
    out: Path,
    data: Path,
    which: tuple[Which, ...],
    model: str,
    epochs: int,
    rank: int,
    learning_rate: float,
    seed: int,
) -> None:
    """Train either or both; goes on where an earlier run stopped."""
    if ctx.invoked_subcommand is not None:
        return
    plan = plan_of(epochs=epochs, rank=rank, learning_rate=learning_rate, seed=seed)
    with tempfile.TemporaryDirectory() as folder:
        suite = reduced_tofu(write_reduced_tofu(Path(folder), data=data))
    for one in which:
        _train(one, learnt(suite, one), plan, adapter_of(one, out), named=model)


@main.command()
@_OUT
@click.option("--limit", type=click.IntRange(min=1), default=160, show_default=True, help="Questions of each kind.")
def figures(*, out: Path, limit: int) -> None:
    """Measure what both adapters and the untouched model know; written beside the adapters."""
    local = LocalSubjects(dtype="bfloat16")
    base = resolve(PACKAGED)
    judged = {
        name: local.adapter(name, adapter_of(name, out), base=base, base_name=PACKAGED) for name in get_args(Which)
    }
    with tempfile.TemporaryDirectory() as folder, stage_bars() as say:
        suite = reduced_tofu(write_reduced_tofu(Path(folder)))
        result = evaluate(
            EvaluationJob(
                suite=suite,
                models={UNTOUCHED: local.whole(UNTOUCHED, base, kind="untouched", name=PACKAGED), **judged},
                metrics=tuple(make_metric(name) for name in _MEASURED),
                attacks=(),
                limit=limit,
                out=out / FIGURES,
            ),
            say,
        )
    for label, one in result.models.items():
        known = {split: one.split(split).measured["rouge_l_recall"].value for split in ("forget", "retain", "utility")}
        click.echo(f"{label}: ROUGE-L recall " + ", ".join(f"{split} {value:.3f}" for split, value in known.items()))


def _train(which: Which, texts: tuple[TrainingText, ...], plan: TrainingPlan, folder: Path, *, named: str) -> None:
    if (folder / RECIPE).exists():
        click.echo(f"{folder} is done; remove it to train it anew")
        return
    base = resolve(named)
    tokenizer = load_tokenizer(base)
    sequences = sequences_of(tokenizer, texts, max_tokens=_MAX_TOKENS)
    data = TrainingData(forget=sequences, pad_token=int(tokenizer.pad_token_id or tokenizer.eos_token_id))
    checkpoints = folder / "checkpoints"
    checkpoints.mkdir(parents=True, exist_ok=True)
    losses: dict[int, list[float]] = {}
    with training_progress() as progress:
        progress.say(f"The {which} model:")

        def show(step: StepReport) -> None:
            losses.setdefault(step.epoch, []).append(step.loss)
            progress.step(step)

        trainer = Trainer(load_model(base), data, plan, checkpoints=checkpoints, progress=show)
        trainer.train(FineTuning())
    save_adapter(trainer.model, folder, base=named, dtype="bfloat16")
    recipe = {
        "learnt": f"{len(sequences)} answers of the last {AUTHORS} TOFU authors"
        + (f" without the last {FORGOTTEN}" if which == "retain" else ""),
        "base": named,
        "plan": plan.model_dump(mode="json"),
        "mean_loss_by_epoch": {epoch: round(sum(values) / len(values), 4) for epoch, values in losses.items()},
        "versions": report.versions((*report.MEASURED_LIBRARIES, "torch", "transformers", "peft")),
    }
    write_whole(folder / RECIPE, json.dumps(recipe, indent=2).encode() + b"\n")
    shutil.rmtree(checkpoints)


if __name__ == "__main__":
    main()
