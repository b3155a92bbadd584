"""`POST /v1/embeddings`: passed through; an input that touches an entry is refused, or passed, as the policy says.

Embeddings carry no text back, so there is nothing to treat or to inspect; the policy only decides whether a vector of the
forgotten may be had. Inputs of token ids cannot be read and count as touching while something is to be forgotten.
"""

from __future__ import annotations

from typing import Any

from guardrail.api.endpoint import Endpoint, Received, Services
from guardrail.api.generation import check_scope
from guardrail.backends.protocol import BackendCall
from guardrail.decision import Action, Passage, Role
from guardrail.errors import ApiError, overloaded
from guardrail.forward import answered_headers, relayed, renamed_call
from guardrail.replies import Outgoing


async def handle(received: Received, services: Services) -> Outgoing:
    """One embeddings request."""
    body, raw = await received.json()
    model = body.get("model")
    await check_scope(received, services, model)
    await services.follower.catch_up()
    route = await services.router.route(model)
    must_judge = services.settings.policy.embeddings == "refuse"
    if must_judge and services.follower.covers(tenant=received.caller.tenant, model=route.model):
        await _judge(body.get("input"), received, services, route.model)
    call = BackendCall(
        path=received.path,
        body=renamed_call(raw, route),
        query=received.query,
        headers=received.headers,
        model=route.upstream_model,
        fair_key=received.caller.key_id or received.caller.tenant,
    )
    answer = await route.backend.send(call)
    body_out = await relayed(answer, route, is_stream=False)
    return Outgoing(status=answer.status, headers=answered_headers(answer), body=body_out)


async def _judge(given: Any, received: Received, services: Services, model: str | None) -> None:
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        if not services.follower.acts(tenant=received.caller.tenant, model=model):
            return  # what is only watched is not acted on
        raise ApiError("This deployment takes 'input' as a string or a list of strings.", param="input")
    passages = [Passage(path=("input", index), role=Role.USER, text=text) for index, text in enumerate(texts)]
    decided = await services.flow.judge(passages, received.caller, model)
    services.flow.record(decided, received.caller, received.request_id, endpoint="embeddings", model=model)
    if decided.decision.action is Action.FAIL_CLOSED:
        raise overloaded("The service cannot take this request at the moment.", retry_after_s=2.0)
    if decided.decision.action is not Action.PASS:
        raise ApiError(
            "This input cannot be embedded.", param="input", code="content_policy_violation", should_retry=False
        )


ENDPOINT = Endpoint("embeddings", ["POST"], handle)
