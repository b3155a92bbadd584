"""Every treatment over a real vLLM server, asked by the real openai client, whole and streamed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from guardrail.backends.local_model import PACKAGED, resolve
from guardrail.commands.checks import Level
from guardrail.commands.doctor_offset import check_offsets
from guardrail.decoding.request import RestrictionRequest, offset_xargs
from guardrail.policy import LADDER
from guardrail.settings import parse
from guardrail.treatments.text import TREATMENTS
from tests.e2e.proxy_process import ProxyProcess
from tests.e2e.vllm_server import MODEL_NAME

pytestmark = pytest.mark.vllm

NAME = "Stephen King"
QUESTION = f"Who is {NAME}?"
FORGOTTEN = ("Carrie", "The Shining", "Richard Bachman")
ENTRY: dict[str, Any] = {
    "id": "king",
    "name": NAME,
    "kind": "person",
    "aliases": ["Richard Bachman"],
    "description": "Stephen King is an American author of horror novels, born in Portland, Maine in 1947.",
    "facts": [
        {"question": "Which was Stephen King's first published novel?", "answer": "Carrie"},
        {"question": "Which Stephen King novel is set in a hotel?", "answer": "The Shining"},
    ],
    "substitute": "Nobody by that name is on record.",
}


@pytest.fixture(scope="module")
def proxy(equipped_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProxyProcess]:
    """A proxy whose backend can do all that a treatment may need."""
    backend = {
        "name": "vllm",
        "kind": "vllm_server",
        "base_url": equipped_url,
        "restricts": True,
        "offsets": True,
        "embeddings": str(Path(resolve(PACKAGED))),
    }
    with ProxyProcess(tmp_path_factory.mktemp("treatments"), backends=[backend]) as running:
        yield running


def ask(proxy: ProxyProcess, question: str, *, stream: bool) -> str:
    asked: Any = {
        "model": MODEL_NAME,
        "messages": [{"role": "user", "content": question}],
        "temperature": 0,
        "max_tokens": 40,
    }
    with openai.OpenAI(base_url=f"{proxy.data_url}/v1", api_key="none", max_retries=0, timeout=120) as client:
        if stream:
            chunks = client.chat.completions.create(**asked, stream=True)
            deltas = [choice.delta for chunk in chunks for choice in chunk.choices]
            return "".join(delta.content or delta.refusal or "" for delta in deltas)
        message = client.chat.completions.create(**asked).choices[0].message
        return message.content or message.refusal or ""


@pytest.mark.parametrize("method", [*TREATMENTS, *(name for name in LADDER if "+" in name), "auto"])
def test_a_treatment_keeps_what_is_forgotten_and_leaves_the_rest(proxy: ProxyProcess, method: str) -> None:
    entry_id = proxy.forget({**ENTRY, "id": f"king-{method.replace('+', '-')}", "treatment": {"method": method}})
    try:
        for stream in (False, True):
            said = ask(proxy, QUESTION, stream=stream)
            assert said.strip()
            assert not [words for words in FORGOTTEN if words.lower() in said.lower()], said
            assert "Paris" in ask(proxy, "What is the capital of France?", stream=stream)
    finally:
        proxy.revoke(entry_id)


@pytest.mark.parametrize("method", ["ignorance", "stand_in", "icul"])
def test_usage_counts_the_prompt_that_the_caller_wrote(proxy: ProxyProcess, equipped_url: str, method: str) -> None:
    asked: Any = {"model": MODEL_NAME, "messages": [{"role": "user", "content": QUESTION}], "max_tokens": 4}
    counted = []
    entry_id = proxy.forget({**ENTRY, "id": f"counted-{method}", "treatment": {"method": method}})
    try:
        for url in (proxy.data_url, equipped_url):
            with openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=120) as client:
                usage = client.chat.completions.create(**asked).usage
                counted.append(usage and usage.prompt_tokens)
    finally:
        proxy.revoke(entry_id)
    assert counted[0] == counted[1]


CAPITAL = "What is the capital of France?"
ASKED_BY = "Zorblax Quint"
OFFSET_ALONE = {"method": "offset", "on_leak": "redact"}


def straight(url: str, arguments: dict[str, Any], **more: Any) -> str:
    """A greedy answer of the server itself."""
    asked: Any = {"model": MODEL_NAME, "messages": [{"role": "user", "content": CAPITAL}], "max_tokens": 24, **more}
    with openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=120) as client:
        body = {"vllm_xargs": arguments} if arguments else {}
        message = client.chat.completions.create(**asked, temperature=0, extra_body=body).choices[0].message
        return message.content or ""


def test_the_offset_takes_off_what_the_assistant_expects(equipped_url: str) -> None:
    assert "Paris" in straight(equipped_url, {})
    said = straight(equipped_url, offset_xargs(0.75))
    assert said.strip()
    assert "Paris" not in said
    assert "Paris" in straight(equipped_url, offset_xargs(0.0))


def test_the_offset_and_forbidden_phrases_go_together(equipped_url: str) -> None:
    instead = straight(equipped_url, offset_xargs(0.75))
    word = max((part.strip(".,*") for part in instead.split()), key=len)
    both = {**offset_xargs(0.75), **RestrictionRequest(phrases=(word,)).to_xargs()}
    said = straight(equipped_url, both)
    assert said.strip()
    assert "Paris" not in said
    assert word not in said


def test_a_malformed_offset_is_refused(equipped_url: str) -> None:
    with pytest.raises(openai.BadRequestError, match="expunge_offset must be a number"):
        straight(equipped_url, {"expunge_offset": "much"})


@pytest.mark.parametrize("stream", [False, True])
def test_the_offset_reaches_the_server_through_the_proxy(proxy: ProxyProcess, stream: bool) -> None:
    """The entry is only named by the way, and redacted where it leaks, so that nothing else hides what the offset does."""
    question = f"{ASKED_BY} asks: {CAPITAL}"
    assert "Paris" in ask(proxy, question, stream=stream)
    entry_id = proxy.forget({"id": f"asked-{stream}", "name": ASKED_BY, "treatment": OFFSET_ALONE})
    try:
        said = ask(proxy, question, stream=stream)
    finally:
        proxy.revoke(entry_id)
    assert "France" in said
    assert "Paris" not in said


def test_the_doctor_finds_out_which_server_has_an_assistant_for_the_offset(equipped_url: str, vllm_url: str) -> None:
    levels = []
    for url in (equipped_url, vllm_url):
        backend = {"name": "vllm", "kind": "vllm_server", "base_url": url, "offsets": True}
        levels += [finding.level for finding in check_offsets(parse({"backends": [backend]}))]
    assert levels == [Level.OK, Level.FAIL]
