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
`ignorance`, and so is an answer that leaks all the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from guardrail.decision import Capability, Detection, TreatmentPlan
from guardrail.treatments.names.clues import clues_in
from guardrail.treatments.names.stand_in import Place, Renamed, renamed, stand_in_for
from guardrail.treatments.text.protocol import TreatmentContext
from retrieval.entry import EntryKind, ForgetEntry


@dataclass(frozen=True, kw_only=True, slots=True)
class StandInName:
    """No parameters: the invented names hang on the deployment's key and the entry."""

    name: ClassVar[str] = "stand_in"
    paper: ClassVar[str] = "arXiv:2406.07933, arXiv:2310.02238"
    needs: ClassVar[frozenset[Capability]] = frozenset()

    def plan(self, context: TreatmentContext) -> TreatmentPlan | None:
        detections = context.decision.detections
        places = _Places(context)
        if not all(places.found(one) for one in detections if one.is_asked):
            return None
        made = places.renamed(context.means.naming_key)
        return TreatmentPlan(
            treatment=self.name,
            matched_passages=context.question.matched_passages,
            replacements=made.replacements,
            swaps=made.swaps,
            repair=context.repair,
        )


class _Places:
    """Where a request names its entries or holds a clue to them."""

    def __init__(self, context: TreatmentContext) -> None:
        self._passages = context.passages
        self._names: dict[str, ForgetEntry] = {}
        self._places: dict[int, list[Place]] = {}
        for one in context.decision.detections:
            for item in one.evidence:
                if item.is_name:
                    self._add(item.passage, item.start, item.end, one.entry.id, one.entry.entry)
        for one in context.decision.detections:
            for index, passage in enumerate(context.passages):
                for start, end in clues_in(passage.text, one.entry.entry):
                    self._add_clue(index, start, end, one)

    def found(self, detection: Detection) -> bool:
        """True if there is anything to be replaced for an entry."""
        own = detection.entry.id
        return any(name == own or name.startswith(f"{own}/") for name in self._names)

    def renamed(self, key: bytes) -> Renamed:
        """The request with stand-ins."""
        stand_ins = {name: stand_in_for(entry, key=key) for name, entry in self._names.items()}
        return renamed(self._passages, self._places, stand_ins)

    def _add(self, passage: int, start: int, end: int, name: str, entry: ForgetEntry) -> None:
        self._names[name] = entry
        self._places.setdefault(passage, []).append(Place(start=start, end=end, entry_id=name))

    def _add_clue(self, passage: int, start: int, end: int, detection: Detection) -> None:
        if any(place.start < end and place.end > start for place in self._places.get(passage, ())):
            return
        clue = self._passages[passage].text[start:end]
        name = f"{detection.entry.id}/{clue.casefold()}"
        self._add(passage, start, end, name, ForgetEntry(name=clue, kind=EntryKind.WORK))
