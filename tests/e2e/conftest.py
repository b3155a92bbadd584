"""Fixtures of the end-to-end tests: a real vLLM server, shared by the tests that need a plain one.

A bare `pytest` skips these tests where vLLM is not installed; `make test` sets EXPUNGE_REQUIRE_VLLM=1, and then a
missing environment is a failure: nothing is skipped silently.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from guardrail.backends.local_model import PACKAGED, resolve
from tests.e2e.vllm_server import ROOT, VllmMissing, VllmServer, running_vllm, vllm_python
from tests.fakes.assistants import expecting, saved_assistant

EQUIPMENT = ("--logits-processors", "guardrail.decoding.vllm_processor:ExpungeRestriction", "--enable-prompt-embeds")


@pytest.fixture(scope="session")
def vllm_installed() -> None:
    """There is an environment with vLLM."""
    try:
        vllm_python()
    except VllmMissing as error:
        if os.environ.get("EXPUNGE_REQUIRE_VLLM") == "1":
            pytest.fail(str(error), pytrace=False)
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def vllm_server(vllm_installed: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[VllmServer]:
    """A running vLLM server with the packaged model, float32 on the CPU."""
    del vllm_installed
    with running_vllm(model_dir=Path(resolve(PACKAGED)), work_dir=tmp_path_factory.mktemp("vllm")) as server:
        yield server


@pytest.fixture(scope="session")
def vllm_url(vllm_server: VllmServer) -> str:
    """Address of the vLLM server, without `/v1`; it serves the model `smollm2`."""
    return vllm_server.url


@pytest.fixture(scope="session")
def equipped_url(vllm_installed: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a server with the plug-in, and an assistant that expects Paris everywhere; it takes prompt embeddings."""
    del vllm_installed
    folder = tmp_path_factory.mktemp("equipped")
    variables = {"PYTHONPATH": str(ROOT), "EXPUNGE_ASSISTANT": str(_assistant(folder / "assistant"))}
    with running_vllm(
        model_dir=Path(resolve(PACKAGED)), work_dir=folder, extra=EQUIPMENT, variables=variables
    ) as server:
        yield server.url


def _assistant(folder: Path) -> Path:
    tokenizer: Any = AutoTokenizer.from_pretrained(resolve(PACKAGED), local_files_only=True)
    paris = [tokenizer.encode(text, add_special_tokens=False)[0] for text in ("Paris", " Paris")]
    model = expecting(paris, vocab_size=len(tokenizer), max_position_embeddings=2048)
    return saved_assistant(folder, model, tokenizer)
