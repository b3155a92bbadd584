"""Puts questions to models and reads figures off the reports. Every report is made once and kept in the work folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.consolidation.material import SEED, Material
from finetune.data.whole_files import content_sha256
from finetune.evaluation.metrics import make_metric
from finetune.evaluation.run import RETAIN, UNTOUCHED, EvaluationJob, JudgedFigures, Say, UnlearningReport, evaluate
from finetune.evaluation.subjects import LocalSubjects, Subject
from finetune.evaluation.suites import Suite

BRIEF = ("rouge_l_recall", "probability", "leak_rate", "gibberish_rate")
"""What needs nothing but the right answer and the model's."""

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
        """The questions as they are, without wrong answers."""
        return dict(self._report(models, suite, metrics=BRIEF, attacks=(), retain=None).models)

    def whole(self, models: Mapping[str, Subject]) -> UnlearningReport:
        """All metrics that need no sampling, paraphrases and attacks too, beside the retain model."""
        return self._report(models, self.given.judging, metrics=(), attacks=None, retain=self.retain())

    def plainly(self, models: Mapping[str, Subject], *, suite: Suite) -> UnlearningReport:
        """The same without attacked prompts."""
        return self._report(models, suite, metrics=(), attacks=(), retain=self.retain())

    def _report(
        self,
        models: Mapping[str, Subject],
        suite: Suite,
        *,
        metrics: tuple[str, ...],
        attacks: tuple[str, ...] | None,
        retain: Subject | None,
    ) -> UnlearningReport:
        chosen = tuple(make_metric(name) for name in metrics)
        asked = {
            "questions": [
                [one.id, one.split, one.question, one.answer, one.perturbed_answers] for one in suite.questions
            ],
            "metrics": [[metric.name, metric.version] for metric in chosen],
            "attacks": attacks,
            "limits": [self.adversarial, _MAX_NEW_TOKENS],
            "models": {label: dict(subject.identity) for label, subject in models.items()},
            "retain_model": retain and dict(retain.identity),
        }
        digest = content_sha256(asked)[:16]
        out = self.given.work / "judged" / f"{digest}.json"
        if out.exists():
            return UnlearningReport.model_validate_json(out.read_bytes())
        out.parent.mkdir(parents=True, exist_ok=True)
        job = EvaluationJob(
            suite=suite,
            models=models,
            retain_model=retain,
            metrics=chosen,
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
    """How much stands: the mean of ROUGE-L recall and probability over what was retained and what everybody knows.

    TOFU's model utility is not asked of a trial: it needs wrong answers, and a few questions make it jump.
    """
    parts = [
        measured(figures, split, metric)
        for split in ("retain", "utility")
        for metric in ("rouge_l_recall", "probability")
    ]
    return sum(parts) / len(parts)


def distance(figures: JudgedFigures, retain: JudgedFigures) -> float:
    """How far an edit is from the model that never knew; 0 is as good as it. Trials are chosen by the smallest.

    The largest of: distance of ROUGE-L recall on the forget questions, leak rate above its, relative loss of what stands.
    """
    rouge = abs(measured(figures, "forget", "rouge_l_recall") - measured(retain, "forget", "rouge_l_recall"))
    leak = measured(figures, "forget", "leak_rate") - measured(retain, "forget", "leak_rate")
    loss = 1 - kept(figures) / kept(retain)
    return max(rouge, leak, loss, 0.0)
