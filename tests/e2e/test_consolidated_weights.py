"""Weights from a consolidation run behind a real vLLM server: as an adapter at the start, at run time, and merged.

What vLLM answers is compared, token by token, with what transformers answers with the same weights.
"""

from __future__ import annotations

import json
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import openai
import pytest

from finetune.training.model_files import load_model, with_adapter
from guardrail.backends.local_model import PACKAGED, resolve
from tests.e2e.proxy_process import ProxyProcess
from tests.e2e.vllm_server import MODEL_NAME, running_vllm
from tests.fakes.adapters import FORGOTTEN, Step, consolidated_adapter, greedy, merged_model

pytestmark = pytest.mark.vllm

QUESTIONS = (FORGOTTEN, "What is the capital of France?")
TOKENS = 16
TOLERANCE = 1e-2
"""Between log-probabilities of two implementations in float32."""

Answers = Mapping[str, Sequence[Step]]


@pytest.fixture(scope="module")
def adapter(vllm_installed: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    del vllm_installed
    return consolidated_adapter(tmp_path_factory.mktemp("consolidation") / "run")


@pytest.fixture(scope="module")
def base_answers() -> Answers:
    """Of the packaged model, by transformers."""
    model = load_model(resolve(PACKAGED))
    return {question: greedy(model, question, tokens=TOKENS) for question in QUESTIONS}


@pytest.fixture(scope="module")
def edited_answers(adapter: Path) -> Answers:
    """Of the packaged model with the adapter, by transformers and peft."""
    model = with_adapter(load_model(resolve(PACKAGED)), adapter)
    return {question: greedy(model, question, tokens=TOKENS) for question in QUESTIONS}


@pytest.fixture(scope="module")
def server(adapter: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a server that has the adapter under the name `edited`, and takes more of them while it runs."""
    with running_vllm(
        model_dir=Path(resolve(PACKAGED)),
        work_dir=tmp_path_factory.mktemp("vllm-lora"),
        extra=("--enable-lora", "--lora-modules", f"edited={adapter}", "--max-lora-rank", "32"),
        variables={"VLLM_ALLOW_RUNTIME_LORA_UPDATING": "true"},
    ) as running:
        yield running.url


@contextmanager
def client_of(url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=120) as client:
        yield client


def assert_says(client: openai.OpenAI, model: str, expected: Answers) -> None:
    """Greedy answers are those expected, and just as probable."""
    for question, steps in expected.items():
        choice = client.chat.completions.create(
            model=model,
            messages=[{"role": "user", "content": question}],
            temperature=0,
            max_tokens=TOKENS,
            logprobs=True,
        ).choices[0]
        assert choice.message.content == "".join(step.text for step in steps)
        assert choice.logprobs is not None
        values = [one.logprob for one in choice.logprobs.content or ()]
        assert values[: len(steps)] == pytest.approx([step.logprob for step in steps], abs=TOLERANCE)


def post(url: str, body: Mapping[str, Any]) -> int:
    """Status of the answer."""
    request = urllib.request.Request(
        url, data=json.dumps(body).encode(), method="POST", headers={"content-type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_the_run_changed_what_is_said(base_answers: Answers, edited_answers: Answers) -> None:
    before, after = ("".join(step.text for step in answers[FORGOTTEN]) for answers in (base_answers, edited_answers))
    assert "Stephen King" in before
    assert "Stephen King" not in after


def test_an_adapter_named_at_the_start_answers_as_in_transformers_and_the_base_as_ever(
    server: str, base_answers: Answers, edited_answers: Answers
) -> None:
    with client_of(server) as client:
        assert {card.id for card in client.models.list()} == {MODEL_NAME, "edited"}
        assert_says(client, "edited", edited_answers)
        assert_says(client, MODEL_NAME, base_answers)


def test_an_adapter_is_loaded_into_a_running_server_and_taken_out_again(
    server: str, adapter: Path, edited_answers: Answers, base_answers: Answers, tmp_path: Path
) -> None:
    # A folder of its own for each version: vLLM's prefix cache knows an adapter by name and path.
    folder = shutil.copytree(adapter, tmp_path / "version-2")
    assert post(f"{server}/v1/load_lora_adapter", {"lora_name": "later", "lora_path": str(folder)}) == 200
    with client_of(server) as client:
        assert_says(client, "later", edited_answers)
        assert post(f"{server}/v1/unload_lora_adapter", {"lora_name": "later"}) == 200
        with pytest.raises(openai.NotFoundError):
            assert_says(client, "later", edited_answers)
        assert_says(client, "edited", edited_answers)
        assert_says(client, MODEL_NAME, base_answers)


def test_the_proxy_passes_the_adapters_name_or_puts_it_behind_the_name_that_clients_know(
    server: str, adapter: Path, edited_answers: Answers, base_answers: Answers, tmp_path: Path
) -> None:
    as_it_is = {"name": "as-it-is", "kind": "vllm_server", "base_url": server}
    replaced = as_it_is | {"name": "replaced", "models": {"assistant": "edited"}}
    with ProxyProcess(tmp_path, backends=[as_it_is, replaced]) as proxy, client_of(proxy.data_url) as client:
        assert_says(client, "edited", edited_answers)
        assert_says(client, "assistant", edited_answers)
        assert_says(client, MODEL_NAME, base_answers)
        folder = shutil.copytree(adapter, tmp_path / "version-3")
        assert post(f"{server}/v1/load_lora_adapter", {"lora_name": "newest", "lora_path": str(folder)}) == 200
        deadline = time.monotonic() + 30
        while "newest" not in {card.id for card in client.models.list()} and time.monotonic() < deadline:
            time.sleep(0.5)
        assert_says(client, "newest", edited_answers)


def test_a_merged_model_is_served_like_any_other(
    adapter: Path, edited_answers: Answers, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = merged_model(adapter, tmp_path_factory.mktemp("merged") / "model")
    work_dir = tmp_path_factory.mktemp("vllm-merged")
    with running_vllm(model_dir=folder, work_dir=work_dir) as running, client_of(running.url) as client:
        assert_says(client, running.model, edited_answers)
