"""`expunge doctor`: is there an assistant where a backend is said to have one (`backends[].offsets`, `assistant`)?

A vLLM server is asked for one token under an offset, which it must answer, and for one under an offset that is no number,
which it must refuse: without the plug-in it accepts both. Whether the assistant knows what is to be forgotten is not looked
at. The folder of an embedded model's assistant is looked for, not loaded.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from typing import Any, Final

import orjson

from guardrail.backends import create
from guardrail.backends.protocol import Backend, BackendCall
from guardrail.commands.checks import Finding, Level
from guardrail.decoding.assistant import ASSISTANT_VARIABLE, AssistantError, check_folder
from guardrail.decoding.request import OFFSET_KEY, offset_xargs
from guardrail.errors import GuardrailError
from guardrail.settings import BackendSettings, Settings

ANSWER_TIMEOUT_S: Final = 60.0
_BETA: Final = 0.75
_PLUG_IN: Final = "--logits-processors guardrail.decoding.vllm_processor:ExpungeRestriction"
_MEND: Final = (
    f"start the server with {ASSISTANT_VARIABLE}=FOLDER in its environment and {_PLUG_IN}, or leave offsets out of the "
    "backend's settings"
)


def check_offsets(settings: Settings) -> Iterator[Finding]:
    """One finding for each backend that is said to have an assistant."""
    for backend in settings.backends:
        what = f"assistant of {backend.name}"
        if backend.assistant is not None:
            yield _looked_for(what, str(backend.assistant))
        if backend.offsets:
            yield asyncio.run(_tried(what, backend))


def _looked_for(what: str, folder: str) -> Finding:
    try:
        check_folder(folder, setting="assistant")
    except AssistantError as error:
        mend = "name the folder of the assistant, or leave `assistant` out"
        return Finding(level=Level.FAIL, what=what, detail=str(error), mend=mend)
    return Finding(level=Level.OK, what=what, detail=f"{folder} holds a model")


async def _tried(what: str, settings: BackendSettings) -> Finding:
    try:
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            plain, offset, malformed = await _statuses(settings)
    except TimeoutError:
        detail = f"no answer within {ANSWER_TIMEOUT_S:g} s"
        return Finding(level=Level.WARN, what=what, detail=detail, mend="try again when the server is less busy")
    except GuardrailError as error:
        detail = f"could not be tried: {error}"
        return Finding(level=Level.WARN, what=what, detail=detail, mend="see the backend's own line")
    if plain != 200:
        detail = f"could not be tried: a plain request was answered with status {plain}"
        return Finding(level=Level.WARN, what=what, detail=detail, mend="see the backend's own line")
    if offset != 200:
        detail = f"an offset was answered with status {offset}"
        return Finding(level=Level.FAIL, what=what, detail=detail, mend=_MEND)
    if malformed == 200:
        detail = "an offset that is no number was accepted: nothing reads it"
        return Finding(level=Level.FAIL, what=what, detail=detail, mend=_MEND)
    return Finding(level=Level.OK, what=what, detail="an offset was accepted, and one that is no number refused")


async def _statuses(settings: BackendSettings) -> tuple[int, int, int]:
    """How the server answers without an offset, with one, and with one that is no number."""
    backend = create(settings)
    try:
        await backend.start()
        listed = (str(card.get("id")) for card in await backend.models())
        model = next(iter(settings.models.values()), None) or next(listed, "")
        plain = await _status(backend, model, {})
        offset = await _status(backend, model, {"vllm_xargs": offset_xargs(_BETA)})
        return plain, offset, await _status(backend, model, {"vllm_xargs": {OFFSET_KEY: "none"}})
    finally:
        await backend.aclose()


async def _status(backend: Backend, model: str, extra: Mapping[str, Any]) -> int:
    """The status of a greedy answer of one token."""
    body = {"model": model, "prompt": "The days of the week are", "max_tokens": 1, "temperature": 0, **extra}
    answer = await backend.send(BackendCall(path="/v1/completions", body=orjson.dumps(body), model=model))
    try:
        async for _ in answer.chunks():
            pass  # the connection is only free again when all is read
    finally:
        await answer.aclose()
    return answer.status
