"""`expunge consolidate run`: one method takes what is to be forgotten out of one model's weights.

Knows options and what is said; the run is `finetune.consolidation.run`, its judgement `finetune.evaluation.run`. How a
model's name becomes a folder may be handed in as the context's object: packaged models are not known here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import click
import orjson

from finetune.cli.bars import stage_bars, training_progress
from finetune.cli.exits import STOPPED, told
from finetune.cli.image_options import image_request_of, is_of_images
from finetune.cli.image_summary import show_image_outlook, show_image_run
from finetune.cli.judged_table import show_judged
from finetune.cli.model_names import resolver_of, shown
from finetune.cli.outlook import outlook_of
from finetune.cli.run_options import RunOptions, request_of
from finetune.cli.run_summary import show_outlook, show_run
from finetune.cli.training_commands import (
    PLACE,
    computing_options,
    memory_told,
    outcome_options,
    step_options,
    text_options,
    what_is_forgotten,
)
from finetune.cli.typed_values import methods_shown
from finetune.consolidation import default_method
from finetune.consolidation.image_run import check_image_run, run_on_images
from finetune.consolidation.own_questions import suite_of
from finetune.consolidation.request import RunRequest
from finetune.consolidation.run import RunResult, run
from finetune.data.loading import without_bars_of_transformers
from finetune.evaluation.metrics.judging import MAX_NEW_TOKENS
from finetune.evaluation.run import UNTOUCHED, EvaluationJob, UnlearningReport, evaluate
from finetune.evaluation.subjects import LocalSubjects
from finetune.training.free_memory import free_bytes
from finetune.training.model_files import Dtype
from finetune.training.processes import is_main_process

_FILE = click.Path(dir_okay=False, path_type=Path)
_METHODS = "\n".join(methods_shown())
_BY_DEFAULT = ", ".join(
    f"{name} {value:g}"
    for name, value in {
        **default_method.HYPER_PARAMETERS,
        **default_method.PLAN,
        "edit_scale": default_method.EDIT_SCALE,
    }.items()
)


@click.command(
    "run",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=f"\b\nMethods, and what --set may change of them:\n{_METHODS}",
)
@click.option("--model", required=True, metavar="M", help="The model: a folder or a hub id.")
@click.option(
    "--method",
    metavar="NAME",
    help=f"How it is made to forget; see below. Default: {default_method.METHOD} with {_BY_DEFAULT}.",
)
@what_is_forgotten
@click.option("--out", type=PLACE, required=True, metavar="DIR", help="The run's own folder, for weights and manifest.")
@click.option("--set", "hyper_parameters", multiple=True, metavar="NAME=VALUE", help="Of the method; repeatable.")
@click.option("--plan", type=_FILE, metavar="FILE", help="Training plan (YAML or JSON). The options below beat it.")
@click.option(
    "--learning-rate",
    type=float,
    help=f"Greatest. Default: 1e-4, without --method {default_method.PLAN['learning_rate']:g}; full weights want 1e-5.",
)
@click.option("--epochs", type=int, help="Passes over what is to be forgotten. Default: 5.")
@click.option("--max-steps", type=int, help="Most steps of the optimiser.")
@click.option(
    "--batch-size",
    type=int,
    help=f"Texts to forget in a forward pass. Default: 4, without --method {default_method.PLAN['batch_size']}.",
)
@step_options
@click.option("--rank", type=int, help="Train a LoRA adapter of this rank (default: 16); alpha is twice it.")
@click.option("--full", is_flag=True, help="Train all weights instead.")
@click.option(
    "--modules", multiple=True, metavar="PATTERN", help="Or those of modules by regular expression; repeatable."
)
@computing_options
@click.option(
    "--edit-scale",
    type=float,
    help=f"Share of the edit kept: below 1 forgets less. Default: 1, without --method {default_method.EDIT_SCALE}.",
)
@click.option(
    "--stop-probability",
    type=float,
    metavar="P",
    help="Stop after an epoch in which what is to be forgotten has become as unlikely as P by token.",
)
@text_options
@click.option(
    "--saved-as", type=click.Choice(get_args(Dtype)), help="Type of the written weights. Default: as trained."
)
@click.option("--judge", type=_FILE, metavar="R.json", help="Then judge the untouched model and the edited weights.")
@click.option("--judge-limit", type=click.IntRange(1), metavar="N", help="Questions a split, at most.")
@click.option("--judge-max-new-tokens", type=click.IntRange(1), metavar="N", help="Of an answer. Default: 200.")
@outcome_options
@click.pass_context
def command(ctx: click.Context, /, *, dry_run: bool, as_json: bool, **given: Any) -> None:
    """Take what is to be forgotten out of a model's weights.

    One method is trained on one model, from forget entries or from a suite. An adapter (by default) or a whole model is
    written, with a manifest of how it was made. Everything that can be checked is checked before any work; a run that
    was broken off goes on from its last checkpoint when the same command is started again. Suppression is not erasure:
    judge the result (--judge), and serve it behind the proxy all the same.
    """
    options = RunOptions(resolve=resolver_of(ctx), **given)
    if is_of_images(options.method):
        _run_on_images(options, dry_run=dry_run, as_json=as_json)
        return
    with told(), without_bars_of_transformers():
        request = request_of(options)
        if dry_run:
            show_outlook(outlook_of(request, free_bytes), as_json=as_json)
            return
    with told(stopped=_stopped(request)), memory_told(), training_progress() as progress:
        result = run(request, progress.say, progress=progress.step, free_memory=free_bytes)
    if not is_main_process():
        return
    if not as_json:
        show_run(result, model=options.model, suite=options.suite, is_judged=options.judge is not None)
    report = _judged(options, request, result)
    if as_json:
        _print_json(result, report)
    elif report is not None and options.judge is not None:
        click.echo()
        show_judged(report, options.judge)


def _run_on_images(options: RunOptions, *, dry_run: bool, as_json: bool) -> None:
    with told():
        request = image_request_of(options)
        if dry_run:
            show_image_outlook(check_image_run(request), as_json=as_json)
            return
    with told(stopped=STOPPED), memory_told(), training_progress() as progress:
        result = run_on_images(request, progress.say, drawing=progress.drawing, progress=progress.step)
    show_image_run(result, as_json=as_json)


def _judged(options: RunOptions, request: RunRequest, result: RunResult) -> UnlearningReport | None:
    """The untouched model and the edited weights on the run's own questions."""
    if options.judge is None:
        return None
    click.echo("Judging the untouched model and the edited weights.", err=True)
    with told(), without_bars_of_transformers(), stage_bars() as say:
        local, label, name = LocalSubjects(), result.manifest.method, shown(options.model)
        base = str(request.base)
        if result.manifest.form == "adapter":
            edited = local.adapter(label, result.weights, base=base, base_name=name)
        else:
            edited = local.whole(label, str(result.weights))
        untouched = local.whole(UNTOUCHED, base, kind="untouched", name=name)
        job = EvaluationJob(
            suite=suite_of(request, result),
            models={UNTOUCHED: untouched, label: edited},
            out=options.judge,
            limit=options.judge_limit,
            seed=request.training_plan.seed,
            max_new_tokens=options.judge_max_new_tokens or MAX_NEW_TOKENS,
        )
        return evaluate(job, say)


def _stopped(request: RunRequest) -> str:
    every = request.plan.save_every_steps
    if not every:
        return "Stopped; the plan writes no checkpoints, so that the same command begins anew."
    return f"Stopped; the same command goes on from its last checkpoint, if it wrote one (save_every_steps: {every})."


def _print_json(result: RunResult, report: UnlearningReport | None) -> None:
    content = {
        "folder": str(result.folder),
        "weights": str(result.weights),
        "manifest": result.manifest.model_dump(mode="json"),
        "judged": report.model_dump(mode="json") if report is not None else None,
    }
    click.echo(orjson.dumps(content, option=orjson.OPT_INDENT_2).decode())
