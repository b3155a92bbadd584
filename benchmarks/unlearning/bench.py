"""`expunge bench unlearning`, read first: every treatment through the running proxy, beside a model that never knew.

    model and questions -> one proxy with the model that knows: no treatment, a plain prompt, every treatment in turn
      -> one with the model that never knew -> figures of every row

Treatments are switched by the admin API while the proxy runs. All is asked at temperature 0. Answers are kept in the work
folder, so that a run that was stopped goes on. `table.py` and `plot.py` show the result.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks import report
from benchmarks.knowing.reduced_tofu import Which
from benchmarks.unlearning.asking import ASKED, MAX_NEW_TOKENS, KeptReplies, Tell, ask_row
from benchmarks.unlearning.figures import RowReplies, flat, row_figures
from benchmarks.unlearning.material import ADVERSARIAL, KNOWING, SEED, Material, material
from benchmarks.unlearning.rows import NONE, Row, default_treatments, left_out, rows_of
from benchmarks.unlearning.served import serving
from finetune.evaluation.report import SplitFigures, library_versions

MODELS: Final[tuple[Which, ...]] = ("target", "retain")


@dataclass(frozen=True, kw_only=True, slots=True)
class UnlearningPlan:
    """`treatments` none: all that the backend can carry out, and `auto`. `limit`: questions of each kind, at most."""

    work: Path
    treatments: Sequence[str] = ()
    limit: int | None = None

    @property
    def is_quick(self) -> bool:
        """Whether it is a smaller version of the bench."""
        return self.limit is not None


def measure(plan: UnlearningPlan, tell: Tell) -> report.BenchResult:
    """The whole bench. Raises `ServerFailed` and `FinetuneError`."""
    rows = rows_of(plan.treatments or default_treatments())
    tell("model and questions")
    given = material(plan.work, limit=plan.limit)
    kept = KeptReplies(plan.work, given)
    for which in MODELS:
        left = [row for row in rows if row.model == which and kept.lacks(row)]
        if left:
            _ask_model(which, left, given, kept, plan=plan, tell=tell)
    replies = {row.label: _of_row(row, kept) for row in rows}
    figures = {}
    for done, row in enumerate(rows):
        tell("figures", done, len(rows))
        figures[row.label] = row_figures(given, replies[row.label], replies[NONE.label])
    tell("figures", len(rows), len(rows))
    return report.BenchResult(
        config=report.dated(_config(plan, given, rows)),
        versions=library_versions(),
        hardware=report.hardware(),
        figures={name: value for label, one in figures.items() for name, value in flat(label, one).items()},
        samples={"rows": {label: _shown(one) for label, one in figures.items()}},
    )


def _ask_model(
    which: Which, rows: Sequence[Row], given: Material, kept: KeptReplies, *, plan: UnlearningPlan, tell: Tell
) -> None:
    """Rows without entries come first, so that nothing is registered yet."""
    tell(f"proxy with {which}_model")
    ids = [str(entry["id"]) for entry in given.entries]
    with serving(which, plan.work) as proxy:
        registered = False
        for row in sorted(rows, key=lambda one: one.method is not None):
            if row.method is not None:
                if not registered:
                    proxy.register(given.entries)
                    registered = True
                proxy.treat(ids, row.method)
            ask_row(proxy, row, given, kept, tell)


def _of_row(row: Row, kept: KeptReplies) -> RowReplies:
    found = {split: kept.find(row, split) for splits, _ in ASKED for split in splits}
    return {split: replies for split, replies in found.items() if replies is not None}


def _shown(figures: Mapping[str, SplitFigures]) -> dict[str, Any]:
    return {split: one.model_dump(mode="json") for split, one in figures.items()}


def _config(plan: UnlearningPlan, given: Material, rows: Sequence[Row]) -> dict[str, Any]:
    return {
        "quick": plan.is_quick,
        "model": "target_model: SmolLM2-135M-Instruct that learnt 40 TOFU authors, 4 of them to be forgotten; bfloat16",
        "backend": "transformers_local",
        "rows": [row.label for row in rows],
        "left_out": list(left_out()),
        "questions": {name: len(split.asked) for name, split in given.splits.items()},
        "drawn": {"adversarial": ADVERSARIAL, "knowing": KNOWING, "seed": SEED},
        "temperature": 0,
        "max_new_tokens": MAX_NEW_TOKENS,
    }


__all__ = ["UnlearningPlan", "measure"]
