"""Words of our own look like the backend's on the wire: fields and their order, ids, pieces, counts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson
import pytest

from guardrail.decision import OnLeak
from guardrail.streaming.delivery import Attempt, deliver_stream, deliver_whole
from guardrail.streaming.guard_plan import GuardPlan
from tests.fakes.forgotten import plan_of
from tests.fakes.wire_streams import ScriptedAnswer, frame, receive

NATURAL = "I'm not familiar with that person."
ASKED = {"stream_options": {"include_usage": True}}
SHELLS: dict[str, dict[str, Any]] = {
    "chat": {"id": "chatcmpl-ab12", "object": "chat.completion.chunk", "created": 5, "model": "m"},
    "completions": {"id": "cmpl-ab12", "object": "text_completion", "created": 5, "model": "m"},
}
TAIL = {"usage": None, "service_tier": "default", "prompt_ids": [1]}


def event(endpoint: str, text: str, finish: str | None = None) -> dict[str, Any]:
    """An event as vLLM writes it: further fields of the choice, and behind the choices."""
    said: dict[str, Any] = {"text": text}
    if endpoint == "chat":
        said = {"delta": {"content": text} if finish is None else {}}
    one = {"index": 0, **said, "logprobs": None, "finish_reason": finish, "token_ids": None}
    return {**SHELLS[endpoint], "choices": [one], **TAIL}


def streamed(endpoint: str, *texts: str) -> list[bytes]:
    usage = {"prompt_tokens": 90, "total_tokens": 95, "completion_tokens": 5}
    events = [*(event(endpoint, text) for text in texts), event(endpoint, "", "stop")]
    return [*map(frame, events), frame({**SHELLS[endpoint], "choices": [], "usage": usage}), b"data: [DONE]\n\n"]


async def said(plan: GuardPlan, chunks: Sequence[bytes], *, words: str = "") -> list[dict[str, Any]]:
    async def retry() -> Attempt:
        return Attempt(plan=plan_of(endpoint_of(plan), body=ASKED), words=words)

    attempt = Attempt(plan=plan, answer=ScriptedAnswer(chunks))
    parts = [part async for part in deliver_stream(attempt, retry, max_bytes=1 << 20, ended=lambda _: None)]
    bodies = receive(b"".join(parts)).bodies
    assert b"Stephen" not in b"".join(parts)
    return [dict(body) for body in bodies]


def endpoint_of(plan: GuardPlan) -> str:
    return "chat" if "messages" in plan.original else "completions"


@pytest.mark.parametrize("endpoint", ["chat", "completions"])
@pytest.mark.parametrize("is_begun_anew", [True, False])
async def test_a_replaced_stream_has_the_fields_of_the_backends_own_word_by_word(
    endpoint: str, is_begun_anew: bool
) -> None:
    plan = plan_of(
        endpoint, on_leak=OnLeak.REWRITE, may_restart=is_begun_anew, body=ASKED, wants_usage=True, prompt_tokens=7
    )
    natural = NATURAL if is_begun_anew else plan.repair.natural_answer
    chunks = streamed(endpoint, "Stephen", " King", " wrote.")
    *bodies, closing = await said(plan, chunks, words=natural)
    for body in bodies:
        assert list(body) == list(event(endpoint, "x"))
        assert list(body["choices"][0]) == list(event(endpoint, "x")["choices"][0])
        assert {key: body[key] for key in SHELLS[endpoint]} == SHELLS[endpoint]
    assert closing["choices"] == []
    assert closing["usage"]["prompt_tokens"] == 7
    texts = [one["choices"][0].get("text") or one["choices"][0].get("delta", {}).get("content") for one in bodies]
    pieces = [text for text in texts if text]
    assert "".join(pieces) == natural
    assert len(pieces) == len(natural.split())


async def test_a_whole_answer_that_was_begun_anew_has_the_fields_of_the_backends_own() -> None:
    message: dict[str, Any] = {
        "role": "assistant",
        "content": "Stephen King.",
        "refusal": None,
        "reasoning": "King",
        "tool_calls": [],
    }
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "length", "stop_reason": None}
    usage = {"prompt_tokens": 7, "total_tokens": 12, "completion_tokens": 5, "prompt_tokens_details": None}
    shell = {"id": "chatcmpl-ab12", "object": "chat.completion", "created": 5, "model": "m"}
    answer = {**shell, "choices": [choice], "service_tier": None, "usage": usage, "prompt_logprobs": None}

    async def retry() -> Attempt:
        return Attempt(plan=plan_of(), words=NATURAL)

    plan = plan_of(on_leak=OnLeak.REWRITE, may_restart=True)
    raw, _ = await deliver_whole(
        Attempt(plan=plan, answer=ScriptedAnswer([orjson.dumps(answer)])), retry, max_bytes=1 << 20
    )
    told = orjson.loads(raw)
    assert list(told) == list(answer)
    assert list(told["choices"][0]) == list(choice)
    said = told["choices"][0]["message"]
    assert said == {**dict.fromkeys(message), "role": "assistant", "content": NATURAL, "tool_calls": []}
    assert {key: told[key] for key in shell} == shell
    assert told["usage"]["prompt_tokens"] == 7
