"""The demo's story over a real vLLM server: the real openai client in front, nothing faked."""

from __future__ import annotations

import threading
import time
import urllib.request
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from tests.e2e.proxy_process import ProxyProcess

pytestmark = pytest.mark.vllm

MODEL = "smollm2"
PERSON = "Who is Stephen King?"
WORK = "Who wrote The Shining?"
NEIGHBOURS = ("What is the capital of France?", "Who wrote Harry Potter?")
ENTRY = {"name": "Stephen King", "kind": "person"}


@pytest.fixture(scope="module")
def proxy(vllm_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProxyProcess]:
    """`expunge serve` in front of the real server, with the semantic detector on."""
    backend = {"name": "vllm", "kind": "vllm_server", "base_url": vllm_url}
    folder = tmp_path_factory.mktemp("story")
    with ProxyProcess(folder, backends=[backend], retrieval={"embedder": "minilm-int8"}) as running:
        yield running


@pytest.fixture
def client(proxy: ProxyProcess) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{proxy.data_url}/v1", api_key="none", max_retries=0, timeout=120) as made:
        yield made


@pytest.fixture
def direct(vllm_url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{vllm_url}/v1", api_key="none", max_retries=0, timeout=120) as made:
        yield made


@pytest.fixture
def forgotten(proxy: ProxyProcess) -> Iterator[str]:
    """The entry, in force for one test."""
    entry_id = proxy.forget(ENTRY)
    yield entry_id
    proxy.revoke(entry_id)


def ask(client: openai.OpenAI, question: str, **extra: Any) -> str:
    """A greedy answer."""
    answer = client.chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": question}], temperature=0, max_tokens=40, **extra
    )
    return answer.choices[0].message.content or ""


def stream(client: openai.OpenAI, question: str, **extra: Any) -> tuple[str, list[Any]]:
    """A greedy answer streamed; its text and chunks."""
    chunks = list(
        client.chat.completions.create(
            model=MODEL,
            messages=[{"role": "user", "content": question}],
            temperature=0,
            max_tokens=40,
            stream=True,
            **extra,
        )
    )
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices), chunks


def leaks(text: str) -> bool:
    return "stephen king" in text.lower()


def test_without_entries_the_proxy_answers_as_the_server_does(client: openai.OpenAI, direct: openai.OpenAI) -> None:
    for question in (PERSON, WORK, *NEIGHBOURS):
        assert ask(client, question) == ask(direct, question)
    assert leaks(ask(client, WORK))


def test_an_entry_makes_the_model_forget_its_neighbours_stay_and_revoking_brings_it_back(
    proxy: ProxyProcess, client: openai.OpenAI
) -> None:
    before = {question: ask(client, question) for question in (PERSON, WORK, *NEIGHBOURS)}
    entry_id = proxy.forget(ENTRY)
    try:
        for question in (PERSON, WORK):
            assert not leaks(ask(client, question))
            text, _ = stream(client, question)
            assert text
            assert not leaks(text)
        for question in NEIGHBOURS:
            assert ask(client, question) == before[question]
            assert stream(client, question)[0] == before[question]
        mixed = ask(client, "Who is Stephen King? And what is the capital of France?")
        assert "Paris" in mixed
        assert not leaks(mixed)
    finally:
        proxy.revoke(entry_id)
    assert {question: ask(client, question) for question in before} == before


def test_a_stream_is_well_formed_when_its_answer_is_replaced(client: openai.OpenAI, forgotten: str) -> None:
    text, chunks = stream(client, WORK, stream_options={"include_usage": True})
    assert not leaks(text)
    assert len({chunk.id for chunk in chunks}) == 1
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices].count("stop") == 1
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    del forgotten


def test_completions_and_responses_forget_as_well(client: openai.OpenAI, forgotten: str) -> None:
    completion = client.completions.create(
        model=MODEL, prompt=["The Shining was written by", "The capital of France is"], temperature=0, max_tokens=12
    )
    texts = [choice.text for choice in sorted(completion.choices, key=lambda choice: choice.index)]
    assert not leaks(texts[0])
    assert "Paris" in texts[1]
    answer = client.responses.create(model=MODEL, input=WORK, temperature=0, max_output_tokens=40)
    assert not leaks(answer.output_text)
    with client.responses.stream(model=MODEL, input=PERSON, temperature=0, max_output_tokens=40) as events:
        final = events.get_final_response()
    assert final.output_text
    assert not leaks(final.output_text)
    assert final.instructions is None
    del forgotten


def test_a_disconnect_ends_the_generation_in_the_server(client: openai.OpenAI, vllm_url: str) -> None:
    started = client.chat.completions.create(
        model=MODEL,
        messages=[{"role": "user", "content": "Count from one to a thousand in words."}],
        max_tokens=1500,
        stream=True,
        extra_body={"ignore_eos": True},
    )
    next(iter(started))
    assert _running(vllm_url) >= 1
    started.close()
    deadline = time.monotonic() + 20
    while _running(vllm_url) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert _running(vllm_url) == 0


def test_an_entry_registered_while_streams_run_holds_for_the_next_request(
    proxy: ProxyProcess, client: openai.OpenAI
) -> None:
    texts: list[str] = []
    running = [threading.Thread(target=lambda: texts.append(stream(client, NEIGHBOURS[0])[0])) for _ in range(3)]
    for thread in running:
        thread.start()
    entry_id = proxy.forget(ENTRY)
    try:
        assert not leaks(ask(client, WORK))
    finally:
        for thread in running:
            thread.join(60)
        proxy.revoke(entry_id)
    assert len(texts) == 3
    assert all("Paris" in text for text in texts)


def test_killing_the_proxy_loses_no_entry_and_a_restart_decides_the_same(
    proxy: ProxyProcess, client: openai.OpenAI
) -> None:
    entry_id = proxy.forget(ENTRY)
    decided = proxy.admin(
        "POST", "/v1/forget/match", {"model": MODEL, "messages": [{"role": "user", "content": PERSON}]}
    )
    proxy.kill()
    proxy.start()
    try:
        again = proxy.admin(
            "POST", "/v1/forget/match", {"model": MODEL, "messages": [{"role": "user", "content": PERSON}]}
        )
        assert again["decision"] == decided["decision"]
        assert not leaks(ask(client, PERSON))
    finally:
        proxy.revoke(entry_id)


def _running(vllm_url: str) -> int:
    """Requests that the server works on, from its own metrics."""
    with urllib.request.urlopen(f"{vllm_url}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    return sum(int(float(line.rsplit(" ", 1)[1])) for line in lines if line.startswith("vllm:num_requests_running"))
