"""`expunge consolidate assistant`: train the small model that the treatment `offset` subtracts.

Knows options and what is said; the run is `finetune.consolidation.run` on the first layers of the served model, what it
came to `finetune.consolidation.assistant`. It does not know how or where answers are made with it.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final, get_args

import click
import orjson

from finetune.cli.assistant_summary import show_assistant
from finetune.cli.bars import training_progress
from finetune.cli.exits import told
from finetune.cli.model_names import resolver_of
from finetune.cli.outlook import outlook_of
from finetune.cli.run_options import RunOptions, request_of
from finetune.cli.run_summary import show_outlook
from finetune.cli.training_commands import (
    PLACE,
    computing_options,
    memory_told,
    outcome_options,
    step_options,
    text_options,
    what_is_forgotten,
)
from finetune.consolidation.assistant import Remembering, remembering
from finetune.consolidation.base_model import base_of
from finetune.consolidation.request import SAVE_EVERY_STEPS, RunRequest
from finetune.consolidation.run import RunResult, run
from finetune.data.loading import without_bars_of_transformers
from finetune.training.first_layers import FirstLayers
from finetune.training.free_memory import free_bytes
from finetune.training.model_files import Dtype, load_model
from finetune.training.processes import is_main_process, launched

METHOD: Final = "uld_assistant"
LAYERS: Final = 8
RANK: Final = 32
LEARNING_RATE: Final = 3e-3
BATCH_SIZE: Final = 2
EPOCHS: Final = 10
HYPER_PARAMETERS: Final[dict[str, object]] = {"retain_weight": 1.0}
"""Learning rate, batch size and weight were tried on SmolLM2-135M with four authors of TOFU to forget. With the paper's
learning rate of 1e-3 and weight of 5, four texts a step, it had learnt next to nothing after ten passes."""
_STOPPED: Final = f"Stopped; the same command goes on from its last checkpoint, written every {SAVE_EVERY_STEPS} steps."


@click.command("assistant", context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("--model", required=True, metavar="M", help="The served model: a folder or a hub id.")
@click.option("--adapter", type=PLACE, metavar="DIR", help="The LoRA adapter that it is served with, if any.")
@what_is_forgotten
@click.option(
    "--out", type=PLACE, required=True, metavar="DIR", help="The run's own folder; the assistant lies in DIR/model."
)
@click.option(
    "--layers", "count", type=int, default=LAYERS, show_default=True, help="Of the served model, from the first."
)
@click.option(
    "--set",
    "hyper_parameters",
    multiple=True,
    metavar="NAME=VALUE",
    help="forget_weight (1) or retain_weight (1: how much evenness counts); repeatable.",
)
@click.option("--learning-rate", type=float, default=LEARNING_RATE, show_default=True, help="Greatest.")
@click.option("--epochs", type=int, default=EPOCHS, show_default=True, help="Passes over what is to be forgotten.")
@click.option("--max-steps", type=int, help="Most steps of the optimiser.")
@click.option(
    "--batch-size", type=int, default=BATCH_SIZE, show_default=True, help="Texts to forget in a forward pass."
)
@step_options
@click.option("--rank", type=int, default=RANK, show_default=True, help="Of the LoRA that is merged at the end.")
@computing_options
@text_options
@click.option(
    "--saved-as", type=click.Choice(get_args(Dtype)), default="bfloat16", show_default=True, help="Type of the weights."
)
@outcome_options
@click.pass_context
def command(
    ctx: click.Context, /, *, count: int, adapter: Path | None, dry_run: bool, as_json: bool, **given: Any
) -> None:
    """Train the small model that `offset` subtracts from the served one.

    The first layers of the served model learn what is to be forgotten, and to hold all words alike for anything else (ULD,
    arXiv:2406.08607). An ordinary model folder is written, with a manifest of how it was made. It remembers what is to be
    forgotten: keep it as safe as the entries, and make it anew when they change.
    """
    options = RunOptions(resolve=resolver_of(ctx), **_ABSENT, **given)
    with told(), without_bars_of_transformers():
        request = _request(options, FirstLayers(count=count, adapter=adapter))
        if dry_run:
            show_outlook(outlook_of(request, free_bytes), as_json=as_json)
            return
    with told(stopped=_STOPPED), memory_told(), training_progress() as progress:
        result = run(request, progress.say, progress=progress.step, free_memory=free_bytes)
        if not is_main_process():
            return
        progress.say("Asking the assistant, before and after.")
        before, after = _before_and_after(request, result)
    if as_json:
        _print_json(result, before, after)
    else:
        show_assistant(result, before, after)


_ABSENT: Final[dict[str, Any]] = {
    "method": METHOD,
    "plan": None,
    "full": False,
    "modules": (),
    "edit_scale": None,
    "stop_probability": None,
    "judge": None,
    "judge_limit": None,
    "judge_max_new_tokens": None,
}
"""What `consolidate run` can be told and an assistant cannot."""


def _request(options: RunOptions, first_layers: FirstLayers) -> RunRequest:
    asked = request_of(options)
    return replace(asked, first_layers=first_layers, hyper_parameters={**HYPER_PARAMETERS, **asked.hyper_parameters})


def _before_and_after(request: RunRequest, result: RunResult) -> tuple[Remembering, Remembering]:
    """The untrained layers, and the weights as they were written."""
    base, device = base_of(request.base, first_layers=request.first_layers), launched().device
    untrained = remembering(base.load(request.training_plan, device), base, result.texts, max_tokens=request.max_tokens)
    trained = load_model(result.weights, device=str(device))
    return untrained, remembering(trained, base, result.texts, max_tokens=request.max_tokens)


def _print_json(result: RunResult, before: Remembering, after: Remembering) -> None:
    content = {
        "folder": str(result.folder),
        "weights": str(result.weights),
        "manifest": result.manifest.model_dump(mode="json"),
        "before": asdict(before),
        "after": asdict(after),
    }
    click.echo(orjson.dumps(content, option=orjson.OPT_INDENT_2).decode())
