"""Ask the model about somebody who does not exist: each name of the entry gives way to an invented one.

    Who is Stephen King, and who wrote Dune?   ->  (to the model)  Who is Dravel Pronis, and who wrote Dune?
    Dravel Pronis is ... Dune is by Herbert.   ->  (to the caller) Stephen King is ... Dune is by Herbert.

With q(n) a request that names n, and n' an invented name: the answer is drawn from p(y | q(n')) with n' turned back into
n, so a question about the forgotten is by construction answered like one about any stranger, in the model's own words;
no part of the entry reaches the model. Papers: it does in the text what embedding-corrupted prompts do in the embeddings
(Liu et al. 2024, arXiv:2406.07933) and what the generic replacements of Eldan and Russinovich (2023, arXiv:2310.02238)
do in training data. Differs from both: the name comes back in the answer, which is inspected before it does.

What else in a request tells of the entry gives way as well, where the entry's own texts hold it: what stands in quotation
marks (see `clues`). A model that learnt "'The Matrimony Plan' was acclaimed for ..." goes on with that sentence whoever is
said to have written it. A request that holds neither a name nor a clue has nothing to be replaced; it is given to
`ignorance`; where an answer leaks all the same, another name is tried first (`another_name`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from guardrail.decision import Capability, TreatmentPlan
from guardrail.treatments.text.protocol import TreatmentContext
from guardrail.treatments.text.under_other_names import plan_under_other_names


@dataclass(frozen=True, kw_only=True, slots=True)
class StandInName:
    """No parameters: the invented names hang on the deployment's key and the entry."""

    name: ClassVar[str] = "stand_in"
    paper: ClassVar[str] = "arXiv:2406.07933, arXiv:2310.02238"
    needs: ClassVar[frozenset[Capability]] = frozenset()

    def plan(self, context: TreatmentContext) -> TreatmentPlan | None:
        return plan_under_other_names(self.name, context, key=context.means.naming_key)
