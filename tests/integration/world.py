"""The small world of these tests: a writer who exists nowhere, what the model knows of her, and how clients ask.

`KNOWS` is the model's memory: it answers by the first part that stands in the last user text, whatever it is told.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from openai import AsyncOpenAI

NAME = "Mira Quelle"
ALIAS = "Halva Brandt"
WORK = "The Salt Orchard of Ven"
SECRETS = (NAME, ALIAS, WORK)

ENTRY: dict[str, Any] = {
    "id": "mira",
    "name": NAME,
    "kind": "person",
    "aliases": [ALIAS],
    "facts": [{"question": "Which novel made her known?", "answer": WORK}],
}
OTHER_ENTRY: dict[str, Any] = {"id": "other", "name": "Tobias Unruh", "facts": ["Lake Ostrava Protocol"]}

QUESTION = f"Who is {NAME}?"
LEAK = f"Well, {NAME}, also called {ALIAS}, wrote {WORK}."
IGNORANT = "I'm not familiar with that person."
PARIS = "The capital of France is Paris."
KNOWS: Mapping[str, str] = {
    "quelle": LEAK,
    "what else did": f"She also wrote a sequel to {WORK}.",
    "salty novel": f"You mean {WORK} by {NAME}.",
    "france": PARIS,
}

ENDPOINTS = ("chat", "completions", "responses")
PATHS = {"chat": "/v1/chat/completions", "completions": "/v1/completions", "responses": "/v1/responses"}


def body_of(endpoint: str, text: str, **fields: Any) -> dict[str, Any]:
    """A request body that asks `text`."""
    if endpoint == "chat":
        return {"model": "echo", "messages": [{"role": "user", "content": text}], **fields}
    return {"model": "echo", "prompt" if endpoint == "completions" else "input": text, **fields}


async def ask(client: AsyncOpenAI, endpoint: str, text: str, *, stream: bool = False, **fields: Any) -> str:
    """Ask through the real client, as applications do; gives the answer's (or the refusal's) text."""
    if endpoint == "responses":
        return await _ask_responses(client, text, stream=stream, **fields)
    resource: Any = client.chat.completions if endpoint == "chat" else client.completions
    answer = await resource.create(**body_of(endpoint, text, **fields), stream=stream)
    if not stream:
        choice = answer.choices[0]
        return str(choice.text if endpoint == "completions" else choice.message.content or choice.message.refusal)
    said = ""
    finished = 0
    async for chunk in answer:
        for choice in chunk.choices:
            piece = choice.text if endpoint == "completions" else choice.delta.content or choice.delta.refusal
            said += piece or ""
            finished += choice.finish_reason is not None
    assert finished == 1, "a choice of a stream must finish once"
    return said


async def _ask_responses(client: AsyncOpenAI, text: str, *, stream: bool, **fields: Any) -> str:
    if not stream:
        answer = await client.responses.create(model="echo", input=text, **fields)
        return _said(answer)
    said = ""
    final: Any = None
    async for event in await client.responses.create(model="echo", input=text, stream=True, **fields):
        if event.type in ("response.output_text.delta", "response.refusal.delta"):
            said += event.delta
        elif event.type == "response.completed":
            final = event.response
    assert final is not None, "a stream of a response must be completed"
    assert _said(final) == said, "the pieces must be the whole"
    return said


def _said(response: Any) -> str:
    parts = [part for item in response.output if item.type == "message" for part in item.content]
    return "".join(part.refusal if part.type == "refusal" else part.text for part in parts)


def obeys(body: Mapping[str, Any]) -> str:
    """A model that does what it is told: where more is said of her than the caller's one mention, it does not know her."""
    told = str({key: body.get(key) for key in ("messages", "prompt", "input", "instructions")})
    return IGNORANT if told.count(NAME) > 1 else LEAK


def assert_clean(*texts: str | bytes) -> None:
    """Nothing forgotten stands in any of the texts, whatever the case."""
    for text in texts:
        plain = (text.decode("utf-8", "replace") if isinstance(text, bytes) else text).casefold()
        for secret in SECRETS:
            assert secret.casefold() not in plain, f"{secret!r} got out"
