"""In-context unlearning by demonstrations: false answers about the forgotten, true ones about other things.

With f_i the entry's own questions and f'_i false answers to them, and (k_j, y_j) ordinary questions with true answers, the
answer to a request q is drawn from

    p(y | f_1, f'_1, ..., f_n, f'_n, k_1, y_1, ..., k_s, y_s, q)

where each pair is an earlier turn of the conversation. Paper: Pawelczyk et al. 2024, arXiv:2310.07579.

Differs from the paper: it flips the label of the points to be forgotten, in classification; here answers are text, so they
are retold with other names, dates and numbers (see `counterfacts`), the questions nearest to the request first. The paper's
true examples come from the training data; an entry's neighbours carry no answers, so these are ordinary English questions.
What the paper does not ask: the answer is inspected like any other, so what tells of the entry, falsely too, is
repaired; with `may_speak` only names, aliases and facts are. The answers say false things as if they were true. An entry
without facts, documents or description, and a request about content that the caller hands in, are the next treatment's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice, zip_longest
from typing import ClassVar

from guardrail.decision import Capability, TreatmentPlan
from guardrail.treatments.names.counterfacts import counterfacts_of, nearest
from guardrail.treatments.text.protocol import TreatmentContext
from guardrail.treatments.text.question import Shape, last_turn
from guardrail.treatments.words.ordinary_questions import ORDINARY_QUESTIONS
from retrieval.entry import ForgetEntry, RegisteredEntry
from retrieval.memory.questions import ASKED
from retrieval.text.views import normalise

_ASKED_AGAIN = "What else is known about {name}?"


@dataclass(frozen=True, kw_only=True, slots=True)
class InContextUnlearning:
    """`forgotten` pairs with false answers, at least one of each entry; `kept` pairs with true ones. `may_speak`: the
    answer may tell of the entry, only names, aliases and facts are taken out."""

    name: ClassVar[str] = "icul"
    paper: ClassVar[str] = "arXiv:2310.07579"
    needs: ClassVar[frozenset[Capability]] = frozenset()

    forgotten: int = 3
    kept: int = 3
    may_speak: bool = False

    def plan(self, context: TreatmentContext) -> TreatmentPlan | None:
        if context.question.shape is Shape.SUPPLIED:
            return None
        records = sorted((one.entry for one in context.decision.detections), key=lambda record: record.id)
        text = " ".join(context.passages[place].text for place in last_turn(context.passages))
        by_entry = [self._false(record, text, context.means.naming_key) for record in records]
        if not by_entry or not all(by_entry):
            return None
        in_turns = (pair for pair in chain.from_iterable(zip_longest(*by_entry)) if pair is not None)
        false = islice(in_turns, max(self.forgotten, len(records)))
        true = islice(_true([record.entry for record in records]), max(0, self.kept))
        return TreatmentPlan(
            treatment=self.name,
            matched_passages=context.question.matched_passages,
            demonstrations=(*false, *true),
            may_speak=self.may_speak,
            repair=context.repair,
        )

    def _false(self, record: RegisteredEntry, text: str, key: bytes) -> list[tuple[str, str]]:
        """The entry's questions, nearest first, with false answers."""
        entry = record.entry
        found = nearest(counterfacts_of(record, key=key), text, entry=entry, most=max(1, self.forgotten))
        unasked = 0
        pairs: list[tuple[str, str]] = []
        for one in found:
            question = one.question or (_ASKED_AGAIN if unasked else ASKED[entry.kind]).replace("{name}", entry.name)
            unasked += not one.question
            pairs.append((question, one.statement))
        return pairs


def _true(entries: Sequence[ForgetEntry]) -> Iterator[tuple[str, str]]:
    """Ordinary questions with true answers that touch none of the entries."""
    told = [text for entry in entries for text in (*entry.names, *(fact.answer for fact in entry.facts))]
    phrases = [f" {' '.join(normalise(text).words)} " for text in told]
    for asked, answered in ORDINARY_QUESTIONS:
        words = f" {' '.join(normalise(f'{asked} {answered}').words)} "
        if not any(phrase.strip() and phrase in words for phrase in phrases):
            yield asked, answered
