"""Keep the model from writing what tells of the entry, token by token, whatever it was asked.

For the scores s of the next token t behind the text x so far, and forbidden phrases F:

    s'(t) = -inf                        if x + t would hold a phrase of F
    s'(t) = s(t) - strength * share^2   if t goes on with a phrase, `share` of which is then written
    s'(t) = s(t)                        otherwise

Paper: GUARD (Deng et al. 2025, arXiv:2505.13312) restricts decoding at generation time by penalties for the tokens of
forbidden spans. Differs from the paper: the spans are chosen from the entry's own texts (`names.telling_phrases`), less
what the request holds itself; there is no beam search and no similarity of sentences, whole phrases are banned for
certain; see `decoding.phrase_bans`.

It works by what the backend can do: with RESTRICT whole phrases, in any spelling that compares equal; with BAD_WORDS alone
the shortest of the most telling in two spellings each (vLLM's Responses API has no such field and does not heed it);
with neither it has no plan, nor for an entry that tells nothing but what the request holds. The prompt is not changed, so a
model that cannot say what it knows may still invent: the answer is inspected as any other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from guardrail.decision import Capability, TreatmentPlan
from guardrail.decoding.phrase_bans import DEFAULT_STRENGTH
from guardrail.decoding.request import RestrictionRequest
from guardrail.treatments.names.telling_phrases import phrases_to_ban
from guardrail.treatments.text.protocol import TreatmentContext
from retrieval.text.views import normalise

MOST_BAD_WORDS = 48
"""vLLM takes 128 lists of tokens, two for each word: so much is left to a caller who has bad words of his own."""

_SHORT_WORDS = 4
_SHORTEST_CHARS = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class Restrict:
    """`strength`: what an all but finished phrase loses from its score; 0 stops whole phrases only. With bad words it has
    no meaning."""

    name: ClassVar[str] = "restrict"
    paper: ClassVar[str] = "arXiv:2505.13312"
    needs: ClassVar[frozenset[Capability]] = frozenset()

    strength: float = DEFAULT_STRENGTH

    def plan(self, context: TreatmentContext) -> TreatmentPlan | None:
        entries = [detection.entry for detection in context.decision.detections]
        during = self._during(entries, context)
        if not during:
            return None
        return TreatmentPlan(
            treatment=self.name,
            during=during,
            matched_passages=context.question.matched_passages,
            repair=context.repair,
        )

    def _during(self, entries: list[Any], context: TreatmentContext) -> dict[str, Any]:
        can = context.means.capabilities
        if not can & {Capability.RESTRICT, Capability.BAD_WORDS}:
            return {}
        phrases = phrases_to_ban(entries, (passage.text for passage in context.passages))
        if Capability.RESTRICT in can:
            request = RestrictionRequest(phrases=phrases, strength=max(float(self.strength), 0.0))
            return {"vllm_xargs": request.to_xargs()} if phrases else {}
        words = list(_bad_words(phrases))[:MOST_BAD_WORDS]
        return {"bad_words": words} if words else {}


def _bad_words(phrases: Iterable[str]) -> Iterator[str]:
    """Short phrases as they are written and in another case, the most telling first."""
    for phrase in phrases:
        if len(phrase) < _SHORTEST_CHARS or len(normalise(phrase).words) > _SHORT_WORDS:
            continue
        yield phrase
        other = phrase.lower() if phrase != phrase.lower() else phrase[:1].upper() + phrase[1:]
        if other != phrase:
            yield other
