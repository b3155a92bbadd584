"""What forgetting costs a picture, in pairs: two proxies over the shapes model, one with entries, one without.

    OMP_NUM_THREADS=1 python -m benchmarks.shapes.timing --out R.json

Every prompt goes to both, in an order drawn by lot, one request at a time, so that other work on the machine meets both
alike. `untouched` are prompts that touch no entry (they are held against all, and the picture is looked at), `treated`
those that name one; pictures that were drawn anew are counted apart. `register` is from sending an entry with its
reference pictures to its 201, which promises enforcement. `closed_form_edit` is the edit alone, in this process. Times in
milliseconds; figures are medians.
"""

from __future__ import annotations

import random
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import click
import yaml

from benchmarks import report
from benchmarks.shapes.suite import CONCEPTS, Plan, prompts_of, write_suite
from benchmarks.stages import Tell, told_stages
from guardrail.backends.diffusers_loading import PACKAGED_FOLDER, load
from guardrail.demo.pictures_proxy import PictureProxy
from guardrail.errors import GuardrailError
from guardrail.evaluation.images.provenance import versions
from guardrail.evaluation.images.reading import read_suite
from guardrail.evaluation.images.suites import PictureEntry
from guardrail.pictures import Concept, PictureRequest
from guardrail.treatments.image.closed_form import ClosedFormEdit, ClosedFormSteering
from retrieval.entry import RegisteredEntry

GATE: Final = 0.55
REGISTRATIONS: Final = 20
SETTLED_S: Final = 5.0
"""In which what entries need of the pipeline is got ready."""
_SET: Final = "dev"


class GatedProxy(PictureProxy):
    """It holds prompts against entries in the pipeline's own space, too."""

    def __init__(self, model: Path, *, background: Path) -> None:
        super().__init__(model, port=0, background=background)
        told = yaml.safe_load(self._config.read_text(encoding="utf-8"))
        told["policy"] = {**told.get("policy", {}), "picture_gate": GATE}
        self._config.write_text(yaml.safe_dump(told), encoding="utf-8")


@click.command()
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help="Result file (JSON).")
@click.option("--number", type=click.IntRange(1), default=40, show_default=True, help="Prompts a split and concept.")
def main(*, out: Path, number: int) -> None:
    """Time pictures with entries beside pictures without, in pairs."""
    with told_stages() as tell, tempfile.TemporaryDirectory() as folder:
        try:
            result = measure(Path(folder), number, tell)
        except GuardrailError as error:
            click.echo(str(error), err=True)
            sys.exit(1)
    report.write(result, out)
    for name, value in result.figures.items():
        click.echo(f"{name}: {value:g}")


def measure(folder: Path, number: int, tell: Tell) -> report.BenchResult:
    """The whole bench. Raises `GuardrailError`."""
    plan = Plan(concepts=CONCEPTS[_SET], number=number)
    write_suite(plan, folder)
    hardware = report.hardware()
    background = folder / "background"
    runs: dict[str, list[float]] = {"closed_form_edit_ms": _edit_times()}
    with (
        GatedProxy(PACKAGED_FOLDER, background=background) as bare,
        GatedProxy(PACKAGED_FOLDER, background=background) as own,
    ):
        bare.wait_until_ready()
        own.wait_until_ready()
        runs["register_ms"] = _registered(own, read_suite(folder).entries)
        time.sleep(SETTLED_S)
        runs |= _paired(bare, own, prompts_of(plan), tell)
    figures = {name: round(statistics.median(values), 4) for name, values in runs.items() if values}
    for part in ("untouched", "treated"):
        pairs = list(zip(runs[f"{part}_ms"], runs[f"{part}_without_ms"], strict=True))
        figures[f"{part}_added_ms"] = round(statistics.median(one - other for one, other in pairs), 4)
        figures[f"{part}_ratio"] = round(statistics.median(one / other for one, other in pairs), 4)
    figures["drawn_anew_share"] = round(
        len(runs["drawn_anew_ms"]) / (len(runs["treated_ms"]) + len(runs["drawn_anew_ms"])), 4
    )
    config = report.dated(
        {"model": "shapes", "prompts_a_split_and_concept": number, "picture_gate": GATE, "concepts": _SET}
    )
    return report.BenchResult(
        config=config, versions=versions(), hardware=hardware, figures=figures, samples=dict(runs)
    )


def _paired(
    bare: PictureProxy, own: PictureProxy, prompts: Sequence[Mapping[str, Any]], tell: Tell
) -> dict[str, list[float]]:
    runs: dict[str, list[float]] = {
        name: []
        for name in ("untouched_ms", "untouched_without_ms", "treated_ms", "treated_without_ms", "drawn_anew_ms")
    }
    asked = [line for line in prompts if line["split"] in ("forget", "neighbor", "benign")]
    lot = random.Random(0)
    lot.shuffle(asked)
    for done, line in enumerate(asked, start=1):
        part = "treated" if line["split"] == "forget" else "untouched"
        before = own.pictures.redrawn()
        times: dict[bool, float] = {}
        for is_own in lot.sample([True, False], 2):
            proxy = own if is_own else bare
            began = time.perf_counter()
            proxy.pictures.draw(str(line["prompt"]), seed=int(line["seed"]))
            times[is_own] = 1000 * (time.perf_counter() - began)
        if own.pictures.redrawn() > before:
            runs["drawn_anew_ms"] += [times[True]] if part == "treated" else []
        else:
            runs[f"{part}_ms"].append(times[True])
            runs[f"{part}_without_ms"].append(times[False])
        tell("pairs", done, len(asked))
    return runs


def _registered(proxy: PictureProxy, entries: Sequence[PictureEntry]) -> list[float]:
    """Milliseconds of each registration; the entries of the suite stay, the others are revoked."""
    times = []
    for place in range(REGISTRATIONS):
        entry = entries[place % len(entries)]
        began = time.perf_counter()
        entry_id = proxy.pictures.forget({**entry.body, "id": f"{entry.id}-{place}"})
        times.append(1000 * (time.perf_counter() - began))
        if place >= len(entries):
            proxy.pictures.revoke(entry_id)
    return times


def _edit_times() -> list[float]:
    """Milliseconds of closed-form edits, the pipeline at hand, each for another entry."""
    pipeline = load(str(PACKAGED_FOLDER), device="cpu").pipeline
    now = datetime.now(UTC)
    times = []
    for concept in [one for concepts in CONCEPTS.values() for one in concepts]:
        entry = RegisteredEntry.model_validate(
            {
                "id": concept,
                "revision": 1,
                "entry": {"name": concept, "kind": "object"},
                "created_at": now,
                "updated_at": now,
            }
        )
        plan = ClosedFormEdit().plan(PictureRequest(prompt="x"), [Concept(entry=entry, phrases=(concept,))])
        began = time.perf_counter()
        assert isinstance(plan.steering, ClosedFormSteering)
        plan.steering.prepare(pipeline)
        times.append(1000 * (time.perf_counter() - began))
    return times


if __name__ == "__main__":
    main()
