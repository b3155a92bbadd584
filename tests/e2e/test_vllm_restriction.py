"""Real vLLM servers with and without the plug-in: what is forbidden is not written, and the doctor tells them apart."""

from __future__ import annotations

import json
import urllib.request
from typing import Any

import pytest

from guardrail.commands.checks import Level
from guardrail.commands.doctor_restriction import check_restrictions
from guardrail.decoding.request import RestrictionRequest
from guardrail.settings import parse
from tests.e2e.vllm_server import MODEL_NAME

pytestmark = pytest.mark.vllm

QUESTION = "What is the capital of France?"
PHRASES = RestrictionRequest(phrases=("Paris",)).to_xargs()


def ask(url: str, path: str, **body: Any) -> str:
    """The whole body of a short greedy answer."""
    raw = json.dumps({"model": MODEL_NAME, "temperature": 0, **body}).encode()
    request = urllib.request.Request(f"{url}{path}", data=raw, headers={"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=120) as answer:
        text: str = answer.read().decode()
    return text


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": QUESTION}], "max_tokens": 24}),
        ("/v1/completions", {"prompt": "The capital of France is", "max_tokens": 8}),
        ("/v1/responses", {"input": QUESTION, "max_output_tokens": 24}),
    ],
)
def test_a_server_with_the_plug_in_does_not_write_what_is_forbidden_nor_repeat_it(
    equipped_url: str, path: str, body: dict[str, Any]
) -> None:
    assert "Paris" in ask(equipped_url, path, **body)
    answer = ask(equipped_url, path, **body, vllm_xargs=PHRASES)
    assert "paris" not in answer.lower()
    assert "expunge" not in answer


def test_log_probabilities_do_not_tell_what_is_forbidden(equipped_url: str) -> None:
    body = {"messages": [{"role": "user", "content": QUESTION}], "max_tokens": 24, "logprobs": True, "top_logprobs": 3}
    answer = json.loads(ask(equipped_url, "/v1/chat/completions", **body, vllm_xargs=PHRASES))
    rows = answer["choices"][0]["logprobs"]["content"]
    assert rows
    assert not [row for row in rows if any(other["logprob"] > row["logprob"] for other in row["top_logprobs"])]


def test_the_doctor_finds_out_which_server_restricts(equipped_url: str, vllm_url: str) -> None:
    levels = []
    for url in (equipped_url, vllm_url):
        backend = {"name": "vllm", "kind": "vllm_server", "base_url": url, "restricts": True}
        levels += [finding.level for finding in check_restrictions(parse({"backends": [backend]}))]
    assert levels == [Level.OK, Level.FAIL]


def test_bad_words_are_heeded_by_any_server(vllm_url: str) -> None:
    body = {"messages": [{"role": "user", "content": QUESTION}], "max_tokens": 24}
    assert "Paris" in ask(vllm_url, "/v1/chat/completions", **body)
    assert "Paris" not in ask(vllm_url, "/v1/chat/completions", **body, bad_words=["Paris", "paris"])
