"""`expunge bench unlearning`, read first: every treatment through the running proxy, beside a model that never knew.

    model and questions -> proxies with the model that knows: no treatment, plain prompts, every treatment in turn
      -> one with the model that never knew -> seconds, in a pass of their own -> figures of every row

About whom is asked is chosen (`rows.On`): of `people`, the model is asked first what it knows. Treatments are switched by
the admin API while the proxy runs; rows go side by side in lanes, each with a proxy of its own; nothing goes beside what is
timed. All is asked at temperature 0. Answers are kept in the work folder, so that a run that was stopped goes on.
`table.py` and `plot.py` show the result.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from threading import Event
from typing import Any, Final

from benchmarks import report
from benchmarks.unlearning import people
from benchmarks.unlearning.asking import Tell, ask_row, warm_up
from benchmarks.unlearning.base_rate import untreated_answers
from benchmarks.unlearning.choices import KNOWS, On, Served
from benchmarks.unlearning.figures import flat as flat_figures
from benchmarks.unlearning.figures import row_figures
from benchmarks.unlearning.kept import KeptReplies
from benchmarks.unlearning.material import ADVERSARIAL, KNOWING, SEED, Material, material, other_authors
from benchmarks.unlearning.rows import Row, default_treatments, left_out, rows_of
from benchmarks.unlearning.served import EMBEDDER, serving
from benchmarks.unlearning.timing import EACH, REPEATS, TIMED, time_rows
from finetune.evaluation.report import SplitFigures, library_versions
from guardrail.detectors import DETECTORS
from retrieval.settings import RetrievalSettings

MODELS: Final[tuple[Served, ...]] = ("target", "retain", "untrained")

ABOUT: Final[Mapping[On, str]] = {
    "authors": "target_model: SmolLM2-135M-Instruct that learnt 40 TOFU authors, 4 of them to be forgotten; bfloat16",
    "other-authors": (
        "target_model: SmolLM2-135M-Instruct that learnt 40 TOFU authors, 4 others of them to be forgotten; bfloat16"
    ),
    "people": "SmolLM2-135M-Instruct as packaged, and RWKU's people whom it knows to be forgotten; bfloat16",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class UnlearningPlan:
    """`treatments` none: of `authors` all that the backend can carry out, and `auto`; of others see `rows.py`. `limit`:
    questions of each kind, at most. `assistant`: the folder of a model for `offset`, if there is one. `lanes`: rows asked
    side by side."""

    work: Path
    on: On = "authors"
    treatments: Sequence[str] = ()
    limit: int | None = None
    assistant: Path | None = None
    lanes: int = 1

    @property
    def is_quick(self) -> bool:
        """Whether it is a smaller version of the bench."""
        return self.limit is not None


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Given:
    """What is asked, and how it was found."""

    material: Material
    drawn: Mapping[str, Any] = field(default_factory=dict)


def measure(plan: UnlearningPlan, tell: Tell) -> report.BenchResult:
    """The whole bench. Raises `ServerFailed` and `FinetuneError`."""
    has_assistant = plan.assistant is not None
    default = default_treatments(has_assistant=has_assistant) if plan.on == "authors" else ()
    rows = rows_of(plan.treatments or default, plan.on)
    tell("model and questions")
    given = _given(plan, tell)
    kept = KeptReplies(plan.work, given.material, assistant=plan.assistant)
    for which, has_ladder in product(MODELS, (True, False)):
        of_one = [row for row in rows if row.model == which and row.has_ladder == has_ladder]
        left = [row for row in of_one if kept.lacks(row)]
        if left:
            asking = _Asking(which=which, has_ladder=has_ladder, plan=plan, given=given.material, kept=kept)
            _ask_model(asking, left, tell)
    timed = [row for row in rows if row.is_timed]
    time_rows(timed, given.material, kept, tell, work=plan.work, assistant=plan.assistant)
    replies = {row.label: kept.all_of(row, more=TIMED if row.is_timed else ()) for row in rows}
    figures = {}
    for done, row in enumerate(rows):
        tell("figures", done, len(rows))
        figures[row.label] = row_figures(given.material, replies[row.label], replies[rows[0].label])
    tell("figures", len(rows), len(rows))
    flat = {name: value for label, one in figures.items() for name, value in flat_figures(label, one).items()}
    return report.BenchResult(
        config=report.dated(_config(plan, given, rows)),
        versions=library_versions(),
        hardware=report.hardware(),
        figures=flat,
        samples={"rows": {label: _shown(one) for label, one in figures.items()}},
    )


def _given(plan: UnlearningPlan, tell: Tell) -> _Given:
    drawn = {"adversarial": ADVERSARIAL, "knowing": KNOWING, "seed": SEED}
    if plan.on == "authors":
        return _Given(material=material(plan.work, limit=plan.limit), drawn=drawn)
    if plan.on == "other-authors":
        given = other_authors(plan.work, limit=plan.limit)
        return _Given(material=given, drawn={**drawn, "forgotten": list(given.names)})
    suite = people.people(plan.work)
    probes = people.probes_to_ask(suite, plan.limit)
    texts = untreated_answers(plan.work, probes, max_tokens=people.MAX_NEW_TOKENS, tell=tell)
    right = people.answered_rightly(probes, texts)
    again = [one for one in probes if one.id in right]
    alone = untreated_answers(plan.work, again, max_tokens=people.MAX_NEW_TOKENS, tell=tell, at_once=1)
    both = people.answered_rightly(again, alone)
    known, rate = people.known_people(plan.work, suite, both, asked=probes, first=len(right), limit=plan.limit)
    return _Given(
        material=known,
        drawn={
            "adversarial": ADVERSARIAL,
            "neighbor": people.NEIGHBORS,
            "seed": SEED,
            "base_rate": rate.shown(),
            "judge_never_learnt": len(known.held_out),
        },
    )


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Asking:
    """One model's rows: what every lane of them needs."""

    which: Served
    has_ladder: bool
    plan: UnlearningPlan
    given: Material
    kept: KeptReplies


def _ask_model(asking: _Asking, rows: Sequence[Row], tell: Tell) -> None:
    """Rows without entries come first, so that nothing is registered yet. The first lane that fails ends them all."""
    left = deque(sorted(rows, key=lambda row: row.method is not None))
    ended = Event()

    def told(stage: str, done: int = 0, total: int = 0) -> None:
        if ended.is_set():
            raise KeyboardInterrupt
        tell(stage, done, total)

    lanes = min(asking.plan.lanes, len(rows))
    with ThreadPoolExecutor(max_workers=lanes) as threads:
        running = [threads.submit(_ask_in_lane, asking, left, lane, told) for lane in range(lanes)]
        try:
            for done in as_completed(running):
                done.result()
        except BaseException:
            ended.set()
            raise


def _ask_in_lane(asking: _Asking, left: deque[Row], lane: int, tell: Tell) -> None:
    """Take one row after the other until none is left."""
    which, plan = asking.which, asking.plan
    tell(
        f"proxy {lane + 1} with the packaged model" if which == "untrained" else f"proxy {lane + 1} with {which}_model"
    )
    ids = [str(entry["id"]) for entry in asking.given.entries]
    assistant = plan.assistant if which == KNOWS[plan.on] else None
    start = serving(which, plan.work, assistant=assistant, lane=lane, lanes=plan.lanes, has_ladder=asking.has_ladder)
    with start as proxy:
        registered = False
        while left:
            try:
                row = left.popleft()
            except IndexError:  # another lane took the last one
                return
            if row.method is not None:
                if not registered:
                    proxy.register(asking.given.entries)
                    registered = True
                proxy.treat(ids, row.method)
            warm_up(proxy, row, asking.given)
            ask_row(proxy, row, asking.given, asking.kept, tell)


def _shown(figures: Mapping[str, SplitFigures]) -> dict[str, Any]:
    return {split: one.model_dump(mode="json") for split, one in figures.items()}


def _config(plan: UnlearningPlan, given: _Given, rows: Sequence[Row]) -> dict[str, Any]:
    return {
        "quick": plan.is_quick,
        "on": plan.on,
        "model": ABOUT[plan.on],
        "backend": "transformers_local",
        "embedder": EMBEDDER,
        "detectors": list(DETECTORS),
        "judge": RetrievalSettings().judge,
        "without_ladder": [row.label for row in rows if not row.has_ladder],
        "timed": {"rows": [row.label for row in rows if row.is_timed], "repeats": REPEATS, "questions_each": EACH},
        "lanes": plan.lanes,
        "rows": [row.label for row in rows],
        "left_out": left_out(has_assistant=plan.assistant is not None),
        "entries": len(given.material.entries),
        "questions": {name: len(split.asked) for name, split in given.material.splits.items()},
        "drawn": dict(given.drawn),
        "temperature": 0,
        "max_new_tokens": given.material.max_new_tokens,
    }


__all__ = ["UnlearningPlan", "measure"]
