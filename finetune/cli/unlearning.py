"""`expunge eval unlearning`: what forgot, what leaks and what was kept, of models, adapters and endpoints.

Knows options; the judging lies in `finetune.evaluation.run`, bars, tables and exit codes beside this file. How a model's
name becomes a folder may be handed in as the context's object: packaged models are not known here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from finetune.cli.bars import stage_bars
from finetune.cli.exits import told
from finetune.cli.judged_table import show_judged
from finetune.cli.model_names import Resolve, resolver_of, shown
from finetune.data.loading import DTYPES
from finetune.errors import InvalidPlan
from finetune.evaluation.attacks import CONVERSATIONS, GROUPS, INFORMED, PROMPT_ATTACKS
from finetune.evaluation.judged_model import Sampling
from finetune.evaluation.metrics import METRICS, make_metric
from finetune.evaluation.prompting import PlainFormat
from finetune.evaluation.run import RETAIN, UNTOUCHED, EvaluationJob, evaluate
from finetune.evaluation.subjects import LocalSubjects, Subject, endpoint, is_adapter
from finetune.evaluation.suites import SUITES, Suite, read_suite, suite_reader


@click.command(
    "unlearning",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=(
        f"Metrics: {', '.join(METRICS)}. Prompt attacks: {', '.join(PROMPT_ATTACKS)}. Over several turns: "
        f"{', '.join(CONVERSATIONS)}. By somebody who knows the registry: {', '.join(INFORMED)}. "
        f"Groups: {', '.join(GROUPS)}."
    ),
)
@click.option("--suite", required=True, metavar="NAME_or_DIR", help="A suite's folder, or its name in --suites.")
@click.option(
    "--suites",
    type=click.Path(file_okay=False, path_type=Path),
    envvar="EXPUNGE_SUITES",
    help="Folder in which suites lie by name.",
)
@click.option("--model", metavar="M", help="The untouched model: a folder or a hub id. It is judged as 'none'.")
@click.option("--treatment", "treatments", multiple=True, metavar="T", help="'none', the untouched model; repeatable.")
@click.option("--adapter", "adapters", multiple=True, metavar="LABEL=DIR", help="An adapter on --model; repeatable.")
@click.option("--merged", "merged", multiple=True, metavar="LABEL=DIR", help="A whole model; repeatable.")
@click.option(
    "--endpoint",
    "endpoints",
    multiple=True,
    metavar="LABEL=URL[#MODEL]",
    help="An OpenAI-compatible endpoint (.../v1); it is asked for MODEL, by default LABEL; repeatable.",
)
@click.option("--api-key", envvar="EXPUNGE_API_KEY", help="Key for endpoints; better given as EXPUNGE_API_KEY.")
@click.option("--retain-model", metavar="ADAPTER_or_DIR", help="The model that was never trained on the forget set.")
@click.option("--metric", "metrics", multiple=True, help="Only these; repeatable. Default: those that suit the suite.")
@click.option(
    "--attack",
    "attacks",
    multiple=True,
    help="Attacks to make, or groups; repeatable. Default: all prompt attacks if needed.",
)
@click.option("--limit", type=click.IntRange(1), help="Questions a split, at most; drawn under the seed.")
@click.option("--samples", type=click.IntRange(1), default=16, show_default=True, help="Answers drawn, where needed.")
@click.option("--max-new-tokens", type=click.IntRange(1), default=200, show_default=True, help="Of an answer.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of all that is drawn.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:0.")
@click.option("--dtype", default="auto", show_default=True, help=f"auto, {', '.join(DTYPES)}.")
@click.option("--plain", is_flag=True, help="Ask 'Question: ...', for models without a chat template.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help="Result file (JSON).")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.pass_context
def command(ctx: click.Context, /, *, out: Path, as_json: bool, **given: Any) -> None:
    """Judge how well models forgot: accuracy, generalizability and locality.

    The untouched model (--model) is asked a suite's questions, and so is what unlearning made of it: adapters, merged
    models, endpoints (a running proxy, for treatments in context). Every figure has its number of questions and a 95 %
    interval; what cannot be measured is absent and says why. A run that was broken off goes on where it stopped when it
    is started again.
    """
    with told(), stage_bars() as say:
        report = evaluate(_job(_Options(out=out, resolve=resolver_of(ctx), **given)), say)
    if as_json:
        click.echo(report.model_dump_json(indent=2))
    else:
        show_judged(report, out)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Options:
    """The command line as given."""

    suite: str
    suites: Path | None
    model: str | None
    treatments: tuple[str, ...]
    adapters: tuple[str, ...]
    merged: tuple[str, ...]
    endpoints: tuple[str, ...]
    api_key: str | None = field(repr=False)
    retain_model: str | None
    metrics: tuple[str, ...]
    attacks: tuple[str, ...]
    limit: int | None
    samples: int
    max_new_tokens: int
    seed: int
    device: str
    dtype: str
    plain: bool
    out: Path
    resolve: Resolve


def _job(given: _Options) -> EvaluationJob:
    """Everything that can be wrong is told before a model is loaded. Raises `FinetuneError`."""
    metrics = tuple(make_metric(name) for name in dict.fromkeys(given.metrics))
    _refuse_treatments(given)
    suite = _suite(given.suite, given.suites)
    local = LocalSubjects(device=given.device, dtype=given.dtype, plain=PlainFormat() if given.plain else None)
    return EvaluationJob(
        suite=suite,
        models=_judged(given, local),
        retain_model=_retain_model(given, local),
        metrics=metrics,
        attacks=tuple(dict.fromkeys(given.attacks)) or None,
        limit=given.limit,
        seed=given.seed,
        max_new_tokens=given.max_new_tokens,
        sampling=Sampling(count=given.samples, seed=given.seed),
        out=given.out,
    )


def _refuse_treatments(given: _Options) -> None:
    for name in given.treatments:
        if name != UNTOUCHED:
            raise InvalidPlan(
                f"The treatment '{name}' cannot be judged by its name yet. Known: {UNTOUCHED}, the untouched model. Weight "
                "edits are given by --adapter or --merged, treatments in context by a proxy that applies them (--endpoint)."
            )
    if given.treatments and given.model is None:
        raise InvalidPlan(f"--treatment {UNTOUCHED} is the untouched model, and none was named; give --model.")


def _suite(name: str, suites: Path | None) -> Suite:
    if Path(name).is_dir():
        return read_suite(Path(name))
    if suites is not None and (suites / name).is_dir():
        return read_suite(suites / name, suite_reader(name) if name in SUITES else None)
    looked = f"nor lies in {suites}" if suites is not None else "and --suites names no folder to look it up in"
    raise InvalidPlan(
        f"The suite '{name}' is no folder {looked}. Suites are read from folders (formats: {', '.join(SUITES)}); "
        "name the folder that holds its files."
    )


def _judged(given: _Options, local: LocalSubjects) -> dict[str, Subject]:
    """By label, the untouched model first. Raises `InvalidPlan`."""
    found: dict[str, Subject] = {}
    if given.model is not None:
        found[UNTOUCHED] = local.whole(UNTOUCHED, given.resolve(given.model), kind="untouched", name=shown(given.model))
    for kind, values in (("adapter", given.adapters), ("merged", given.merged), ("endpoint", given.endpoints)):
        for value in values:
            label, _, place = value.partition("=")
            if not label or not place:
                raise InvalidPlan(f"--{kind} is '{value}'; write LABEL=..., as in --{kind} npo=...")
            if label in found or label == UNTOUCHED:
                raise InvalidPlan(f"The label '{label}' is given twice, or is the untouched model's; take another.")
            if kind == "endpoint":
                url, _, named = place.partition("#")
                found[label] = endpoint(url, model=named or label, api_key=given.api_key)
            elif kind == "adapter":
                found[label] = _adapter(given, local, label, place)
            else:
                found[label] = local.whole(label, given.resolve(place), name=shown(place))
    return found


def _retain_model(given: _Options, local: LocalSubjects) -> Subject | None:
    """An adapter where the folder is one, else a whole model."""
    place = given.retain_model
    if place is None:
        return None
    if is_adapter(Path(place)):
        return _adapter(given, local, RETAIN, place)
    return local.whole(RETAIN, given.resolve(place), name=shown(place))


def _adapter(given: _Options, local: LocalSubjects, label: str, folder: str) -> Subject:
    if given.model is None:
        raise InvalidPlan(f"The adapter '{label}' needs the model that it was trained on; give --model.")
    base = given.resolve(given.model)
    return local.adapter(label, Path(folder), base=base, base_name=shown(given.model))
