"""Puts questions to models and reads figures off the reports. Every report is made once and kept in the work folder."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import orjson

from benchmarks.consolidation.material import SEED, Material
from finetune.evaluation.metrics import make_metric
from finetune.evaluation.run import RETAIN, UNTOUCHED, EvaluationJob, JudgedFigures, Say, UnlearningReport, evaluate
from finetune.evaluation.subjects import LocalSubjects, Subject
from finetune.evaluation.suites import Suite

BRIEF = ("rouge_l_recall", "leak_rate", "gibberish_rate")
"""What needs nothing but answers."""

_MAX_NEW_TOKENS = 96


@dataclass(frozen=True, kw_only=True, slots=True)
class Judge:
    """`adversarial`: questions under attack, at most; the other splits are asked whole."""

    given: Material
    say: Say
    adversarial: int = 240
    local: LocalSubjects

    def untouched(self) -> Subject:
        """The target model."""
        return self.local.whole(UNTOUCHED, str(self.given.base), kind="untouched", name="target_model")

    def retain(self) -> Subject:
        """The model that never knew."""
        folder = self.given.retain_adapter
        return self.local.adapter(RETAIN, folder, base=self.given.packaged, base_name="smollm2-135m-instruct")

    def edited(self, label: str, adapter: Path) -> Subject:
        """The target model with an edit."""
        return self.local.adapter(label, adapter, base=str(self.given.base), base_name="target_model")

    def briefly(self, models: Mapping[str, Subject], *, suite: Suite) -> dict[str, JudgedFigures]:
        """Answers alone, to the questions as they are."""
        return dict(self._report(models, suite, metrics=BRIEF, attacks=(), retain=None).models)

    def whole(self, models: Mapping[str, Subject]) -> UnlearningReport:
        """All metrics that need no sampling, paraphrases and attacks too, beside the retain model."""
        return self._report(models, self.given.judging, metrics=(), attacks=None, retain=self.retain())

    def _report(
        self,
        models: Mapping[str, Subject],
        suite: Suite,
        *,
        metrics: tuple[str, ...],
        attacks: tuple[str, ...] | None,
        retain: Subject | None,
    ) -> UnlearningReport:
        asked = [suite.name, len(suite.questions), metrics, attacks, self.adversarial]
        identities = {label: dict(subject.identity) for label, subject in models.items()}
        digest = hashlib.sha256(orjson.dumps([asked, identities, retain and dict(retain.identity)])).hexdigest()[:16]
        out = self.given.work / "judged" / f"{digest}.json"
        if out.exists():
            return UnlearningReport.model_validate_json(out.read_bytes())
        out.parent.mkdir(parents=True, exist_ok=True)
        job = EvaluationJob(
            suite=suite,
            models=models,
            retain_model=retain,
            metrics=tuple(make_metric(name) for name in metrics),
            attacks=attacks,
            limit=self.adversarial,
            seed=SEED,
            max_new_tokens=_MAX_NEW_TOKENS,
            out=out,
        )
        return evaluate(job, self.say)


def value(figures: JudgedFigures, split: str, metric: str) -> float | None:
    """A measured figure, if it was measured."""
    found = figures.split(split).measured.get(metric)
    return None if found is None else found.value


def measured(figures: JudgedFigures, split: str, metric: str) -> float:
    """A figure that is always measured where models answer. Raises `KeyError`."""
    return figures.split(split).measured[metric].value


def kept(figures: JudgedFigures) -> float:
    """How much stands, from answers alone: mean ROUGE-L recall over what was retained and what everybody knows."""
    return (measured(figures, "retain", "rouge_l_recall") + measured(figures, "utility", "rouge_l_recall")) / 2


def distance(figures: JudgedFigures, retain: JudgedFigures) -> float:
    """How far an edit is from the model that never knew; 0 is as good as it. Trials are chosen by the smallest.

    The largest of: distance of ROUGE-L recall on the forget questions, leak rate above its, relative loss of what stands.
    """
    rouge = abs(measured(figures, "forget", "rouge_l_recall") - measured(retain, "forget", "rouge_l_recall"))
    leak = measured(figures, "forget", "leak_rate") - measured(retain, "forget", "leak_rate")
    loss = 1 - kept(figures) / kept(retain)
    return max(rouge, leak, loss, 0.0)
