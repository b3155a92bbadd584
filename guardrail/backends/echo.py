"""A deterministic stand-in for a model, for tests and dry runs: it answers with the last user text, or from a script.

It speaks chat completions, completions, responses and embeddings in exact OpenAI shape, streamed or not, and knows no
language. Every id follows from the request's bytes, so equal requests get equal answers. Extra body fields:
`echo_chunks` (characters a chunk, default 4; a chunk counts as a token), `echo_delay_s` (pause before each chunk, or
before a whole answer), `echo_reasoning` (text put in the reasoning field first). A user text of lines such as
`call: get_weather {"city": "Paris"}` is answered with those tool calls.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson

from guardrail.backends.answers import InFlight, StreamAnswer, WholeAnswer, error_answer
from guardrail.backends.protocol import BackendAnswer, BackendCall, Capability, Health
from guardrail.backends.responses_shape import ResponsesShape
from guardrail.backends.shapes import ChatShape, CompletionShape, Head, Piece, Shape, TokenLogprob, ToolPiece, Usage
from guardrail.errors import ApiError, not_found, unknown_model
from guardrail.settings import BackendSettings

Script = Callable[[Mapping[str, Any]], str | None] | Mapping[str, str]
"""A callable from the decoded body to the answer (None: echo), or a mapping from a part of the last user text (case
does not matter; the first that fits counts) to the answer."""

CREATED = 1_700_000_000
EMBEDDING_SIZE = 8
_SHAPES: dict[str, tuple[str, type[ChatShape] | type[CompletionShape] | type[ResponsesShape]]] = {
    "/v1/chat/completions": ("chatcmpl-", ChatShape),
    "/v1/completions": ("cmpl-", CompletionShape),
    "/v1/responses": ("resp_", ResponsesShape),
}


class Echo:
    """The backend. Served models: the values of `settings.models`, or `echo`."""

    capabilities = frozenset({Capability.CHAT, Capability.COMPLETIONS, Capability.RESPONSES, Capability.EMBEDDINGS})

    def __init__(
        self, settings: BackendSettings, *, cache_dir: Path | None = None, script: Script | None = None
    ) -> None:
        self.name = settings.name
        self._models = sorted(set(settings.models.values())) or ["echo"]
        self._script = script
        self._flight = InFlight(settings.name, settings.max_in_flight)

    async def start(self) -> None:
        """Nothing to open."""

    async def models(self) -> list[dict[str, Any]]:
        """One card per served model."""
        return [{"id": m, "object": "model", "created": CREATED, "owned_by": "expunge"} for m in self._models]

    async def health(self) -> Health:
        """Always well."""
        return Health(ok=True, facts={"in_flight": self._flight.count, "models": list(self._models)})

    async def aclose(self) -> None:
        """Nothing to free."""

    async def send(self, call: BackendCall) -> BackendAnswer:
        """Answer a call; 4xx answers for bad input, 503 raised when `max_in_flight` calls are under way."""
        self._flight.enter()
        streaming = False
        try:
            body = self._decode(call)
            prompts = _prompts(call.path, body)
            delay_s = float(body.get("echo_delay_s") or 0)
            if call.path == "/v1/embeddings":
                await asyncio.sleep(delay_s)
                return WholeAnswer(_embeddings(body, prompts))
            shape, pieces, usage = self._compute(call, body, prompts)
            if streaming := bool(body.get("stream")):
                return StreamAnswer(_stream(shape, pieces, usage, delay_s), on_close=self._flight.leave)
            await asyncio.sleep(delay_s)
            return WholeAnswer(shape.whole(pieces, usage))
        except ApiError as error:
            return error_answer(error)
        finally:
            if not streaming:
                self._flight.leave()

    async def count_prompt(self, call: BackendCall) -> int | None:
        """As its answers count."""
        try:
            return _prompt_tokens(self._decode(call)) if call.path in _SHAPES else None
        except ApiError:
            return None

    def _decode(self, call: BackendCall) -> dict[str, Any]:
        if call.path not in _SHAPES and call.path != "/v1/embeddings":
            raise not_found(f"The route '{call.path}'")
        try:
            body = orjson.loads(call.body)
        except orjson.JSONDecodeError:
            raise ApiError("The body is not valid JSON.") from None
        if not isinstance(body, dict):
            raise ApiError("The body must be a JSON object.")
        model = body.get("model", call.model)
        if model not in self._models:
            raise unknown_model(str(model), self._models)
        return body

    def _compute(self, call: BackendCall, body: dict[str, Any], prompts: list[str]) -> tuple[Shape, list[Piece], Usage]:
        prefix, shape = _SHAPES[call.path]
        repeats = _count(body, "n", 1)
        head = Head(
            id=prefix + hashlib.sha256(call.body).hexdigest()[:24],
            model=str(body.get("model", call.model)),
            created=CREATED,
            choices=len(prompts) * repeats,
            include_usage=_wants_usage(body),
            body=body,
        )
        per_choice = [list(self._say(body, prompts[index // repeats], index)) for index in range(head.choices)]
        longest = max(map(len, per_choice))
        pieces = [said[step] for step in range(longest) for said in per_choice if step < len(said)]
        completion = sum(1 for piece in pieces if piece.text or piece.reasoning or piece.tool)
        return shape(head), pieces, Usage(prompt=_prompt_tokens(body), completion=completion)

    def _answer(self, body: dict[str, Any], prompt: str) -> str:
        if callable(self._script):
            said = self._script(body)
            return prompt if said is None else said
        folded = prompt.casefold()
        for part, answer in (self._script or {}).items():
            if part.casefold() in folded:
                return answer
        return prompt

    def _say(self, body: dict[str, Any], prompt: str, index: int) -> Iterator[Piece]:
        size = _count(body, "echo_chunks", 4)
        reasoning = str(body.get("echo_reasoning") or "")
        for start in range(0, len(reasoning), size):
            yield Piece(index=index, reasoning=reasoning[start : start + size])
        if prompt.startswith("call:"):
            yield from _tool_calls(body, prompt, index, size)
            yield Piece(index=index, finish="tool_calls")
            return
        said = self._answer(body, prompt)
        limits = (_count(body, key, 0) for key in ("max_completion_tokens", "max_tokens", "max_output_tokens"))
        limit = next((value for value in limits if value), None)
        parts = [said[start : start + size] for start in range(0, len(said), size)]
        for part in parts[:limit]:
            yield Piece(index=index, text=part, logprobs=_logprobs(body, part))
        yield Piece(index=index, finish="length" if limit and len(parts) > limit else "stop")


async def _stream(shape: Shape, pieces: list[Piece], usage: Usage, delay_s: float) -> AsyncIterator[bytes]:
    for event in shape.opening():
        yield event
    for piece in pieces:
        await asyncio.sleep(delay_s)
        for event in shape.event(piece):
            yield event
    for event in shape.closing(usage):
        yield event


def text_of(content: Any) -> str:
    """The text of a message's content: a string, or the joined text parts of a list."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return "".join(str(part.get("text") or "") for part in parts if isinstance(part, dict))


def _count(body: dict[str, Any], key: str, default: int) -> int:
    """A whole number from 1 to 100,000, or the default where the field is absent."""
    value = body.get(key)
    if value is None:
        return default
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= 100_000:
        raise ApiError(f"'{key}' must be a whole number from 1 to 100000.", param=key)
    return value


def _prompts(path: str, body: dict[str, Any]) -> list[str]:
    if path == "/v1/chat/completions":
        return [_last_user(body.get("messages"), "messages")]
    key = "prompt" if path == "/v1/completions" else "input"
    value = body.get(key)
    if isinstance(value, str):
        return [value]
    if path == "/v1/responses":
        return [_last_user(value, "input")]
    if not isinstance(value, list) or not value or not all(isinstance(item, str) for item in value):
        raise ApiError(f"'{key}' must be a string or a list of strings.", param=key)
    return value


def _last_user(messages: Any, param: str) -> str:
    if not isinstance(messages, list) or not all(isinstance(message, dict) for message in messages):
        raise ApiError(f"'{param}' must be a list of messages.", param=param)
    users = [message for message in messages if message.get("role") == "user"]
    return text_of(users[-1].get("content")) if users else ""


def _prompt_tokens(body: dict[str, Any]) -> int:
    texts = [text_of(body.get(key)) for key in ("prompt", "input", "instructions")]
    for messages in (body.get("messages"), body.get("input")):
        if isinstance(messages, list):
            texts += [text_of(message.get("content")) for message in messages if isinstance(message, dict)]
    return -(-sum(map(len, texts)) // 4)


def _logprobs(body: dict[str, Any], part: str) -> tuple[TokenLogprob, ...] | None:
    asked = body.get("logprobs")
    if not asked and "message.output_text.logprobs" not in (body.get("include") or ()):
        return None
    width = asked if isinstance(asked, int) and not isinstance(asked, bool) else int(body.get("top_logprobs") or 0)
    raw = part.encode()
    top = [(part, raw, -0.125)] + [(f"{part}{rank}", f"{part}{rank}".encode(), -2.0 - rank) for rank in range(1, width)]
    return (TokenLogprob(token=part, raw=raw, logprob=-0.125, top=tuple(top[:width])),)


def _tool_calls(body: dict[str, Any], prompt: str, index: int, size: int) -> Iterator[Piece]:
    calls = [line.removeprefix("call:").strip() for line in prompt.splitlines() if line.startswith("call:")]
    tools = body.get("tools") or [{}]
    first = tools[0].get("function", tools[0]).get("name", "tool")
    for place, line in enumerate(calls):
        name, _, arguments = line.partition(" ")
        arguments = arguments.strip() or "{}"
        call_id = "call_" + hashlib.sha256(f"{place}{index}{line}".encode()).hexdigest()[:24]
        yield Piece(index=index, tool=ToolPiece(call=place, id=call_id, name=name or first))
        for start in range(0, len(arguments), size):
            part = arguments[start : start + size]
            yield Piece(index=index, tool=ToolPiece(call=place, id=call_id, arguments=part))


def _embeddings(body: dict[str, Any], prompts: list[str]) -> bytes:
    data = []
    for index, prompt in enumerate(prompts):
        digest = hashlib.sha256(prompt.encode()).digest()
        vector = [(byte - 127.5) / 127.5 for byte in digest[:EMBEDDING_SIZE]]
        data.append({"object": "embedding", "index": index, "embedding": vector})
    usage = {"prompt_tokens": _prompt_tokens(body), "total_tokens": _prompt_tokens(body)}
    return orjson.dumps({"object": "list", "data": data, "model": body.get("model"), "usage": usage})


def _wants_usage(body: Mapping[str, Any]) -> bool:
    options = body.get("stream_options")
    return isinstance(options, Mapping) and bool(options.get("include_usage"))
