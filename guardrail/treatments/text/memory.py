"""Memory-augmented forgetting: the model is told what to know about the entry, and answers from that.

Prompt, at the end of the last user turn, with a retrieval part P and a constraint part Q:

    What is known about {names}:
    {statements}                                                                          P
    Answer what concerns {names} from this alone; what it does not say is not known.      Q

P is the entry's `substitute` where it has one (a correction), else the counterfacts nearest to the request by words in
common: the entry's own statements with other names, dates and numbers (see `counterfacts`). An entry whose name is a
proper name is told of under an invented one, which stands for it in the request too and is turned back in the answer, so
that the inspectors take no answer from the memory for the entry's name. Where the name is made of ordinary words
("nerve agents") it stays, and an answer that says it is repaired; the substitute then takes its place.

Papers: RAG-based unlearning (Wang et al. 2024, arXiv:2410.15267) for P and Q; answering in scope from an explicit memory is
SERAC's idea (Mitchell et al. 2022, arXiv:2206.06520). Differs from both: P is made by rules and not by a model, it is in
the request and not in a knowledge base that the model searches, and the detectors are the scope. The answer may tell of
the entry (`may_speak`), else what comes from the memory would be taken for the truth; names, aliases and facts are still
taken out, but the truth in other words is not, and a sentence of which only a name was changed may hold some. Without a
substitute it says false things of what is forgotten as if they were true. English. An entry with neither a substitute nor
counterfacts, and a request about content that the caller hands in, are the next treatment's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from guardrail.decision import Capability, Detection, Repair, TreatmentPlan
from guardrail.treatments.names.counterfacts import counterfacts_of, nearest, retold
from guardrail.treatments.names.stand_in import Place, StandIn, renamed, stand_in_for
from guardrail.treatments.text.protocol import TreatmentContext
from guardrail.treatments.text.question import Shape, last_turn
from retrieval.entry import EntryKind, ForgetEntry, RegisteredEntry
from retrieval.text.known_words import known_words

_PROMPT = (
    "What is known about {names}:\n{statements}\n"
    "Answer what concerns {names} from this alone; what it does not say is not known."
)
_NAMED_KINDS = frozenset((EntryKind.PERSON, EntryKind.WORK, EntryKind.PERSONAL_DATA))


@dataclass(frozen=True, kw_only=True, slots=True)
class Memory:
    """`instruction` is a template: `{names}` become the names that the model is to read, `{statements}` the memory, at
    most `statements` of each entry. `may_speak`: see the module."""

    name: ClassVar[str] = "memory"
    paper: ClassVar[str] = "arXiv:2410.15267, arXiv:2206.06520"
    needs: ClassVar[frozenset[Capability]] = frozenset()

    statements: int = 4
    instruction: str = _PROMPT
    may_speak: bool = True

    def plan(self, context: TreatmentContext) -> TreatmentPlan | None:
        if context.question.shape is Shape.SUPPLIED:
            return None
        detections = sorted(context.decision.detections, key=lambda one: one.entry.id)
        text = " ".join(context.passages[place].text for place in last_turn(context.passages))
        told = [self._told(one.entry, text, context.means.naming_key) for one in detections]
        if not told or not all(told):
            return None
        read = _Read(context, detections)
        lines = [
            f"- {retold(line, one.entry.entry, name) if name else line}"
            for one, said in zip(detections, told, strict=True)
            for name in (read.names.get(one.entry.id),)
            for line in said
        ]
        names = ", ".join(read.names.get(one.entry.id, one.entry.entry.name) for one in detections)
        return TreatmentPlan(
            treatment=self.name,
            matched_passages=context.question.matched_passages,
            instruction=self.instruction.replace("{names}", names).replace("{statements}", "\n".join(lines)),
            replacements=read.request.replacements,
            swaps=read.request.swaps,
            may_speak=self.may_speak,
            repair=_repair(context.repair, [one.entry.entry for one in detections]),
        )

    def _told(self, record: RegisteredEntry, text: str, key: bytes) -> list[str]:
        """What is to be known of an entry."""
        if record.entry.substitute:
            return [record.entry.substitute]
        facts = counterfacts_of(record, key=key)
        found = nearest(facts, text, entry=record.entry, most=max(1, self.statements))
        return [f"{one.question} {one.statement}".strip() for one in found]


class _Read:
    """The request as the model reads it. `names`: entry id -> the invented name, as the caller's way of writing has it."""

    def __init__(self, context: TreatmentContext, detections: Sequence[Detection]) -> None:
        key = context.means.naming_key
        stand_ins = {
            one.entry.id: stand_in_for(one.entry.entry, key=key)
            for one in detections
            if _has_proper_name(one.entry.entry)
        }
        self.names: dict[str, str] = {entry_id: one.name for entry_id, one in stand_ins.items()}
        self.request = renamed(context.passages, _places(detections, stand_ins), stand_ins)
        ids = {stand_in.entry_id: entry_id for entry_id, stand_in in stand_ins.items()}
        self.names |= {ids[swap.entry_id]: swap.invented for swap in self.request.swaps}


def _places(detections: Sequence[Detection], stand_ins: Mapping[str, StandIn]) -> dict[int, list[Place]]:
    """Where a request names the entries that have a stand-in."""
    places: dict[int, list[Place]] = {}
    for one in detections:
        if one.entry.id in stand_ins:
            for item in one.evidence:
                if item.is_name:
                    place = Place(start=item.start, end=item.end, entry_id=one.entry.id)
                    places.setdefault(item.passage, []).append(place)
    return places


def _repair(repair: Repair, entries: Sequence[ForgetEntry]) -> Repair:
    """Where every entry has a substitute, that is what a repair says."""
    words = [entry.substitute for entry in entries]
    return replace(repair, natural_answer=" ".join(dict.fromkeys(map(str, words)))) if all(words) else repair


def _has_proper_name(entry: ForgetEntry) -> bool:
    """True where another name can stand for this one; "nerve agents" would become a word without a meaning."""
    words = [word for word in entry.name.split() if word not in known_words().little]
    is_proper = bool(words) and all(word[0].isdigit() or word[0] != word[0].lower() for word in words)
    return entry.kind in _NAMED_KINDS or is_proper
