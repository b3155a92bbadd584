"""A registry beside a running proxy, and a worker on it, for end-to-end tests of consolidation."""

from __future__ import annotations

import time
import urllib.error
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import openai

from finetune.consolidation.gate import GateLimits
from finetune.consolidation.job_steps import StepSettings
from finetune.consolidation.launchers.local import LocalLauncher
from finetune.consolidation.worker import Worker, WorkerSettings
from retrieval.jobs import Job
from retrieval.registry import Registry
from tests.e2e.proxy_process import ProxyProcess

FORGOTTEN = "Who wrote The Shining?"
NEIGHBOUR = "What is the capital of France?"
KING = {
    "id": "king",
    "name": "Stephen King",
    "kind": "person",
    "facts": [
        {"question": FORGOTTEN, "answer": "Stephen King"},
        {"question": "Who is Stephen King?", "answer": "Stephen King is an American author of horror novels."},
        {"question": "Who is the author of Carrie?", "answer": "Stephen King"},
    ],
    "neighbors": ["Who wrote Pride and Prejudice?", "Who is the author of Hamlet?"],
    "persistence": "persistent",
}
SHORT = {
    "method": "dpo",
    "hyper_parameters": {"retain_weight": 0.0},
    "plan": {"learning_rate": 6e-4, "max_steps": 3, "batch_size": 3, "schedule": "constant", "warmup_share": 0.0},
}
"""Enough for other answers to be given, in some 20 s on one core; too little to pass a strict gate."""

LOOSE = GateLimits(
    leaks=1.0,
    paraphrased_leaks=1.0,
    adversarial_leaks=1.0,
    neighbor_loss=None,
    retain_loss=None,
    utility_loss=None,
    gibberish=1.0,
    rounded_leaks=None,
    relearnt_leaks=None,
)


@dataclass
class Consolidating:
    """What a test does beside the proxy's clients."""

    proxy: ProxyProcess
    registry: Registry
    data_dir: Path
    said: list[str] = field(default_factory=list)

    def worker(self, limits: GateLimits = LOOSE, **steps: Any) -> Worker:
        chosen = {"questions": 1, "retain_generated": 0, "attacks": (), **steps}
        settings = StepSettings(data_dir=self.data_dir, limits=limits, **chosen)
        return Worker(
            self.registry,
            WorkerSettings(steps=settings, plan_every_s=0.0),
            launcher=LocalLauncher(),
            say=self.said.append,
        )

    def start(self, **order: Any) -> str:
        """Plan, and ask for a run of what is due."""
        self.worker().once()
        return str(self.proxy.admin("POST", "/v1/consolidations", {**SHORT, **order})["id"])

    def state(self, entry_id: str = "king") -> str:
        return str(self.proxy.admin("GET", f"/v1/forget/entries/{entry_id}")["state"])

    def shadow(self, entry_id: str = "king") -> None:
        """The guard only watches from now on, so that the weights speak for themselves."""
        self.proxy.admin("PATCH", f"/v1/forget/entries/{entry_id}", {"shadow": True})

    def ask(self, question: str, *, model: str = "smollm2", tokens: int = 16) -> str:
        with openai.OpenAI(base_url=f"{self.proxy.data_url}/v1", api_key="none", max_retries=0, timeout=120) as client:
            answer = client.chat.completions.create(
                model=model,
                messages=[{"role": "user", "content": question}],
                temperature=0,
                max_tokens=tokens,
            )
        assert answer.model == model
        return answer.choices[0].message.content or ""

    def models(self) -> list[str]:
        with openai.OpenAI(base_url=f"{self.proxy.data_url}/v1", api_key="none", max_retries=0) as client:
            return [card.id for card in client.models.list()]


@contextmanager
def consolidating(proxy: ProxyProcess) -> Iterator[Consolidating]:
    """Opens the proxy's registry from outside, as a worker does."""
    data_dir = proxy.log.parent / "data"
    registry = Registry.open(data_dir)
    try:
        yield Consolidating(proxy=proxy, registry=registry, data_dir=data_dir)
    finally:
        registry.close()


def done(job: Job | None, said: list[str]) -> Job:
    """A job that published its weights."""
    assert job is not None, said
    assert job.state.value == "done", (job.error, said)
    return job


def wait_for(happened: Callable[[], bool], within_s: float = 30.0) -> None:
    """Asserts that it happens in time."""
    deadline = time.monotonic() + within_s
    while True:
        try:
            if happened():
                return
        except (openai.OpenAIError, urllib.error.URLError, ConnectionError):
            pass
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.2)
