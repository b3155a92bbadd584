"""`expunge eval unlearning` for models and adapters, read first: a suite put to every model, and one report.

    suite -> asked splits -> answers of each model, split by split (kept beside the result) -> figures -> report

The untouched model, what unlearning made of it, and the retain model are asked the very same. Models are brought into
memory one after the other, and only if something is left to ask. An interrupted run goes on behind the last finished
split. It knows no terminal; `Say` is told how far it is. The report holds no entry text and no model's words.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import orjson
from pydantic import BaseModel, ConfigDict

from finetune.data.qa import SPLITS
from finetune.errors import InvalidData, InvalidPlan
from finetune.evaluation.asked_splits import AskedSplit, asked_splits
from finetune.evaluation.attacks import PROMPT_ATTACKS, SAMPLING, WEIGHT_ATTACKS
from finetune.evaluation.attacks.best_of_n import BestOfN
from finetune.evaluation.judged_model import Fact, JudgedModel, Sampling
from finetune.evaluation.metrics import Metric
from finetune.evaluation.metrics.evidence import Answers, Asked
from finetune.evaluation.metrics.judging import MAX_NEW_TOKENS, gather
from finetune.evaluation.report import SplitFigures, library_versions, report_of, write_result
from finetune.evaluation.resumed import AnswerFolder
from finetune.evaluation.split_figures import (
    MEMBERSHIP,
    Judgement,
    default_metrics,
    facts_of,
    figures_by_split,
    fitted,
)
from finetune.evaluation.subjects import Subject
from finetune.evaluation.suites import Suite

UNTOUCHED = "none"
"""The label of the untouched model: no treatment."""

RETAIN = "retain_model"

_LABEL = re.compile(r"[\w.+-]+")
_AT_ONCE = 32
_SEED_STEP = 1_000_003


class Say(Protocol):
    """Told how far a stage is."""

    def __call__(self, stage: str, done: int, total: int) -> None: ...


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class EvaluationJob:
    """What is judged by what, and where the result goes.

    `models` by label; the untouched one is `none`. `metrics` empty: those that suit the suite. `attacks` None: all prompt
    attacks where the suite brings no adversarial questions, else none; a group's name stands for its attacks. `limit`:
    questions a split, at most. `sampling` is for metrics that need drawn answers. Raises `InvalidPlan`.
    """

    suite: Suite
    models: Mapping[str, Subject]
    out: Path
    retain_model: Subject | None = None
    metrics: tuple[Metric, ...] = ()
    attacks: tuple[str, ...] | None = None
    limit: int | None = None
    seed: int = 0
    max_new_tokens: int = MAX_NEW_TOKENS
    sampling: Sampling = field(default_factory=lambda: Sampling(count=BestOfN().samples))

    def __post_init__(self) -> None:
        if not self.models:
            raise InvalidPlan("There is no model to judge; name the untouched model, an adapter or an endpoint.")
        for label in self.models:
            if label == RETAIN or not _LABEL.fullmatch(label):
                raise InvalidPlan(
                    f"'{label}' is no label for a model: take letters, digits, '.', '+', '-' or '_', not '{RETAIN}'."
                )
        for name, value in (("limit", self.limit), ("max_new_tokens", self.max_new_tokens)):
            if value is not None and value < 1:
                raise InvalidPlan(f"{name} is {value}; it must be at least 1.")
        for attack in self.attacks or ():
            if attack not in PROMPT_ATTACKS and attack in {*WEIGHT_ATTACKS, *SAMPLING}:
                raise InvalidPlan(
                    f"'{attack}' is no prompt attack. Sampling is measured by the metric leak_rate_best_of_n; a quantised "
                    "or relearnt model is judged as a model of its own (--merged)."
                )


class JudgedFigures(BaseModel):
    """One model's figures: axis -> split -> measured and absent."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    identity: dict[str, str]
    accuracy: dict[str, SplitFigures] = {}
    generalizability: dict[str, SplitFigures] = {}
    locality: dict[str, SplitFigures] = {}

    def split(self, name: str) -> SplitFigures:
        """The figures of a split or part, empty where it was not asked."""
        axes = {**self.accuracy, **self.generalizability, **self.locality}
        return axes.get(name, SplitFigures())


class UnlearningReport(BaseModel):
    """The content of the result file. `models` by label, in the order given."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    config: dict[str, Any]
    versions: dict[str, str]
    models: dict[str, JudgedFigures]
    retain_model: JudgedFigures | None = None


def evaluate(job: EvaluationJob, say: Say) -> UnlearningReport:
    """Judge and write `job.out`.

    Raises `InvalidPlan` for what does not go together, `InvalidData` for a suite that cannot be asked,
    `CheckpointBroken` for kept answers that cannot be read, and what loading and asking a model raises.
    """
    run = _Run(job, say)
    retain = run.answers(RETAIN, job.retain_model) if job.retain_model is not None else None
    answers = {label: run.answers(label, subject) for label, subject in job.models.items()}
    say("figures", 0, len(answers))
    models = {}
    for done, (label, given) in enumerate(answers.items(), start=1):
        models[label] = run.figures(job.models[label], given, retain)
        say("figures", done, len(answers))
    report = UnlearningReport(
        config=run.config,
        versions=library_versions(),
        models=models,
        retain_model=run.figures(job.retain_model, retain, retain) if job.retain_model and retain else None,
    )
    write_result(job.out, orjson.dumps(report.model_dump(mode="json"), option=orjson.OPT_INDENT_2) + b"\n")
    run.folder.remove()
    return report


class _Run:
    """A job with its questions, its metrics and the answers kept so far."""

    def __init__(self, job: EvaluationJob, say: Say) -> None:
        self._job, self._say = job, say
        has_holdout = bool(job.suite.holdout_texts)
        names = {metric.name for metric in job.metrics}
        self._splits = asked_splits(
            job.suite,
            attacks=job.attacks,
            limit=job.limit,
            seed=job.seed,
            with_members=has_holdout and (not names or not names.isdisjoint(MEMBERSHIP)),
        )
        if not self._splits:
            raise InvalidData(f"The suite '{job.suite.name}' has no questions; add some to its files.")
        metrics = job.metrics or default_metrics(self._splits, has_holdout=has_holdout)
        self._metrics = fitted(metrics, self._splits)
        self._reference: JudgedModel | None = None
        self.config = _config(job, self._metrics, self._splits)
        self.folder = AnswerFolder(job.out, {**self.config, "versions": library_versions()})

    def answers(self, label: str, subject: Subject) -> dict[str, Answers]:
        """All splits, asked or kept."""
        model: JudgedModel | None = None
        found = {}
        for name, split in self._splits.items():
            kept = self.folder.answers(label, name, split.asked)
            if kept is None:
                if model is None:
                    self._say(f"{label}: {name}", 0, len(split.asked))
                    model = subject.load()
                kept = self._ask(label, model, name)
                self.folder.keep(label, name, kept)
            found[name] = kept
        return found

    def figures(
        self, subject: Subject, given: Mapping[str, Answers], retain: Mapping[str, Answers] | None
    ) -> JudgedFigures:
        """One model's figures under their axes."""
        judgement = Judgement(splits=self._splits, answers=given, retain=retain)
        axes = report_of("", figures_by_split(self._metrics, judgement), config={})
        return JudgedFigures(
            identity=dict(subject.identity),
            accuracy=axes.accuracy,
            generalizability=axes.generalizability,
            locality=axes.locality,
        )

    def _ask(self, label: str, model: JudgedModel, name: str) -> Answers:
        asked, facts = self._splits[name].asked, facts_of(name, self._metrics)
        reference = self._retain_model() if Fact.REFERENCE_TOKENS in facts and label != RETAIN else None
        pieces = []
        for start in range(0, len(asked), _AT_ONCE):
            self._say(f"{label}: {name}", start, len(asked))
            # Pieces must not draw alike, and a run that goes on must draw as one that was never broken off.
            seed = self._job.sampling.seed * _SEED_STEP + start
            pieces.append(
                gather(
                    model,
                    asked[start : start + _AT_ONCE],
                    facts,
                    reference=reference,
                    sampling=replace(self._job.sampling, seed=seed),
                    max_new_tokens=self._job.max_new_tokens,
                )
            )
        self._say(f"{label}: {name}", len(asked), len(asked))
        return Answers(answered=tuple(one for piece in pieces for one in piece.answered), missing=pieces[0].missing)

    def _retain_model(self) -> JudgedModel | None:
        if self._reference is None and self._job.retain_model is not None:
            self._reference = self._job.retain_model.load()
        return self._reference


def _config(job: EvaluationJob, metrics: Sequence[Metric], splits: Mapping[str, AskedSplit]) -> dict[str, Any]:
    """What decides the figures, without folders of this machine and without texts."""
    asked = [[_told(one) for one in split.asked] for split in splits.values()]
    wrong = [[variant.choice, *variant.wrong] for split in splits.values() for variant in split.choices.values()]
    told = [variant for split in splits.values() for variant in split.told.values()]
    # Nothing where there are none, so that questions keep the hash that they had before there were such attacks.
    rules = [[variant.written, variant.given, *variant.names, *variant.sought] for variant in told]
    return {
        "suite": job.suite.name,
        "questions": {name: len(splits[name].asked) if name in splits else 0 for name in (*SPLITS, *splits)},
        "questions_sha256": hashlib.sha256(json.dumps([asked, wrong, *rules]).encode()).hexdigest(),
        "models": {label: dict(subject.identity) for label, subject in job.models.items()},
        "retain_model": None if job.retain_model is None else dict(job.retain_model.identity),
        "metrics": {metric.name: asdict(metric) for metric in metrics},  # type: ignore[call-overload] # all are dataclasses
        "attacks": None if job.attacks is None else list(job.attacks),
        "limit": job.limit,
        "seed": job.seed,
        "max_new_tokens": job.max_new_tokens,
        "sampling": asdict(job.sampling),
    }


def _told(asked: Asked) -> dict[str, Any]:
    """What is asked as JSON can tell it; as it always was for questions without a conversation."""
    told = asdict(asked)
    return told if asked.dialogue is not None else {key: value for key, value in told.items() if key != "dialogue"}
