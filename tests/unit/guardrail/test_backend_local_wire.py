"""Requests to the embedded model are checked before anything is generated; each refusal names its field."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import orjson
import pytest

from guardrail.backends.local_wire import DEFAULT_MAX_TOKENS, Asked, read
from guardrail.errors import ApiError

CHAT = "/v1/chat/completions"


class PlainTokenizer:
    """One token a character; the template is `role:content` lines."""

    chat_template = "plain"

    def encode(self, text: str, **options: Any) -> list[int]:
        return [ord(character) % 100 for character in text]

    def apply_chat_template(self, messages: list[dict[str, str]], **options: Any) -> str:
        return "\n".join(f"{message['role']}:{message['content']}" for message in messages)


def loaded(tokenizer: Any = None) -> Any:
    settings = SimpleNamespace(temperature=None, top_p=None, top_k=None, repetition_penalty=None)
    model = SimpleNamespace(
        generation_config=settings,
        get_input_embeddings=lambda: SimpleNamespace(num_embeddings=100),
        get_output_embeddings=lambda: SimpleNamespace(weight=SimpleNamespace(shape=(100, 4))),
    )
    return SimpleNamespace(model=model, tokenizer=tokenizer or PlainTokenizer(), context_tokens=500, assistant=None)


def asked(path: str = CHAT, **body: Any) -> Asked:
    if path == CHAT:
        body = {"messages": [{"role": "user", "content": "hi"}], **body}
    return read(path, orjson.dumps({"model": "m", **body}), loaded=loaded(), models=["m"])


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"tools": [{"type": "function"}]}, "tools"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"functions": [{}]}, "functions"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]}, "messages.0.content"),
        ({"messages": []}, "messages"),
        ({"messages": [7]}, "messages.0"),
        ({"temperature": 3}, "temperature"),
        ({"temperature": True}, "temperature"),
        ({"top_p": "x"}, "top_p"),
        ({"n": 0}, "n"),
        ({"n": 17}, "n"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"stop": [""]}, "stop"),
        ({"logit_bias": {"x": 1}}, "logit_bias"),
        ({"logit_bias": {"100": 1}}, "logit_bias"),
        ({"top_logprobs": 2}, "top_logprobs"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
        ({"model": "other"}, "model"),
        ({"messages": [{"role": "user", "content": "x" * 600}]}, "messages"),
    ],
)
def test_a_wrong_or_unsupported_field_is_named(body: dict[str, Any], param: str) -> None:
    with pytest.raises(ApiError) as caught:
        asked(**body)
    assert caught.value.param == param
    assert caught.value.status == (404 if param == "model" else 400)


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("/v1/completions", {"prompt": "a", "echo": True}, "echo"),
        ("/v1/completions", {"prompt": []}, "prompt"),
        ("/v1/completions", {"prompt": [100]}, "prompt.0"),
        ("/v1/completions", {"prompt": ["a", 3]}, "prompt.1"),
        ("/v1/responses", {"input": "a", "previous_response_id": "r"}, "previous_response_id"),
        ("/v1/responses", {"input": "a", "text": {"format": {"type": "json_schema"}}}, "text"),
        ("/v1/responses", {"input": [{"type": "function_call_output"}]}, "input"),
    ],
)
def test_other_endpoints_name_the_field_too(path: str, body: dict[str, Any], param: str) -> None:
    with pytest.raises(ApiError) as caught:
        asked(path, **body)
    assert caught.value.param == param


@pytest.mark.parametrize("raw", [b"{", b"[]", b"\xff", b'"x"'])
def test_a_body_that_is_no_json_object_is_a_400(raw: bytes) -> None:
    with pytest.raises(ApiError) as caught:
        read(CHAT, raw, loaded=loaded(), models=["m"])
    assert caught.value.status == 400


def test_an_embeddings_call_is_a_404() -> None:
    with pytest.raises(ApiError) as caught:
        read("/v1/embeddings", b"{}", loaded=loaded(), models=["m"])
    assert caught.value.status == 404


def test_limits_default_to_openais_and_never_pass_the_context() -> None:
    assert asked("/v1/completions", prompt="a").sampling.max_tokens == 16
    assert asked(max_tokens=10**6).sampling.max_tokens == 500 - len("user:hi")
    assert asked(max_completion_tokens=5, max_tokens=9).sampling.max_tokens == 5
    assert asked().sampling.max_tokens == min(DEFAULT_MAX_TOKENS, 500 - len("user:hi"))


def test_prompts_come_as_text_lists_or_tokens() -> None:
    assert asked("/v1/completions", prompt=["a", "bc"]).prompts == ([97], [98, 99])
    assert asked("/v1/completions", prompt=[1, 2]).prompts == ([1, 2],)
    assert asked("/v1/completions", prompt=[[1], [2, 3]]).prompts == ([1], [2, 3])


def test_instructions_become_the_system_message_and_parts_are_joined() -> None:
    parts = [{"role": "user", "content": [{"type": "input_text", "text": "a"}, {"type": "input_text", "text": "b"}]}]
    tokens = asked("/v1/responses", input=parts, instructions="s").prompts[0]
    assert tokens == PlainTokenizer().encode("system:s\nuser:ab")


def test_tools_that_must_not_be_used_are_let_through() -> None:
    assert asked(tools=[{"type": "function"}], tool_choice="none").repeats == 1
