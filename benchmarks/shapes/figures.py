"""Measures how well a trained shapes model follows prompts: `python -m benchmarks.shapes.figures --out FILE.json`.

The judge in the model's folder says what each picture shows. Figures are shares with their number and 95 % interval
(Wilson); `open_X_largest_share` is that of the commonest value where the prompt leaves X open: 1 / values were ideal.
`drawn_X` and `decoded_X` are what the judge says of fresh drawings, and of the same after the VAE: no prompt can do better.
"""

from __future__ import annotations

import sys
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import monotonic
from typing import Any

import click
import numpy as np
import torch
from PIL import Image
from rich.progress import track

from benchmarks import report
from benchmarks.shapes import networks
from benchmarks.shapes.asking import Ask, asks
from benchmarks.shapes.judge_network import NONE, Judge
from benchmarks.shapes.pixels import through
from benchmarks.shapes.rendering import Pictures, render_all
from benchmarks.shapes.scenes import draw_scenes
from benchmarks.shapes.vocabulary import ATTRIBUTES
from benchmarks.shapes.workshop import JUDGE
from guardrail.backends.diffusers_loading import PACKAGED_FOLDER
from guardrail.errors import InvalidInput
from guardrail.evaluation.figures import wilson

_BATCH = 16
_KNOWN = 240
_KNOWN_SEED = 900
_GRID_COLUMNS = 12
_GRID_SCALE = 3


@click.command()
@click.option("--model", type=click.Path(file_okay=False, path_type=Path), default=PACKAGED_FOLDER, help="Its folder.")
@click.option(
    "--judge", type=click.Path(file_okay=False, path_type=Path), help="The judge's; in the model's otherwise."
)
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help="Result file (JSON).")
@click.option(
    "--grid", type=click.Path(dir_okay=False, path_type=Path), help="Also the pictures of full prompts (PNG)."
)
@click.option("--number", type=click.IntRange(min=1), default=48, show_default=True, help="Prompts of each group.")
@click.option("--guidance", type=float, default=networks.GUIDANCE, show_default=True)
@click.option("--steps", type=click.IntRange(min=1), default=networks.STEPS, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
def main(
    *,
    model: Path,
    judge: Path | None,
    out: Path,
    grid: Path | None,
    number: int,
    guidance: float,
    steps: int,
    seed: int,
) -> None:
    """Measure prompt following of shape, colour, style, ground and place, of synonyms and things, and what is left open."""
    try:
        if not (model / "model_index.json").is_file():
            raise InvalidInput(f"{model} holds no pipeline; train one: python -m benchmarks.shapes.train --out {model}")
        looking = Judge.load(judge or model / JUDGE)
    except InvalidInput as error:
        click.echo(str(error), err=True)
        sys.exit(2)
    asked = asks(number, seed=seed)
    pipeline = networks.load_pipeline(model)
    known, shown = known_pictures(pipeline.vae, seed=seed)
    begin_s = monotonic()
    pictures = drawn(pipeline, asked, guidance=guidance, steps=steps, seed=seed)
    seconds = (monotonic() - begin_s) / len(asked)
    config = {"model": str(model), "number": number, "guidance": guidance, "steps": steps, "seed": seed}
    seen = [*looking.seen(pictures), *looking.seen(shown)]
    result = figures_of([*asked, *known], seen, seconds=seconds, config=config)
    report.write(result, out)
    if grid:
        full = pictures[[place for place, ask in enumerate(asked) if ask.group == "full"]]
        tiled(full).save(grid)
    for name, value in result.figures.items():
        click.echo(f"{name:32} {value:.3f}")


def drawn(pipeline: Any, asked: Sequence[Ask], *, guidance: float, steps: int, seed: int) -> Pictures:
    """One picture a prompt [N, S, S, 3]; the same for the same seed."""
    parts = []
    for first in track(range(0, len(asked), _BATCH), description="drawing", disable=not sys.stderr.isatty()):
        batch = asked[first : first + _BATCH]
        images = pipeline(
            [ask.prompt for ask in batch],
            num_inference_steps=steps,
            guidance_scale=guidance,
            generator=[torch.Generator().manual_seed(seed * 1_000_003 + first + place) for place in range(len(batch))],
        ).images
        parts += [np.asarray(image.convert("RGB")) for image in images]
    return np.stack(parts)


def known_pictures(vae: Any, *, seed: int) -> tuple[list[Ask], Pictures]:
    """Drawings that no training met, as they are and through the VAE, and what they show."""
    scenes = draw_scenes(_KNOWN, seed=f"figures {seed}", with_things=False)
    pictures = render_all(scenes, seed=_KNOWN_SEED + seed)
    known = [
        Ask(group=group, prompt="", wanted={attribute: scene.value(attribute) for attribute in ATTRIBUTES})
        for group in ("drawn", "decoded")
        for scene in scenes
    ]
    return known, np.concatenate([pictures, through(vae, pictures)])


def figures_of(
    asked: Sequence[Ask], seen: Sequence[Mapping[str, str]], *, seconds: float, config: Mapping[str, Any]
) -> report.BenchResult:
    """The result file's content."""
    hits: defaultdict[str, list[bool]] = defaultdict(list)
    open_values: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for ask, one in zip(asked, seen, strict=True):
        for attribute, value in ask.wanted.items():
            hits[f"{ask.group}_{attribute}"].append(one[attribute] == value)
        if ask.left_open:
            open_values[ask.left_open][one[ask.left_open]] += 1
    figures = {name: round(sum(of) / len(of), 4) for name, of in hits.items()}
    samples: dict[str, Any] = {
        name: {"n": len(of), "ci95": [round(limit, 4) for limit in wilson(sum(of), len(of))]}
        for name, of in hits.items()
    }
    for left_open, counts in open_values.items():
        name, total = f"open_{left_open}_largest_share", sum(counts.values())
        most = max((count for value, count in counts.items() if value != NONE), default=0)
        figures[name] = round(most / total, 4)
        samples[name] = {"n": total, "values": dict(counts.most_common())}
    figures["seconds_a_picture"] = round(seconds, 4)
    return report.BenchResult(
        config=report.dated(config),
        versions=report.versions(("torch", "diffusers", "transformers")),
        hardware=report.hardware(),
        figures=figures,
        samples=samples,
    )


def tiled(pictures: Pictures) -> Image.Image:
    """Pictures side by side, enlarged without smoothing."""
    side = pictures.shape[1] * _GRID_SCALE
    rows = -(-len(pictures) // _GRID_COLUMNS)
    grid = Image.new("RGB", (side * min(len(pictures), _GRID_COLUMNS), side * rows), "white")
    for place, picture in enumerate(pictures):
        row, column = divmod(place, _GRID_COLUMNS)
        enlarged = Image.fromarray(picture).resize((side, side), Image.Resampling.NEAREST)
        grid.paste(enlarged, (column * side, row * side))
    return grid


if __name__ == "__main__":
    main()
