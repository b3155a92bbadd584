"""Ten requests one after another on a language model: how forgetting and all else move as they come.

`python -m benchmarks.consolidation.continual --out R.json --plot R.png`. Each request is one of the authors that the target
model learnt. Two answers to them are judged after each: `continued` trains on top of what the requests before have made of
the weights, on the new author alone; `anew` trains the untouched weights on all authors so far (after some of the requests,
as that takes ever longer). Both keep the texts of authors whom nobody has asked to forget. Judged are questions of all
authors that were forgotten, of authors who stay to the end, and of what everybody knows.
"""

from __future__ import annotations

import random
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal

import click

from benchmarks import report, stages
from benchmarks.consolidation.judging import Judge, kept, measured
from benchmarks.consolidation.material import SEED, material
from benchmarks.stages import Tell
from finetune.consolidation import default_method
from finetune.consolidation.run import RunRequest, run
from finetune.data.qa import Question, Split
from finetune.data.training_text import TrainingText
from finetune.evaluation.report import library_versions
from finetune.evaluation.run import UNTOUCHED, JudgedFigures
from finetune.evaluation.subjects import LocalSubjects, Subject
from finetune.evaluation.suites import Suite
from finetune.settings import plan_from
from finetune.training.model_files import load_model, load_tokenizer, merged, save_merged, with_adapter

REQUESTS: Final = 10
ANEW_AFTER: Final = (2, 5, 10)
"""After the first one both ways are the same."""
Way = Literal["continued", "anew"]
_ASKED_FORGOTTEN: Final = 8  # of each author
_ASKED_KEPT: Final = 2
_FIGURES: Final = ("rouge_l_recall", "leak_rate", "gibberish_rate")
_FILE: Final = click.Path(dir_okay=False, path_type=Path)
_FOLDER: Final = click.Path(file_okay=False, path_type=Path)


@dataclass(frozen=True, kw_only=True, slots=True)
class ContinualPlan:
    """`requests` at most; `max_steps` makes it quick."""

    work: Path
    requests: int = REQUESTS
    max_steps: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Authors:
    """All texts by author, and who is to be forgotten in which order; the others stay to the end."""

    texts: Mapping[str, Sequence[TrainingText]]
    requests: Sequence[str]
    general: Sequence[Question]

    @property
    def staying(self) -> list[str]:
        """Whom nobody asks to forget."""
        return [author for author in self.texts if author not in self.requests]

    def training(self, forget: Sequence[str], *, after: int) -> Suite:
        """Texts of these authors, and to keep those of all whom the first `after` requests do not name."""
        gone = self.requests[:after]
        return Suite(
            name="continual",
            questions=(),
            forget_texts=tuple(one for author in forget for one in self.texts[author]),
            retain_texts=tuple(one for author, own in self.texts.items() if author not in gone for one in own),
        )

    def judging(self, after: int) -> Suite:
        """Some questions of every author forgotten so far; those of all who stay and of common knowledge are the same."""
        forgotten = [one for author in self.requests[:after] for one in self._asked(author, _ASKED_FORGOTTEN, "forget")]
        staying = [one for author in self.staying for one in self._asked(author, _ASKED_KEPT, "retain")]
        return Suite(name=f"continual-{after}", questions=(*forgotten, *staying, *self.general))

    def _asked(self, author: str, count: int, split: Split) -> list[Question]:
        own = random.Random(f"{SEED}/{author}").sample(list(self.texts[author]), count)
        return [Question(id=one.id, question=one.prompt, answer=one.text, split=split, entry=author) for one in own]


def authors_of(suite: Suite, general: Sequence[Question], *, count: int = REQUESTS) -> Authors:
    """The last authors of a suite of TOFU's, in random order, are the requests."""
    texts: dict[str, list[TrainingText]] = {}
    for one in (*suite.retain_texts, *suite.forget_texts):
        texts.setdefault(one.entry or "", []).append(one)
    last = list(texts)[-REQUESTS:]
    return Authors(texts=texts, requests=random.Random(SEED).sample(last, len(last))[:count], general=general)


def measure(plan: ContinualPlan, tell: Tell) -> report.BenchResult:
    """All requests. Raises `FinetuneError`."""
    hardware = report.hardware()
    bench = _Bench(plan, tell)
    figures: dict[str, float] = {}
    for after in range(1, len(bench.authors.requests) + 1):
        figures |= bench.after(after)
    return report.BenchResult(
        config=report.dated(
            {
                "quick": plan.max_steps is not None,
                "model": "target_model: SmolLM2-135M-Instruct that learnt 40 TOFU authors",
                "method": default_method.METHOD,
                "plan": dict(default_method.PLAN),
                "edit_scale": default_method.EDIT_SCALE,
                "requests": list(bench.authors.requests),
                "questions": {
                    "forget": f"{_ASKED_FORGOTTEN} of each author forgotten so far",
                    "retain": f"{_ASKED_KEPT} of each of the {len(bench.authors.staying)} authors that stay",
                    "utility": len(bench.authors.general),
                },
            }
        ),
        versions=library_versions(),
        hardware=hardware,
        figures=figures,
        samples={},
    )


class _Bench:
    """The steps, each of which is kept in the work folder."""

    def __init__(self, plan: ContinualPlan, tell: Tell) -> None:
        tell("model and questions")
        self._given = material(plan.work)
        self.authors = authors_of(self._given.training, self._given.choosing.of("utility"), count=plan.requests)
        self._judge = Judge(given=self._given, say=tell, local=LocalSubjects(dtype="bfloat16"))
        self._plan, self._tell = plan, tell
        self._folder = plan.work / ("continual" if plan.max_steps is None else f"continual-{plan.max_steps}")

    def after(self, count: int) -> dict[str, float]:
        """Figures after so many requests."""
        asked, found = self.authors.judging(count), dict[str, float]()
        newest = self.authors.requests[count - 1]
        base = self._continued(count - 1)
        adapter, seconds = self._trained("continued", [newest], base=base, after=count)
        models: dict[str, Subject] = {
            UNTOUCHED: self._judge.untouched(),
            "continued": self._judge.local.adapter(
                f"continued-{count}", adapter, base=str(base), base_name="continued"
            ),
        }
        found[f"{count}_continued_seconds"] = round(seconds, 1)
        if count in ANEW_AFTER:
            adapter, seconds = self._trained("anew", self.authors.requests[:count], base=self._given.base, after=count)
            models["anew"] = self._judge.edited(f"anew-{count}", adapter)
            found[f"{count}_anew_seconds"] = round(seconds, 1)
        self._tell(f"{count} requests: judging")
        for label, figures in self._judge.briefly(models, suite=asked).items():
            found |= {f"{count}_{label}_{name}": value for name, value in _read(figures).items()}
        self._forget_older(count)
        return found

    def _trained(self, way: Way, authors: Sequence[str], *, base: Path, after: int) -> tuple[Path, float]:
        self._tell(f"{after} requests: training {way}")
        result = run(
            RunRequest(
                base=base,
                out=self._folder / f"{way}-{after}",
                method=default_method.METHOD,
                hyper_parameters=default_method.HYPER_PARAMETERS,
                plan=plan_from({**default_method.PLAN, "max_steps": self._plan.max_steps, "dtype": "bfloat16"}),
                suite=self.authors.training(authors, after=after),
                edit_scale=default_method.EDIT_SCALE,
            ),
            lambda _: None,
        )
        return result.weights, result.manifest.measures.training_s

    def _continued(self, count: int) -> Path:
        """The model after so many requests, one on top of the other."""
        if count == 0:
            return self._given.base
        folder = self._folder / f"model-{count}"
        if not folder.exists():
            below, adapter = self._continued(count - 1), self._folder / f"continued-{count}" / "adapter"
            partial = folder.with_suffix(".partial")
            shutil.rmtree(partial, ignore_errors=True)
            whole = merged(with_adapter(load_model(below), adapter), in_place=True)
            save_merged(whole, partial, tokenizer=load_tokenizer(self._given.base))
            partial.rename(folder)
        return folder

    def _forget_older(self, count: int) -> None:
        """A model of which the next one is made already is of no more use; it could be made again."""
        shutil.rmtree(self._folder / f"model-{count - 2}", ignore_errors=True)


def _read(figures: JudgedFigures) -> dict[str, float]:
    found = {f"forget_{name}": round(measured(figures, "forget", name), 4) for name in _FIGURES}
    return {
        **found,
        "retain_rouge_l_recall": round(measured(figures, "retain", "rouge_l_recall"), 4),
        "utility_rouge_l_recall": round(measured(figures, "utility", "rouge_l_recall"), 4),
        "kept": round(kept(figures), 4),
    }


def draw(result: report.BenchResult, path: Path) -> None:
    """What is still said of the forgotten, and what stands, by requests."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    counts = range(1, len(result.config["requests"]) + 1)
    figure, axes = pyplot.subplots(1, 2, figsize=(12, 4.5))
    shown = (("forget_leak_rate", "forget_rouge_l_recall"), ("retain_rouge_l_recall", "utility_rouge_l_recall"))
    for way, colour in ((UNTOUCHED, "0.6"), ("continued", "tab:orange"), ("anew", "tab:blue")):
        for place, names in zip(axes, shown, strict=True):
            for name, style in zip(names, ("-", "--"), strict=True):
                points = [(one, result.figures.get(f"{one}_{way}_{name}")) for one in counts]
                there = [(one, value) for one, value in points if value is not None]
                label = f"{'untouched' if way == UNTOUCHED else way}: {name.replace('_', ' ')}"
                place.plot(*zip(*there, strict=True), style, marker=".", color=colour, label=label)
    axes[0].set_title("of what was forgotten")
    axes[1].set_title("of what stays")
    for one in axes:
        one.set_xlabel("requests")
        one.set_ylim(-0.02, 1.02)
        one.legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def table(result: report.BenchResult) -> str:
    """A Markdown table, a row for each count and way."""
    names = (*(f"forget_{name}" for name in _FIGURES), "retain_rouge_l_recall", "utility_rouge_l_recall", "seconds")
    rows = ["| requests | way | " + " | ".join(name.replace("_", " ") for name in names) + " |", "|---" * 8 + "|"]
    for count in range(1, len(result.config["requests"]) + 1):
        for way in (UNTOUCHED, "continued", "anew"):
            values = [result.figures.get(f"{count}_{way}_{name}") for name in names]
            if values[0] is not None:
                cells = ["" if one is None else f"{one:.3f}" if one <= 1 else f"{one:.0f}" for one in values]
                rows.append(f"| {count} | {way} | " + " | ".join(cells) + " |")
    return "\n".join(rows)


@click.command()
@click.option("--out", type=_FILE, required=True, help="Result file (JSON).")
@click.option("--plot", "picture", type=_FILE, help="Also draw the curves (PNG).")
@click.option("--requests", type=click.IntRange(1, REQUESTS), default=REQUESTS, show_default=True)
@click.option("--max-steps", type=click.IntRange(1), help="Of a training: a quick version; the result file says so.")
@click.option(
    "--work", type=_FOLDER, default=Path(".cache/consolidation"), show_default=True, help="Where all is kept."
)
def main(*, out: Path, picture: Path | None, **given: Any) -> None:
    """Ten requests one after another on a language model. A run that was stopped goes on where it was."""
    click.echo(
        stages.carry_out(partial(measure, ContinualPlan(**given)), out=out, picture=picture, plot=draw, table=table)
    )


if __name__ == "__main__":
    sys.exit(main())
