"""The dry run behind `POST /v1/forget/match`: what would be found in a request, decided and done, and why.

`decision` is the policy's word, with what each entry asks for by itself (the strictest is used for all). `plan` is what the
ladder makes of it on the backend of the model that is asked for: what is passed over and why, what is used, and what would
follow, rung by rung, if an answer leaked. It does not know what the model would say: nothing is generated. For operators
only, as it names entries; nothing is recorded and nothing is changed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from guardrail.backends.router import Route
from guardrail.decision import NO_PASSAGE, Action, Caller, Capability, Detection, Evidence, OnLeak, Passage
from guardrail.errors import ApiError
from guardrail.flow import Flow
from guardrail.inspection import is_single
from guardrail.journal import suspects_of
from guardrail.openai_wire import WIRE_FORMATS, images
from guardrail.openai_wire.picture_inputs import pictures_in
from guardrail.openai_wire.protocol import Body
from guardrail.picture_drawing import MOST_ROUNDS, Standing
from guardrail.picture_flow import PictureFlow
from guardrail.picture_sending import PictureAsk
from guardrail.planning import Decided, Rung
from guardrail.policy import parts_of, treatment_of
from guardrail.settings import PolicySettings
from retrieval.entry import SuppliedContext

_PICTURE_FIELDS = frozenset(
    {"size", "quality", "negative_prompt", "num_inference_steps", "guidance_scale", "cfg_scale", "output_format"}
)
_BY_FIELD = {"messages": "/v1/chat/completions", "prompt": "/v1/completions", "input": "/v1/responses"}


async def explain_match(
    flow: Flow, body: Body, caller: Caller, picture_flow: PictureFlow | None = None
) -> Mapping[str, Any]:
    """Matches, scores, evidence, decision, plan and milliseconds for a chat, completions or responses body, or a prompt for
    pictures."""
    if picture_flow is not None and await _asks_for_pictures(picture_flow, body):
        return await _explain_picture(picture_flow, body, caller)
    body = _as_chat(body, picture_flow)
    path = next((path for field, path in _BY_FIELD.items() if field in body), None)
    if path is None:
        raise ApiError("Send a request body with 'messages', 'prompt' or 'input', or an 'image'.", param="messages")
    tenant, model = body.get("tenant", caller.tenant), body.get("model")
    asker = Caller(tenant=str(tenant), key_id=caller.key_id, is_admin=caller.is_admin)
    wire = WIRE_FORMATS[path]()
    passages = wire.passages(body)
    wire.refuse_unscannable(body)
    decided = await flow.judge(passages, asker, model if isinstance(model, str) else None, pictures=pictures_in(body))
    told = _told(decided, passages, flow.policy)
    try:
        foreseen = await flow.foresee(decided, model if isinstance(model, str) else None)
    except ApiError as error:
        return {**told, "plan": None, "plan_error": error.message}
    return {**told, "plan": {"backend": foreseen.backend, **_planned(decided, foreseen.rungs, single=is_single(body))}}


def _as_chat(body: Body, picture_flow: PictureFlow | None) -> Body:
    """A picture alone (`image`: a data URL) as a chat that hands it in. Raises `ApiError` (400)."""
    url = body.get("image")
    if url is None or not _BY_FIELD.keys().isdisjoint(body):
        return body
    if not isinstance(url, str) or not url.lower().startswith("data:"):
        raise ApiError("Field 'image' must be a data URL such as data:image/png;base64,...", param="image")
    if picture_flow is None or not picture_flow.looks:
        raise ApiError(
            "This deployment looks at no pictures; set retrieval.picture_embedder or retrieval.picture_classifiers.",
            param="image",
        )
    rest = {key: value for key, value in body.items() if key != "image"}
    return {**rest, "messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}]}


async def _asks_for_pictures(picture_flow: PictureFlow, body: Body) -> bool:
    """True for a prompt to a model that draws; where a backend does both, something else must say what is meant."""
    if not isinstance(body.get("prompt"), str) or "messages" in body:
        return False
    try:
        route = await picture_flow.route(body.get("model"))
    except ApiError:
        return False
    return Capability.COMPLETIONS not in route.backend.capabilities or not _PICTURE_FIELDS.isdisjoint(body)


async def _explain_picture(picture_flow: PictureFlow, body: Body, caller: Caller) -> Mapping[str, Any]:
    """The same for a prompt for pictures; what would follow if a picture showed an entry."""
    route = await picture_flow.route(body.get("model"))
    asker = Caller(tenant=str(body.get("tenant", caller.tenant)), key_id=caller.key_id, is_admin=caller.is_admin)
    ask = PictureAsk(asked=images.parse(body, may_be_other=True), body=body, raw=b"", caller=asker, request_id="")
    decided, standing = await picture_flow.decide(ask, route)
    told = _told(decided, list(decided.passages), None)
    plan = standing.plan
    if plan is None:
        return {**told, "plan": {"backend": route.backend.name, "treatment": None, "after_leak": []}}
    planned = {
        "backend": route.backend.name,
        "treatment": plan.treatment,
        "asks_backend": plan.refusal is None,
        "prompt_changes": plan.prompt is not None,
        "leads_away": bool(plan.negative_prompt),
        "steers": plan.steering is not None,
        "after_leak": _rungs_below(picture_flow, ask, route, standing),
    }
    return {**told, "plan": planned}


def _rungs_below(picture_flow: PictureFlow, ask: PictureAsk, route: Route, standing: Standing) -> list[str]:
    rungs: list[str] = []
    while picture_flow.looks and standing.plan is not None and standing.plan.refusal is None:
        if standing.plan.is_blank or len(rungs) > MOST_ROUNDS:
            break
        standing = picture_flow.stricter(ask, route, standing, ())
        if standing.plan is not None:
            rungs.append(standing.plan.treatment)
    return rungs


def _planned(decided: Decided, rungs: Sequence[Rung], *, single: bool) -> dict[str, Any]:
    """What is used and why, and what would follow. Where nothing is treated, an answer may still tell of an entry: then
    that entry's own treatment follows."""
    usable = [rung for rung in rungs if rung.plan is not None]
    if not usable or (plan := usable[0].plan) is None:
        asks = decided.decision.action is not Action.FAIL_CLOSED
        return {
            "treatment": None,
            "asks_backend": asks,
            "on_leak": None,
            "passed_over": [],
            "left_out": [],
            "after_leak": [],
        }
    begins_anew = single and plan.answer is None and plan.repair.on_leak is OnLeak.REWRITE
    return {
        "treatment": plan.treatment,
        "asks_backend": plan.answer is None,
        "on_leak": plan.repair.on_leak.value,
        "passed_over": [_missing(rung.treatment, rung) for rung in rungs[: rungs.index(usable[0])]],
        "left_out": [_missing(part, usable[0]) for part in _without(usable[0].treatment, plan.treatment)],
        "after_leak": [rung.plan.treatment for rung in usable[1:] if rung.plan is not None] if begins_anew else [],
    }


def _without(whole: str, used: str) -> list[str]:
    return [part for part in parts_of(whole) if part not in parts_of(used)]


def _missing(treatment: str, rung: Rung) -> dict[str, Any]:
    helped = [one.value for one in rung.helped_by]
    return {"treatment": treatment, "why": "backend" if helped else "request", "needs_any_of": helped}


def _told(decided: Decided, passages: list[Passage], policy: PolicySettings | None) -> dict[str, Any]:
    """`policy`: of words; without it no entry's own treatment is told."""
    decision = decided.decision
    found = {
        detection.entry.id: detection
        for group in (decision.detections, decision.supplied, decision.shadow, decision.resting)
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
        "entry_treatments": [
            _own(one, policy) for one in sorted(decision.detections, key=lambda one: one.entry.id) if policy is not None
        ],
        "supplied": sorted(detection.entry.id for detection in decision.supplied),
        "shadow": sorted(detection.entry.id for detection in decision.shadow),
        "resting": sorted(detection.entry.id for detection in decision.resting),
        "suspects": suspects_of(decision),
        "shape": decided.question.shape.value if decision.detections else None,
        "reason": decision.reason,
    }
    return {"matches": matches, "decision": told, "ms": round(decided.took_ms, 3)}


def _own(detection: Detection, policy: PolicySettings) -> dict[str, str]:
    """What an entry asks for by itself, and where that stands."""
    entry, supplied = detection.entry.entry, any(item.supplied for item in detection.evidence)
    if supplied and entry.supplied_context is SuppliedContext.REFUSE:
        return {"id": detection.entry.id, "treatment": "refusal", "from": "supplied_context"}
    if not detection.is_asked:
        return {"id": detection.entry.id, "treatment": "redact", "from": "supplied_context"}
    treatment = treatment_of(entry, policy)
    method = entry.treatment.method if entry.treatment is not None else None
    if method is not None and (method != "substitute" or entry.substitute):
        source = "entry"
    elif method is None and entry.substitute:
        source = "substitute"
    else:
        by_kind = policy.treatments_by_kind.get(entry.kind, "substitute") if method is None else "substitute"
        source = "policy" if by_kind == "substitute" else "kind"
    return {"id": detection.entry.id, "treatment": treatment, "from": source}


def _evidence(item: Evidence, passages: list[Passage]) -> dict[str, Any]:
    told = {"detector": item.detector, "kind": item.kind.value, "score": round(item.score, 4)}
    if item.passage == NO_PASSAGE:
        return {**told, "path": ".".join(map(str, item.part)), "supplied": item.supplied}
    passage = passages[item.passage]
    return {
        **told,
        "path": ".".join(map(str, passage.path)),
        "role": passage.role.value,
        "start": item.start,
        "end": item.end,
        "supplied": item.supplied,
    }
