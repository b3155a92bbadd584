"""A run's own questions as a suite for a judge."""

from __future__ import annotations

from dataclasses import replace

from finetune.consolidation.request import RunRequest
from finetune.consolidation.run import RunResult
from finetune.data.qa import paraphrases_of
from finetune.evaluation.suites import Suite


def suite_of(request: RunRequest, result: RunResult) -> Suite:
    """The run's questions as a suite. Paraphrases that questions carry are a suite's to unfold, so each is asked once."""
    unfolded = {one.id for one in paraphrases_of(result.questions)}
    questions = tuple(one for one in result.questions if one.id not in unfolded)
    if request.suite is not None:
        return replace(request.suite, questions=questions)
    return Suite(
        name=f"{result.folder.name} (the run's own questions)", questions=questions, entries=tuple(request.entries)
    )
