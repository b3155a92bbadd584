"""`expunge doctor`: does a vLLM server that is said to restrict (`backends[].restricts`) do so?

It asks the server itself, twice, for a few tokens at temperature 0: once as it is, and once with a word of the first
answer forbidden. Not looked at: log-probabilities, which the proxy inspects as any other text of an answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from typing import Any, Final

import orjson

from guardrail.backends import create
from guardrail.backends.protocol import Backend, BackendCall
from guardrail.commands.checks import Finding, Level
from guardrail.decoding.request import RestrictionRequest
from guardrail.errors import BackendError, GuardrailError
from guardrail.settings import BackendSettings, Settings
from retrieval.text.views import normalise

ANSWER_TIMEOUT_S: Final = 60.0
_PROMPT = "The days of the week are Monday, Tuesday, Wednesday,"
_TOKENS = 8
_PLUG_IN = "--logits-processors guardrail.decoding.vllm_processor:ExpungeRestriction"


def check_restrictions(settings: Settings) -> Iterator[Finding]:
    """One finding for each backend that is said to restrict."""
    for backend in settings.backends:
        if backend.restricts:
            yield asyncio.run(_tried(f"restrictions of {backend.name}", backend))


async def _tried(what: str, backend: BackendSettings) -> Finding:
    mend = f"start the server with {_PLUG_IN}, or leave restricts out of the backend's settings"
    try:
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            heeded = await _heeds(backend)
    except TimeoutError:
        detail = f"no answer within {ANSWER_TIMEOUT_S:g} s"
        return Finding(level=Level.WARN, what=what, detail=detail, mend="try again when the server is less busy")
    except GuardrailError as error:
        return Finding(
            level=Level.WARN, what=what, detail=f"could not be tried: {error}", mend="see the backend's own line"
        )
    if heeded is None:
        detail = "could not be tried: the model wrote nothing that could be forbidden"
        return Finding(level=Level.WARN, what=what, detail=detail, mend="ask it yourself with vllm_xargs")
    if not heeded:
        return Finding(level=Level.FAIL, what=what, detail="a forbidden word was written all the same", mend=mend)
    return Finding(level=Level.OK, what=what, detail="a forbidden word was not written")


async def _heeds(settings: BackendSettings) -> bool | None:
    """Whether the server keeps a word from being written that it has just written; None if it writes none."""
    backend = create(settings)
    try:
        await backend.start()
        listed = (str(card.get("id")) for card in await backend.models())
        model = next(iter(settings.models.values()), None) or next(listed, "")
        words = [word for word in await _words(backend, model, {}) if len(word) > 1]
        if not words:
            return None
        banned = RestrictionRequest(phrases=(words[0],)).to_xargs()
        return words[0] not in await _words(backend, model, {"vllm_xargs": banned})
    finally:
        await backend.aclose()


async def _words(backend: Backend, model: str, extra: Mapping[str, Any]) -> tuple[str, ...]:
    """The words of a short greedy answer."""
    body = {"model": model, "prompt": _PROMPT, "max_tokens": _TOKENS, "temperature": 0, **extra}
    answer = await backend.send(BackendCall(path="/v1/completions", body=orjson.dumps(body), model=model))
    raw = b"".join([chunk async for chunk in answer.chunks()])
    try:
        return normalise(orjson.loads(raw)["choices"][0]["text"]).words
    except (orjson.JSONDecodeError, KeyError, IndexError, TypeError):
        raise BackendError(f"the server answered with status {answer.status} and no text", status=502) from None
