"""The process that trains and judges one job: `python -m finetune.consolidation.child FOLDER`, read after `order.py`.

    order -> run (texts, training, weights, manifest) -> judge: untouched, edited, rounded, relearnt -> judged.json

It says how far it is as lines of JSON on stdout and knows neither registry nor worker, so that it may run wherever the
folder is seen. Started again after it was killed, it goes on from its last checkpoint and behind the last judged split.
Exit code 0: done; 2: cannot be done as ordered (one line on stderr says why); anything else: may be tried again.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import orjson

from finetune.consolidation.attacked_weights import Attacker, Weights, attacked
from finetune.consolidation.image_run import ImageRunRequest, run_on_images
from finetune.consolidation.judged_pictures import judge_pictures
from finetune.consolidation.order import JobFolder, JudgedWeights, Order
from finetune.consolidation.own_questions import suite_of
from finetune.consolidation.request import SAVE_EVERY_STEPS, RunRequest
from finetune.consolidation.run import RunResult, run
from finetune.errors import FinetuneError
from finetune.evaluation.run import UNTOUCHED, EvaluationJob, JudgedFigures, evaluate
from finetune.evaluation.subjects import LocalSubjects, Subject
from finetune.evaluation.suites import Suite
from finetune.settings import denoising_plan_from, plan_from
from finetune.training.denoising.loop import DenoisingReport
from finetune.training.loop import StepReport

EDITED: Final = "edited"
IMPOSSIBLE: Final = 2
_MAX_NEW_TOKENS: Final = 64

Tell = Callable[..., None]
"""Told `stage`, `done` and `total`, and what else is known."""


def main(folder: str) -> int:
    """The exit code."""
    try:
        carry_out(JobFolder(Path(folder)), _say)
    except FinetuneError as error:
        sys.stderr.write(f"{error}\n")
        return IMPOSSIBLE
    return 0


def carry_out(folder: JobFolder, tell: Tell) -> None:
    """All that the order asks for. Raises `FinetuneError`."""
    order = folder.read_order()
    tell(stage="build")
    (_on_pictures if order.modality == "image" else _on_words)(order, folder, tell)
    tell(stage="done")


def _on_words(order: Order, folder: JobFolder, tell: Tell) -> None:
    request = request_of(order, folder)
    result = run(request, lambda _: None, progress=_Training(tell))
    if folder.read_judged() is None:
        started = time.perf_counter()
        models = _judged(order, request, result, folder=folder, tell=tell)
        folder.write_judged(JudgedWeights(models=models, seconds=time.perf_counter() - started))


def _on_pictures(order: Order, folder: JobFolder, tell: Tell) -> None:
    entries = [one.entry for one in order.entries]
    request = ImageRunRequest(
        base=Path(order.base),
        out=folder.run,
        method=order.method,
        hyper_parameters=order.hyper_parameters,
        plan=denoising_plan_from({**order.plan, "seed": order.seed}),
        entries=entries,
        revisions={str(one.entry.id): one.revision for one in order.entries},
    )
    result = run_on_images(request, lambda _: None, progress=_Training(tell))
    if folder.read_judged() is None:
        started = time.perf_counter()
        pictures = judge_pictures(
            order.base,
            result.weights,
            entries,
            looking=order.looking,
            drawing=order.drawing,
            questions=order.questions,
            seed=order.seed,
            tell=lambda stage, done, total: tell(stage="evaluate", of=stage, done=done, total=total),
        )
        folder.write_judged(JudgedWeights(pictures=pictures, seconds=time.perf_counter() - started))


def request_of(order: Order, folder: JobFolder) -> RunRequest:
    """The run. Raises `InvalidPlan`."""
    return RunRequest(
        base=order.base,
        out=folder.run,
        method=order.method,
        hyper_parameters=order.hyper_parameters,
        plan=plan_from({"save_every_steps": SAVE_EVERY_STEPS, **order.plan}),
        entries=[one.entry for one in order.entries],
        revisions={str(one.entry.id): one.revision for one in order.entries},
        edits={str(one.entry.id): one.edits for one in order.entries},
        retain=order.retain,
        retain_generated=order.retain_generated if order.retain is None else 0,
        edit_scale=order.edit_scale,
        seed=order.seed,
    )


class _Training:
    """Tells every step, with the seconds that are left by the pace so far."""

    def __init__(self, tell: Tell) -> None:
        self._tell, self._steps, self._seconds = tell, 0, 0.0

    def __call__(self, report: StepReport | DenoisingReport) -> None:
        self._steps, self._seconds = self._steps + 1, self._seconds + report.step_s
        left = (report.steps - report.step) * self._seconds / self._steps
        self._tell(stage="train", done=report.step, total=report.steps, loss=report.loss, left_s=round(left, 1))


def _judged(
    order: Order, request: RunRequest, result: RunResult, *, folder: JobFolder, tell: Tell
) -> dict[str, JudgedFigures]:
    """The untouched and the edited weights by everything, attacked ones by what was to be forgotten."""
    local, base = LocalSubjects(), order.base
    untouched = local.whole(UNTOUCHED, base, kind="untouched", name="untouched")
    if result.manifest.form == "adapter":
        edited = local.adapter(EDITED, result.weights, base=base, base_name="untouched")
        weights = Weights(subject=edited, base=base, adapter=result.weights)
    else:
        edited = local.whole(EDITED, str(result.weights))
        weights = Weights(subject=edited, base=result.weights)
    suite = suite_of(request, result)
    asked: dict[str, Subject] = {UNTOUCHED: untouched, EDITED: edited}
    found = _asked(order, suite, asked, folder, tell)
    attacker = Attacker(
        tokenizer=base,
        unrelated=result.texts.retain,
        forget=result.texts.forget,
        names=[name for one in order.entries for name in one.entry.names],
    )
    forget = Suite(name=f"{suite.name}-forget", questions=tuple(suite.of("forget")), entries=suite.entries)
    for attack in order.attacks:
        label = f"{EDITED}+{attack}"
        found |= _asked(order, forget, {label: attacked(attacker, label, weights, attack)}, folder, tell)
    return found


def _asked(
    order: Order, suite: Suite, models: dict[str, Subject], folder: JobFolder, tell: Tell
) -> dict[str, JudgedFigures]:
    def say(stage: str, done: int, total: int) -> None:
        tell(stage="evaluate", of=stage, done=done, total=total)

    job = EvaluationJob(
        suite=suite,
        models=models,
        out=folder.answers / f"{'-'.join(models)}.json",
        limit=order.questions,
        seed=order.seed,
        max_new_tokens=_MAX_NEW_TOKENS,
    )
    return dict(evaluate(job, say).models)


def _say(**what: Any) -> None:
    sys.stdout.write(orjson.dumps(what).decode() + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
