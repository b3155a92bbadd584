"""`expunge serve` without its ladder, for the rows of published methods alone: what the model says first is what leaves.

    python -m benchmarks.unlearning.first_answers --config FILE

The gate, the treatments' requests and the records are the product's, by its own code. Left out is what follows: no answer
is inspected, begun anew, cut or replaced, and no treatment takes another's place; one that has nothing to work on leaves
the request as it is. `ignorance` stands for filter-and-prompt: RWKU's ICU prompt with the names that were met, at the end
of the user's turn, where the bench's small model heeds it most, and none of the treatment's own work on mixed requests.

Only the bench starts it; the product has no such switch.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Final

import click

from benchmarks.unlearning.rows import icu_prompt
from guardrail import app
from guardrail.backends.router import Route
from guardrail.decision import Action, TreatmentPlan
from guardrail.flow import Flow, Tried
from guardrail.forward import Request, answered_headers, relayed
from guardrail.planning import Decided, Planner
from guardrail.replies import Outgoing
from guardrail.serving_lock import serving_lock
from guardrail.settings import load

PROMPTED: Final = "ignorance"


class FirstRung(Planner):
    """The decided treatment's plan or none, never that of one below it."""

    def plan(self, decided: Decided, route: Route | None = None) -> TreatmentPlan:
        """As the planner, of the first rung alone."""
        plan, decision = Planner.plan(self, decided, route), decided.decision
        if decision.action is not Action.TREAT:
            return plan
        if decision.treatment == PROMPTED:
            names = [one.entry.entry.name for one in sorted(decision.detections, key=lambda one: one.entry.id)]
            return TreatmentPlan(
                treatment=PROMPTED, instruction=icu_prompt(names), matched_passages=plan.matched_passages
            )
        if plan.treatment != decision.treatment:
            return TreatmentPlan(treatment="none")
        return replace(plan, answer_prefix="")


class FirstAnswers(Flow):
    """The flow without inspection."""

    async def _inspected(self, request: Request, route: Route, decided: Decided, tried: Tried) -> Outgoing:
        answer = tried.sent.answer
        if decided.decision.detections:
            self._journal.answered(by_model=True)
        body = await relayed(answer, route, is_stream=request.body.get("stream") is True)
        return Outgoing(status=answer.status, headers=answered_headers(answer), body=body)


IN_PLACE: Final = {"Flow": FirstAnswers, "Planner": FirstRung}
"""What the composition root builds with, by its own names. It has no other way in, so that the product has no switch."""


@click.command()
@click.option("--config", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=True)
def main(*, config: Path) -> None:
    """Serve with the configuration CONFIG until stopped."""
    settings = load(config)
    vars(app).update(IN_PLACE)
    with serving_lock(settings.retrieval.data_dir):
        app.serve(settings)


if __name__ == "__main__":
    main()
