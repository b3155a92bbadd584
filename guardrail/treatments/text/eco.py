"""Embedding-corrupted prompts: the model reads the request, but cannot make out whom it names.

With e(x) the embeddings of prompt x and m the mask of the tokens that name an entry:

    e'_i = e_i + m_i * s * r * z_i,   z_i ~ N(0, I)                           rand_noise_first_n
    e'_i = e_i with the share s of its largest dimensions set to 0            zero_out_top_k
    e'_i = e_i with the sign of the share s of its largest dimensions turned  flip_sign

and the answer is drawn from p(y | e'). Paper: Liu et al. 2024, arXiv:2406.07933, which finds s by a zeroth-order search
(see `strength_search`).

Differs from the paper: the places come from the detectors, not from a classifier and a named-entity model; r is the root
mean square of the model's embeddings, so that one strength means the same to models of different scale; noise goes to all
dimensions, and hangs on the deployment's key, the entry and nothing else, so that an entry reads the same in every turn;
what comes out is inspected. The model cannot say a name that it could not read: it answers about somebody else, by another
name or by none, which tells an attentive caller that something was done.

It needs a backend that takes embeddings inside chat messages, and the folder of its model. Other requests, and those that
name no entry, are the next treatment's on the ladder.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import ClassVar

from guardrail.decision import Capability, Corruption, CorruptionKind, Evidence, TreatmentPlan
from guardrail.treatments.embeds_in import can_hold
from guardrail.treatments.text.handed_in import redacted_passages
from guardrail.treatments.text.protocol import TreatmentContext


@dataclass(frozen=True, kw_only=True, slots=True)
class EmbeddingCorruption:
    """`strength` is found for a model by `strength_search`; the default is what SmolLM2-135M-Instruct needed, trained
    on authors of TOFU. What the rest of a question gives away, no strength takes out."""

    name: ClassVar[str] = "eco"
    paper: ClassVar[str] = "arXiv:2406.07933"
    needs: ClassVar[frozenset[Capability]] = frozenset({Capability.CHAT, Capability.PROMPT_EMBEDS})

    kind: CorruptionKind = "rand_noise_first_n"
    strength: float = 4.0

    def plan(self, context: TreatmentContext) -> TreatmentPlan | None:
        corruptions: dict[tuple[int, int, int], Corruption] = {}
        for one in sorted(context.decision.detections, key=lambda detection: detection.entry.id):
            named = [item for item in one.evidence if item.is_name]
            if one.is_asked and not named:
                return None
            for item in named:
                place = (item.passage, item.start, item.end)
                corruptions.setdefault(place, self._corruption(context, item, one.entry.id))
        paths = {one.path for one in corruptions.values()}
        redacted = redacted_passages(context, context.repair.redaction)
        if not paths or not all(map(can_hold, paths)) or paths & redacted.keys():
            return None
        return TreatmentPlan(
            treatment=self.name,
            matched_passages=context.question.matched_passages,
            corruptions=tuple(corruptions[place] for place in sorted(corruptions)),
            repair=context.repair,
        )

    def _corruption(self, context: TreatmentContext, item: Evidence, entry_id: str) -> Corruption:
        passage = context.passages[item.passage]
        digest = hmac.digest(context.means.naming_key, b"eco:" + entry_id.encode(), "sha256")
        return Corruption(
            path=passage.path,
            start=item.start,
            end=item.end,
            written=passage.text[item.start : item.end],
            kind=self.kind,
            strength=self.strength,
            seed=int.from_bytes(digest[:8], "big"),
        )
