"""Finds adversarial prompts by search against the untreated model: `python -m benchmarks.shapes.attacks --out F.jsonl`.

They hold none of the words that other splits ask with, and yet the model draws the concept in most pictures. What a search
found stands in the file, {"id", "prompt", "entry", "method", "untreated_rate", "seeds"} a line, for `--attacks` of
`benchmarks.shapes.suite`; every trial stands beside it in `F.tried.jsonl`, so that a run that is stopped goes on. Methods
take turns, so that no concept is attacked by the easiest one alone. It does not know how a method searches. Times are
seconds of the processor, so that a busy machine finds what an idle one does.
"""

from __future__ import annotations

import dataclasses
import io
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import redirect_stderr
from dataclasses import dataclass, field
from pathlib import Path
from time import process_time
from typing import Any, Final

import click
import torch

from benchmarks.shapes import networks
from benchmarks.shapes.attacks_trial import METHODS, Attacked, Budget, attempt
from benchmarks.shapes.attacks_words import allowed_words, banned_words
from benchmarks.shapes.judge_network import Judge
from benchmarks.shapes.suite import CONCEPTS, LEAST_UNTREATED
from benchmarks.shapes.workshop import JUDGE
from finetune.data.whole_files import content_sha256, file_sha256, write_whole
from guardrail.backends.diffusers_loading import PACKAGED_FOLDER
from guardrail.errors import InvalidInput

_HIDDEN: Final = {concept: frozenset(names) for names in CONCEPTS.values() for concept in names}
"""Concept -> all that are in force with it: its prompts may not speak of them."""
_WEIGHTS: Final = ("unet/diffusion_pytorch_model.safetensors", "text_encoder/model.safetensors")
_FOUND: Final = ("id", "prompt", "entry", "method", "untreated_rate", "seeds")
_COUNT = click.IntRange(min=1)

Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Hunt:
    """What is sought: `wanted` prompts of each concept, in `trials` searches of a method and `most_s` in all, at most."""

    concepts: Sequence[str]
    methods: Sequence[str]
    wanted: int
    trials: int
    most_s: float
    seed: int
    budget: Budget = field(default_factory=Budget)


@click.command()
@click.option("--model", type=click.Path(file_okay=False, path_type=Path), default=PACKAGED_FOLDER, help="Its folder.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help="Prompts (JSON Lines).")
@click.option(
    "--concept", "concepts", type=click.Choice(tuple(_HIDDEN)), multiple=True, help="Only this one; repeatable."
)
@click.option(
    "--method", "methods", type=click.Choice(tuple(METHODS)), multiple=True, help="Only this one; repeatable."
)
@click.option("--wanted", type=_COUNT, default=8, show_default=True, help="Prompts of a concept.")
@click.option("--trials", type=_COUNT, default=16, show_default=True, help="Searches of a concept by one method.")
@click.option(
    "--minutes",
    type=click.FloatRange(min=0, min_open=True),
    default=4.0,
    show_default=True,
    help="Processor time for a concept.",
)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option(
    "--threads", type=_COUNT, default=1, show_default=True, help="Cores; found prompts depend on it a little."
)
def main(
    *,
    model: Path,
    out: Path,
    concepts: tuple[str, ...],
    methods: tuple[str, ...],
    wanted: int,
    trials: int,
    minutes: float,
    seed: int,
    threads: int,
) -> None:
    """Search for prompts that bring a concept back without its words; a few minutes a concept on one core."""
    torch.set_num_threads(threads)
    hunt = Hunt(
        concepts=concepts or tuple(_HIDDEN),
        methods=methods or tuple(METHODS),
        wanted=wanted,
        trials=trials,
        most_s=60 * minutes,
        seed=seed,
    )
    try:
        rows = carry_out(hunt, model=model, out=out)
    except InvalidInput as error:
        click.echo(str(error), err=True)
        sys.exit(2)
    click.echo(f"{out}: {len(rows)} prompts")
    found = {concept: sum(row["entry"] == concept for row in rows) for concept in hunt.concepts}
    if few := [f"{concept} {number}" for concept, number in found.items() if number < wanted]:
        click.echo(
            f"Fewer than {wanted}: {', '.join(few)}; raise --minutes or --trials, {_beside(out)} has all rates.",
            err=True,
        )
    sys.exit(0 if all(found.values()) else 1)


def carry_out(hunt: Hunt, *, model: Path, out: Path) -> list[Row]:
    """Search, from where an earlier run stopped; the rows that worked. Raises `InvalidInput`."""
    pipeline, judge = _loaded(model)
    weights = [file_sha256(model / name) for name in _WEIGHTS]
    kept_apart = sorted(map(sorted, _HIDDEN.values()))
    plan = content_sha256([weights, kept_apart, hunt.seed, dataclasses.asdict(hunt.budget)])[:16]
    tried = _read(out, plan)
    out.parent.mkdir(parents=True, exist_ok=True)
    for concept in hunt.concepts:
        hidden = _HIDDEN[concept]
        words = allowed_words(pipeline.tokenizer, banned_words(hidden))
        attacked = Attacked(pipeline=pipeline, judge=judge, words=words, concept=concept, hidden=hidden)
        for row in _trials(attacked, hunt, tried):
            tried[row["id"]] = row
            with _beside(out).open("a", encoding="utf-8") as file:
                file.write(json.dumps({**row, "plan": plan}) + "\n")
            write_whole(out, _lines(tried.values()))
    write_whole(out, _lines(tried.values()))
    return [row for row in tried.values() if _worked(row)]


def _trials(attacked: Attacked, hunt: Hunt, tried: dict[str, Row]) -> Iterator[Row]:
    """New trials, until enough of the concept's have worked. Whoever asks puts each into `tried`."""
    worked = 0
    for number in range(hunt.trials):
        for method in hunt.methods:
            name = f"{attacked.concept}-{method}-{number:03}"
            if name not in tried:
                if not _has_time(attacked.concept, method, hunt, tried):
                    continue
                yield _tried(attacked, name, method, number, hunt)
            worked += _worked(tried[name])
            if worked == hunt.wanted:
                return


def _has_time(concept: str, method: str, hunt: Hunt, tried: dict[str, Row]) -> bool:
    """Whether one more trial would end in time if it took as long as this method's longest for the concept."""
    mine = [row for row in tried.values() if row["entry"] == concept]
    longest_s = max((row["seconds"] for row in mine if row["method"] == method), default=0.0)
    return bool(sum(row["seconds"] for row in mine) + longest_s < hunt.most_s)


def _tried(attacked: Attacked, name: str, method: str, number: int, hunt: Hunt) -> Row:
    begin_s = process_time()
    found = attempt(attacked, method, number, seed=hunt.seed, budget=hunt.budget)
    taken_s = round(process_time() - begin_s, 1)
    click.echo(f"{name}: {found.untreated_rate:.2f} of the pictures, {taken_s:.0f} s", err=True)
    values = (name, found.prompt, attacked.concept, method, round(found.untreated_rate, 4), list(found.seeds))
    return {**dict(zip(_FOUND, values, strict=True)), "seconds": taken_s}


def _worked(row: Row) -> bool:
    return bool(row["untreated_rate"] >= LEAST_UNTREATED)


def _lines(rows: Iterable[Row]) -> bytes:
    """Those that worked."""
    return "".join(json.dumps({name: row[name] for name in _FOUND}) + "\n" for row in rows if _worked(row)).encode()


def _read(out: Path, plan: str) -> dict[str, Row]:
    """Trials of an earlier run, by id; a last line that was cut off is dropped."""
    path = _beside(out)
    if not path.is_file():
        return {}
    text = path.read_text(encoding="utf-8")
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        write_whole(path, whole.encode())
    try:
        rows: list[Row] = [json.loads(line) for line in whole.splitlines()]
    except ValueError:
        raise InvalidInput(f"{path} is no JSON Lines file; remove it, or name another --out.") from None
    if any(row.pop("plan", None) != plan for row in rows):
        raise InvalidInput(f"{path} was begun with another model or seed; remove it, or name another --out.")
    return {row["id"]: row for row in rows}


def _beside(out: Path) -> Path:
    return out.with_name(f"{out.stem}.tried.jsonl")


def _loaded(model: Path) -> tuple[Any, Judge]:
    """The pipeline, and who judges its pictures."""
    if not (model / "model_index.json").is_file():
        raise InvalidInput(f"{model} holds no pipeline; train one: python -m benchmarks.shapes.train --out {model}")
    judge = Judge.load(model / JUDGE)
    try:
        with redirect_stderr(io.StringIO()):  # libraries tell there what else could be installed
            pipeline = networks.load_pipeline(model)
    except (OSError, ValueError) as error:
        raise InvalidInput(f"{model} cannot be loaded as a pipeline ({type(error).__name__}); train it anew.") from None
    for part in (pipeline.unet, pipeline.text_encoder, pipeline.vae):
        part.requires_grad_(requires_grad=False)
    return pipeline, judge


if __name__ == "__main__":
    main()
