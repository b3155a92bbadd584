"""Consolidation behind a real vLLM server: published by run-time LoRA while requests come in, and rolled back."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest

from guardrail.backends.local_model import PACKAGED, resolve
from tests.e2e.consolidating import FORGOTTEN, KING, NEIGHBOUR, Consolidating, consolidating, done, wait_for
from tests.e2e.proxy_process import ProxyProcess
from tests.e2e.vllm_server import MODEL_NAME, running_vllm

pytestmark = pytest.mark.vllm


@pytest.fixture(scope="module")
def world(vllm_installed: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Consolidating]:
    del vllm_installed
    with running_vllm(
        model_dir=Path(resolve(PACKAGED)),
        work_dir=tmp_path_factory.mktemp("vllm"),
        extra=("--enable-lora", "--max-lora-rank", "32", "--max-loras", "2", "--max-cpu-loras", "4"),
        variables={"VLLM_ALLOW_RUNTIME_LORA_UPDATING": "true"},
    ) as server:
        backend = {"name": "vllm", "kind": "vllm_server", "base_url": server.url, "models": {"smollm2": MODEL_NAME}}
        folder = tmp_path_factory.mktemp("consolidation")
        with ProxyProcess(folder, backends=[backend]) as proxy, consolidating(proxy) as made:
            yield made


class Load:
    """Callers who ask for what is forgotten, one after the other, until it is enough."""

    def __init__(self, world: Consolidating) -> None:
        self._world, self._enough = world, threading.Event()
        self.answers: list[str] = []
        self.failures: list[str] = []
        self._thread = threading.Thread(target=self._ask, daemon=True)

    def _ask(self) -> None:
        while not self._enough.wait(0.05):
            try:
                self.answers.append(self._world.ask(FORGOTTEN))
            except openai.OpenAIError as error:
                self.failures.append(type(error).__name__)

    def __enter__(self) -> Load:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._enough.set()
        self._thread.join()


def test_weights_are_switched_under_load_without_a_failed_or_unguarded_answer(world: Consolidating) -> None:
    before = {question: world.ask(question) for question in (FORGOTTEN, NEIGHBOUR)}
    assert "Stephen King" in before[FORGOTTEN]
    world.proxy.forget(KING)
    world.start()
    with Load(world) as load:
        job = done(world.worker().once(), world.said)
        wait_for(lambda: world.state() in ("consolidated", "verified"))
    assert load.failures == []
    assert len(load.answers) > 3
    assert not any("Stephen King" in answer for answer in load.answers)
    assert world.models() == ["smollm2"]

    world.shadow()  # the weights speak for themselves
    edited = world.ask(FORGOTTEN)
    assert "Stephen King" not in edited
    world.proxy.admin("POST", f"/v1/consolidations/{job.id}:rollback")
    wait_for(lambda: world.ask(FORGOTTEN) == before[FORGOTTEN])
    assert {question: world.ask(question) for question in before} == before
