"""The dry run behind `POST /v1/forget/match`: what would be found in a request and decided, without asking a backend.

For operators only: it names entries. Nothing is recorded and nothing is changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from guardrail.decision import Caller, Evidence, Passage
from guardrail.errors import ApiError
from guardrail.flow import Flow
from guardrail.journal import suspects_of
from guardrail.openai_wire import WIRE_FORMATS
from guardrail.openai_wire.protocol import Body
from guardrail.planning import Decided

_BY_FIELD = {"messages": "/v1/chat/completions", "prompt": "/v1/completions", "input": "/v1/responses"}


async def explain_match(flow: Flow, body: Body, caller: Caller) -> Mapping[str, Any]:
    """Matches, scores, evidence, decision and milliseconds for a chat, completions or responses body."""
    path = next((path for field, path in _BY_FIELD.items() if field in body), None)
    if path is None:
        raise ApiError("Send a request body with 'messages', 'prompt' or 'input'.", param="messages")
    tenant, model = body.get("tenant", caller.tenant), body.get("model")
    asker = Caller(tenant=str(tenant), key_id=caller.key_id, is_admin=caller.is_admin)
    passages = WIRE_FORMATS[path]().passages(body)
    decided = await flow.judge(passages, asker, model if isinstance(model, str) else None)
    return _told(decided, passages)


def _told(decided: Decided, passages: list[Passage]) -> dict[str, Any]:
    decision = decided.decision
    found = {
        detection.entry.id: detection
        for group in (decision.detections, decision.supplied, decision.shadow)
        for detection in group
    }
    matches = [
        {
            "id": detection.entry.id,
            "name": detection.entry.entry.name,
            "revision": detection.entry.revision,
            "state": detection.entry.state().value,
            "score": round(detection.score, 4),
            "evidence": [_evidence(item, passages) for item in detection.evidence],
        }
        for detection in sorted(found.values(), key=lambda one: (-one.score, one.entry.id))
    ]
    told = {
        "action": decision.action.value,
        "treatment": decision.treatment,
        "entries": list(decision.entry_ids),
        "supplied": sorted(detection.entry.id for detection in decision.supplied),
        "shadow": sorted(detection.entry.id for detection in decision.shadow),
        "suspects": suspects_of(decision),
        "shape": decided.question.shape.value if decision.detections else None,
        "reason": decision.reason,
    }
    return {"matches": matches, "decision": told, "ms": round(decided.took_ms, 3)}


def _evidence(item: Evidence, passages: list[Passage]) -> dict[str, Any]:
    passage = passages[item.passage]
    return {
        "detector": item.detector,
        "kind": item.kind.value,
        "score": round(item.score, 4),
        "path": ".".join(map(str, passage.path)),
        "role": passage.role.value,
        "start": item.start,
        "end": item.end,
        "supplied": item.supplied,
    }
