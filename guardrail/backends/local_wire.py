"""Request bodies of the embedded model: what is asked, checked, as prompts of tokens and sampling values.

It reads chat completions, completions and responses, and answers what the model cannot do (tools, JSON formats,
pictures, stored responses) with a 400 that names the field. It does not generate; tokens are counted in the model's own.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson

from guardrail.backends.local_embeds import EmbeddedParts
from guardrail.backends.local_model import LoadedModel
from guardrail.backends.local_sequence import Sampling
from guardrail.backends.responses_shape import ResponsesShape
from guardrail.backends.shapes import ChatShape, CompletionShape, Head, Shape
from guardrail.decoding.request import RestrictionRequest, read_offset, read_xargs
from guardrail.decoding.tokenizer_pieces import UnreadableTokenizerError
from guardrail.errors import ApiError, not_found, unknown_model

if TYPE_CHECKING:
    import torch

DEFAULT_MAX_TOKENS = 1024
"""Longest chat answer where the caller sets no limit (a completion's is 16, as OpenAI's)."""
MAX_CHOICES = 16
MAX_LOGPROBS = 20
MAX_STOPS = 16

_ROUTES: dict[str, tuple[str, type[ChatShape] | type[CompletionShape] | type[ResponsesShape]]] = {
    "/v1/chat/completions": ("chatcmpl-", ChatShape),
    "/v1/completions": ("cmpl-", CompletionShape),
    "/v1/responses": ("resp_", ResponsesShape),
}
_UNSUPPORTED = (
    "functions",
    "audio",
    "structured_outputs",
    "guided_json",
    "guided_regex",
    "guided_choice",
    "guided_grammar",
    "prompt_embeds",
    "suffix",
    "echo",
    "prompt_logprobs",
    "use_beam_search",
    "previous_response_id",
    "conversation",
    "background",
    "prompt",
)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A checked request: `prompts` as tokens (each answered `repeats` times), and the shape of its answer.

    `embeds`: places of the prompt where an embedding is read instead of the token.
    """

    prompts: tuple[list[int], ...]
    repeats: int
    sampling: Sampling
    stream: bool
    shape: Shape
    embeds: Mapping[int, torch.Tensor] = field(default_factory=dict)


def read(path: str, raw: bytes, *, loaded: LoadedModel, models: list[str], has_embeds: bool = False) -> Asked:
    """Check and prepare a request; raises `ApiError` (400, 404) naming the field and the mend.

    With `has_embeds` messages may hold prompt embeddings.
    """
    if path not in _ROUTES:
        raise not_found(f"The route '{path}'")
    body = _decode(raw)
    model = body.get("model", models[0])
    if model not in models:
        raise unknown_model(str(model), models)
    _refuse_unsupported(path, body)
    chat = path != "/v1/completions"
    parts = EmbeddedParts(loaded) if has_embeds else None
    body = parts.take_out(body) if parts is not None else body
    prompts = [_chat_prompt(path, body, loaded, parts)] if chat else _completion_prompts(body.get("prompt"), loaded)
    longest = max(map(len, prompts))
    if longest >= loaded.context_tokens:
        raise ApiError(
            f"The prompt has {longest} tokens; the model's context is {loaded.context_tokens}. Shorten it.",
            param="messages" if chat else "prompt",
            code="context_length_exceeded",
        )
    repeats = 1 if path == "/v1/responses" else _whole(body, "n", 1, 1, MAX_CHOICES)
    prefix, shape = _ROUTES[path]
    options = body.get("stream_options")
    head = Head(
        id=prefix + uuid.uuid4().hex,
        model=str(model),
        created=int(time.time()),
        choices=len(prompts) * repeats,
        include_usage=isinstance(options, dict) and bool(options.get("include_usage")),
        body=body,
    )
    sampling = _sampling(path, body, loaded, room=loaded.context_tokens - longest)
    return Asked(
        prompts=tuple(prompts),
        repeats=repeats,
        sampling=sampling,
        stream=bool(body.get("stream")),
        shape=shape(head),
        embeds=parts.rows if parts is not None else {},
    )


def _decode(raw: bytes) -> dict[str, Any]:
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise ApiError("The body is not valid JSON.") from None
    if not isinstance(body, dict):
        raise ApiError("The body must be a JSON object.")
    return body


def _refuse_unsupported(path: str, body: Mapping[str, Any]) -> None:
    for key in _UNSUPPORTED:
        if body.get(key) and not (key == "prompt" and path == "/v1/completions"):
            raise _cannot(key)
    if body.get("tools") and body.get("tool_choice") != "none":
        raise _cannot("tools")
    text = body.get("text")
    wanted_text = text.get("format") if isinstance(text, dict) else None
    formats = {"response_format": body.get("response_format"), "text": wanted_text}
    for key, wanted in formats.items():
        if isinstance(wanted, dict) and wanted.get("type", "text") != "text":
            raise _cannot(key)
    if body.get("modalities") not in (None, ["text"]):
        raise _cannot("modalities")
    best_of = body.get("best_of")
    if best_of is not None and best_of != body.get("n", 1):
        raise _cannot("best_of")


def _cannot(key: str) -> ApiError:
    return ApiError(f"The embedded model does not support '{key}'; leave it out.", param=key, code="unsupported_value")


def _chat_prompt(path: str, body: Mapping[str, Any], loaded: LoadedModel, parts: EmbeddedParts | None) -> list[int]:
    messages = _response_messages(body) if path == "/v1/responses" else _messages(body.get("messages"), "messages")
    proceed = bool(body.get("continue_final_message"))
    tokenizer = loaded.tokenizer
    if not getattr(tokenizer, "chat_template", None):
        raise ApiError("This model has no chat template; use /v1/completions.", code="unsupported_value")
    from jinja2 import TemplateError

    try:
        text: str = tokenizer.apply_chat_template(
            messages,
            tokenize=False,
            add_generation_prompt=bool(body.get("add_generation_prompt", not proceed)),
            continue_final_message=proceed,
        )
    except (TemplateError, ValueError, TypeError):
        raise ApiError("The model's chat template does not accept these messages.", param="messages") from None
    return _encode(loaded, text, special=False) if parts is None else parts.tokens(text)


def _encode(loaded: LoadedModel, text: str, *, special: bool) -> list[int]:
    ids: list[int] = loaded.tokenizer.encode(text, add_special_tokens=special)
    if not ids:
        raise ApiError("The prompt is empty.", param="prompt")
    return ids


def _messages(value: Any, param: str) -> list[dict[str, str]]:
    if not isinstance(value, list) or not value:
        raise ApiError(f"'{param}' must be a list of at least one message.", param=param)
    messages = []
    for place, message in enumerate(value):
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise ApiError("Each message needs a role and content.", param=f"{param}.{place}")
        role = "system" if message["role"] == "developer" else message["role"]
        messages.append({"role": role, "content": _text(message.get("content"), f"{param}.{place}.content")})
    return messages


def _text(content: Any, param: str) -> str:
    if content is None or isinstance(content, str):
        return content or ""
    if not isinstance(content, list):
        raise ApiError("Content must be text or a list of parts.", param=param)
    parts = []
    for part in content:
        text = part.get("text", part.get("refusal")) if isinstance(part, dict) else None
        if not isinstance(text, str):
            raise ApiError("The embedded model reads text parts only.", param=param, code="unsupported_value")
        parts.append(text)
    return "".join(parts)


def _response_messages(body: Mapping[str, Any]) -> list[dict[str, str]]:
    given = body.get("input")
    if isinstance(given, str):
        given = [{"role": "user", "content": given}]
    if isinstance(given, list) and any(isinstance(i, dict) and i.get("type", "message") != "message" for i in given):
        raise ApiError("The embedded model reads messages only.", param="input", code="unsupported_value")
    messages = _messages(given, "input")
    instructions = body.get("instructions")
    return [{"role": "system", "content": _text(instructions, "instructions")}, *messages] if instructions else messages


def _completion_prompts(value: Any, loaded: LoadedModel) -> list[list[int]]:
    """A string, a list of strings, a list of tokens, or a list of lists of tokens."""
    if isinstance(value, str):
        return [_encode(loaded, value, special=True)]
    items = [value] if isinstance(value, list) and value and isinstance(value[0], int) else value
    if not isinstance(items, list) or not items or len(items) > MAX_CHOICES:
        raise ApiError(f"'prompt' must be text or a list of 1 to {MAX_CHOICES} prompts.", param="prompt")
    prompts = []
    vocabulary = loaded.model.get_input_embeddings().num_embeddings
    for place, item in enumerate(items):
        if isinstance(item, str):
            prompts.append(_encode(loaded, item, special=True))
        elif isinstance(item, list) and item and all(type(t) is int and 0 <= t < vocabulary for t in item):
            prompts.append(item)
        else:
            raise ApiError("Each prompt must be text or a list of token ids.", param=f"prompt.{place}")
    return prompts


def _sampling(path: str, body: Mapping[str, Any], loaded: LoadedModel, *, room: int) -> Sampling:
    """Sampling values; what the caller leaves open comes from the model's own generation settings."""
    own = loaded.model.generation_config
    default = 16 if path == "/v1/completions" else DEFAULT_MAX_TOKENS
    keys = ("max_output_tokens",) if path == "/v1/responses" else ("max_completion_tokens", "max_tokens")
    limit = next((_whole(body, key, default, 1, 10**9) for key in keys if body.get(key) is not None), default)
    top_k = _whole(body, "top_k", getattr(own, "top_k", None) or 0, -1, 10**6)
    return Sampling(
        max_tokens=min(limit, room),
        temperature=_number(body, "temperature", _own(own, "temperature"), 0.0, 2.0),
        top_p=_number(body, "top_p", _own(own, "top_p"), 0.0, 1.0) or 1e-6,
        top_k=max(top_k, 0),
        min_p=_number(body, "min_p", 0.0, 0.0, 1.0),
        seed=None if body.get("seed") is None else _whole(body, "seed", 0, -(2**63), 2**63 - 1),
        frequency_penalty=_number(body, "frequency_penalty", 0.0, -2.0, 2.0),
        presence_penalty=_number(body, "presence_penalty", 0.0, -2.0, 2.0),
        repetition_penalty=_number(body, "repetition_penalty", _own(own, "repetition_penalty"), 0.01, 10.0),
        logit_bias=_logit_bias(body.get("logit_bias"), loaded),
        bad_words=_strings(body, "bad_words", 128),
        restriction=_restriction(body.get("vllm_xargs"), loaded),
        offset=_offset(body.get("vllm_xargs"), loaded),
        stop=_strings(body, "stop", MAX_STOPS),
        ignore_eos=bool(body.get("ignore_eos")),
        logprobs=_logprobs(path, body),
    )


def _own(settings: Any, name: str) -> float:
    value = getattr(settings, name, None)
    return 1.0 if value is None else float(value)


def _logprobs(path: str, body: Mapping[str, Any]) -> int | None:
    if path == "/v1/completions":
        return None if body.get("logprobs") is None else _whole(body, "logprobs", 0, 0, MAX_LOGPROBS)
    asked = body.get("logprobs") or "message.output_text.logprobs" in (body.get("include") or ())
    if body.get("top_logprobs") and not asked and path != "/v1/responses":
        raise ApiError("'top_logprobs' needs 'logprobs': true.", param="top_logprobs")
    return _whole(body, "top_logprobs", 0, 0, MAX_LOGPROBS) if asked else None


def _number(body: Mapping[str, Any], key: str, default: float, low: float, high: float) -> float:
    value = body.get(key)
    if value is None:
        return default
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not low <= value <= high:
        raise ApiError(f"'{key}' must be a number from {low:g} to {high:g}.", param=key)
    return float(value)


def _whole(body: Mapping[str, Any], key: str, default: int, low: int, high: int) -> int:
    value = body.get(key)
    if value is None:
        return default
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise ApiError(f"'{key}' must be a whole number from {low} to {high}.", param=key)
    return value


def _strings(body: Mapping[str, Any], key: str, most: int) -> tuple[str, ...]:
    value = body.get(key)
    items = [value] if isinstance(value, str) else (value if value is not None else [])
    if not isinstance(items, list) or len(items) > most or not all(isinstance(item, str) and item for item in items):
        raise ApiError(f"'{key}' must be text or a list of at most {most} texts, none empty.", param=key)
    return tuple(items)


def _restriction(arguments: Any, loaded: LoadedModel) -> RestrictionRequest | None:
    """Forbidden phrases, compiled here: it takes too long for the event loop and for the generating thread."""
    if arguments is not None and not isinstance(arguments, dict):
        raise ApiError("'vllm_xargs' must be an object.", param="vllm_xargs")
    try:
        asked = read_xargs(arguments)
        if asked is not None:
            loaded.restrictions.sequence(asked)
    except UnreadableTokenizerError:
        raise _cannot("vllm_xargs") from None
    except ValueError as error:
        raise ApiError(f"'vllm_xargs': {error}.", param="vllm_xargs") from None
    return asked


def _offset(arguments: Any, loaded: LoadedModel) -> float:
    """How much of what the assistant expects is taken off; `_restriction` has seen that the arguments are an object."""
    try:
        return read_offset(arguments, has_assistant=loaded.assistant is not None)
    except ValueError as error:
        raise ApiError(f"'vllm_xargs': {error}.", param="vllm_xargs") from None


def _logit_bias(value: Any, loaded: LoadedModel) -> dict[int, float]:
    if value is None:
        return {}
    size = loaded.model.get_output_embeddings().weight.shape[0]
    try:
        biases = {int(token): float(bias) for token, bias in dict(value).items()}
    except (TypeError, ValueError):
        biases = {-1: 0.0}
    if not all(0 <= token < size and -100 <= bias <= 100 for token, bias in biases.items()):
        raise ApiError("'logit_bias' must map token ids of the model to numbers from -100 to 100.", param="logit_bias")
    return biases
