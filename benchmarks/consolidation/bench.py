"""`expunge bench consolidation`, read first: every method on a model that knows, beside one that never did.

    model and questions -> trials of each method -> the best trial of each -> more seeds of the best method
      -> all of them judged whole -> attacked (fewer bits, relearning) -> cost -> figures

The best trial is the nearest to the retain model on questions that are not asked again, but those to be forgotten. Every
step is kept in a work folder, so that a run that was stopped goes on. `table.py` and `plot.py` show the result.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final, Protocol

from benchmarks import report
from benchmarks.consolidation.cost import cost_of_an_entry
from benchmarks.consolidation.judging import Judge, distance, kept, measured, value
from benchmarks.consolidation.material import Material, material
from benchmarks.consolidation.trials import MOST_SECONDS, MOST_TRIALS, TRIALS, Trial
from finetune.consolidation.attacked_weights import CHANGES, RELEARNING, RELEARNING_PLAN, Attacker, Weights, attacked
from finetune.consolidation.run import RunRequest, run
from finetune.data.whole_files import content_sha256
from finetune.evaluation.report import library_versions
from finetune.evaluation.run import RETAIN, UNTOUCHED, JudgedFigures
from finetune.evaluation.subjects import LocalSubjects, Subject
from finetune.training.loop import StepReport

FIGURES: Final[Mapping[str, tuple[str, str]]] = {
    "forget_quality": ("forget", "forget_quality"),
    "ks_distance": ("forget", "ks_distance"),
    "model_utility": ("utility", "model_utility"),
    "rouge": ("forget", "rouge_l_recall"),
    "probability": ("forget", "probability"),
    "truth_ratio": ("forget", "truth_ratio"),
    "extraction_strength": ("forget", "extraction_strength"),
    "leak_rate": ("forget", "leak_rate"),
    "paraphrase_rouge": ("paraphrase", "rouge_l_recall"),
    "paraphrase_leak_rate": ("paraphrase", "leak_rate"),
    "adversarial_leak_rate": ("adversarial", "leak_rate"),
    "refusal_rate": ("forget", "refusal_rate"),
    "gibberish_rate": ("forget", "gibberish_rate"),
    "retain_rouge": ("retain", "rouge_l_recall"),
}
"""Name in the result file -> split and metric."""


class Tell(Protocol):
    """Told what is being done, and how far it is."""

    def __call__(self, stage: str, done: int = 0, total: int = 0) -> None: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class ConsolidationPlan:
    """`methods` none: all. `trials` of each at most; `seeds` of the best method; `max_steps` and `limit` make it quick."""

    work: Path
    methods: Sequence[str] = ()
    trials: int = MOST_TRIALS
    seeds: int = 3
    adversarial: int = 240
    max_steps: int | None = None
    limit: int | None = None

    @property
    def is_quick(self) -> bool:
        """Whether it is a smaller version of the bench."""
        return self.max_steps is not None or self.limit is not None


@dataclass(frozen=True, kw_only=True, slots=True)
class Trained:
    """A trial that was trained: its adapter, what it cost, and how it did on the questions that choose."""

    trial: Trial
    adapter: Path
    seconds: float
    tokens_per_s: float | None
    peak_host_mb: float | None
    brief: JudgedFigures
    distance: float

    @property
    def is_within_budget(self) -> bool:
        """Whether training took no longer than a trial may."""
        return self.seconds <= MOST_SECONDS

    def shown(self) -> dict[str, Any]:
        """For the result file."""
        return {
            **asdict(self.trial),
            "seconds": round(self.seconds, 1),
            "tokens_per_s": self.tokens_per_s and round(self.tokens_per_s, 1),
            "peak_host_mb": self.peak_host_mb and round(self.peak_host_mb),
            "within_budget": self.is_within_budget,
            "distance": round(self.distance, 4),
            "rouge": round(measured(self.brief, "forget", "rouge_l_recall"), 4),
            "leak_rate": round(measured(self.brief, "forget", "leak_rate"), 4),
            "kept": round(kept(self.brief), 4),
        }


def measure(plan: ConsolidationPlan, tell: Tell) -> report.BenchResult:
    """The whole bench. Raises `FinetuneError`."""
    tell("model and questions")
    given = material(plan.work, limit=plan.limit)
    judge = Judge(given=given, say=tell, adversarial=plan.adversarial, local=LocalSubjects(dtype="bfloat16"))
    bench = _Bench(plan, given, judge, tell)
    tried = {method: bench.trials(method) for method in plan.methods or TRIALS}
    chosen = {method: _nearest(trials) for method, trials in tried.items()}
    best = _nearest(list(chosen.values()))
    seeds = [bench.trained(replace(best.trial, seed=seed)) for seed in range(1, plan.seeds)]
    judged = bench.judged({**chosen, **{f"{best.trial.method}.seed{one.trial.seed}": one for one in seeds}})
    others = {method: one for method, one in chosen.items() if one is not best}
    robust = {**bench.robust(others), **bench.robust_best(best)}
    figures = _figures(judged, chosen, robust)
    cost = cost_of_an_entry(judge, tell, max_steps=plan.max_steps)
    return report.BenchResult(
        config=report.dated(_config(plan, given, best)),
        versions=library_versions(),
        hardware=report.hardware(),
        figures=figures | cost.figures(),
        samples={
            "trials": {method: [one.shown() for one in trials] for method, trials in tried.items()},
            "models": {label: one.model_dump(mode="json") for label, one in judged.items()},
            "attacked": {label: one.model_dump(mode="json") for label, one in robust.items()},
            "cost": cost.samples(),
        },
    )


class _Bench:
    """The steps, each of which is kept in the work folder."""

    def __init__(self, plan: ConsolidationPlan, given: Material, judge: Judge, tell: Tell) -> None:
        self._plan, self._given, self._judge, self._tell = plan, given, judge, tell

    def trials(self, method: str) -> list[Trained]:
        """All trials of a method, in the order of the table."""
        return [self.trained(trial) for trial in TRIALS[method][: self._plan.trials]]

    def trained(self, trial: Trial) -> Trained:
        """Train, and ask briefly."""
        plan = trial.plan(max_steps=self._plan.max_steps)
        decided = [asdict(trial), plan.model_dump(mode="json", exclude_defaults=True)]
        name = f"{trial.method}-{content_sha256(decided)[:10]}"

        def progress(step: StepReport) -> None:
            self._tell(f"{name}: training", step.step, step.steps)

        result = run(
            RunRequest(
                base=self._given.base,
                out=self._given.work / "trials" / name,
                method=trial.method,
                hyper_parameters=trial.hyper_parameters,
                plan=plan,
                suite=self._given.training,
                retain_generated=trial.retain_generated,
                edit_scale=trial.edit_scale,
                saved_as="bfloat16",
            ),
            lambda _: None,
            progress=progress,
        )
        label, measures = trial.method, result.manifest.measures
        brief = self._judge.briefly({label: self._judge.edited(label, result.weights)}, suite=self._given.choosing)
        peak = measures.peak_host_bytes
        return Trained(
            trial=trial,
            adapter=result.weights,
            seconds=measures.training_s,
            tokens_per_s=measures.tokens_per_s,
            peak_host_mb=None if peak is None else peak / 1e6,
            brief=brief[label],
            distance=distance(brief[label], self._retain_briefly()),
        )

    def judged(self, chosen: Mapping[str, Trained]) -> dict[str, JudgedFigures]:
        """The whole judgement, with the untouched and the retain model."""
        models = {label: self._judge.edited(label, one.adapter) for label, one in chosen.items()}
        found = self._judge.whole({UNTOUCHED: self._judge.untouched(), **models})
        assert found.retain_model is not None
        return {UNTOUCHED: found.models[UNTOUCHED], RETAIN: found.retain_model, **found.models}

    def robust(self, chosen: Mapping[str, Trained]) -> dict[str, JudgedFigures]:
        """`label+change` for every change, of every edit and of both models beside them; what was to be forgotten alone."""
        forget = replace(self._given.choosing, questions=tuple(self._given.choosing.of("forget")))
        models = {
            UNTOUCHED: Weights(subject=self._judge.untouched(), base=self._given.base),
            RETAIN: Weights(
                subject=self._judge.retain(), base=Path(self._given.packaged), adapter=self._given.retain_adapter
            ),
            **{method: self._weights(one) for method, one in chosen.items()},
        }
        found: dict[str, JudgedFigures] = {}
        for label, weights in models.items():
            for name, subject in self._changed(label, weights).items():
                found |= self._judge.briefly({name: subject}, suite=forget)
        return found

    def robust_best(self, best: Trained) -> dict[str, JudgedFigures]:
        """The best edit after each change, by all figures but those of paraphrases and attacked prompts."""
        plain = tuple(one for one in self._given.judging.questions if one.split != "paraphrase")
        suite = replace(self._given.judging, questions=plain)
        return dict(self._judge.plainly(self._changed(best.trial.method, self._weights(best)), suite=suite).models)

    def _weights(self, one: Trained) -> Weights:
        edited = self._judge.edited(one.trial.method, one.adapter)
        return Weights(subject=edited, base=self._given.base, adapter=one.adapter)

    def _changed(self, label: str, weights: Weights) -> dict[str, Subject]:
        given = self._given
        attacker = Attacker(
            tokenizer=given.base,
            unrelated=given.unrelated,
            forget=given.judging.forget_texts,
            names=[entry.name for entry in given.judging.entries],
        )
        return {f"{label}+{change}": attacked(attacker, f"{label}+{change}", weights, change) for change in CHANGES}

    def _retain_briefly(self) -> JudgedFigures:
        found = self._judge.briefly({"never_knew": self._judge.retain()}, suite=self._given.choosing)
        return found["never_knew"]


def _nearest(trained: Sequence[Trained]) -> Trained:
    """The nearest to the retain model; one that took too long only where all did."""
    return min(trained, key=lambda one: (not one.is_within_budget, one.distance))


def _figures(
    judged: Mapping[str, JudgedFigures], chosen: Mapping[str, Trained], robust: Mapping[str, JudgedFigures]
) -> dict[str, float]:
    found: dict[str, float] = {}
    for label, figures in {**judged, **robust}.items():
        for name, (split, metric) in FIGURES.items():
            number = value(figures, split, metric)
            if number is not None:
                found[f"{label}_{name}"] = round(number, 4)
    for method, one in chosen.items():
        found[f"{method}_seconds"] = round(one.seconds, 1)
    return found


def _config(plan: ConsolidationPlan, given: Material, best: Trained) -> dict[str, Any]:
    return {
        "quick": plan.is_quick,
        "model": "target_model: SmolLM2-135M-Instruct that learnt 40 TOFU authors, 4 of them to be forgotten",
        "methods": list(plan.methods or TRIALS),
        "best_method": best.trial.method,
        "trials_at_most": min(plan.trials, MOST_TRIALS),
        "seconds_a_trial_at_most": MOST_SECONDS,
        "questions": {
            "judging": {split: len(given.judging.of(split)) for split in ("forget", "paraphrase", "retain", "utility")},
            "adversarial_at_most": plan.adversarial,
            "choosing": {split: len(given.choosing.of(split)) for split in ("forget", "retain", "utility")},
        },
        "relearning": {**asdict(RELEARNING), "plan": RELEARNING_PLAN.model_dump(mode="json")},
    }


__all__ = ["ConsolidationPlan", "Tell", "measure"]
