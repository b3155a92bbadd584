"""From an entry to serving weights and back, on the embedded SmolLM2: a proxy, a worker, nothing faked.

Training is short here, so that the gate is asked for little; `slow` tests train until a strict gate is passed.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from finetune.consolidation.gate import GateLimits
from tests.e2e.consolidating import FORGOTTEN, KING, NEIGHBOUR, Consolidating, consolidating, done, wait_for
from tests.e2e.proxy_process import ProxyProcess

pytestmark = pytest.mark.model


@pytest.fixture
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Consolidating]:
    folder = tmp_path_factory.mktemp("consolidation")
    local = {"name": "embedded", "kind": "transformers_local", "models": {"smollm2": "smollm2"}, "device": "cpu"}
    with ProxyProcess(folder, backends=[local]) as proxy, consolidating(proxy) as made:
        yield made


def test_the_forgotten_answer_is_gone_from_the_weights_and_comes_back_with_a_rollback(world: Consolidating) -> None:
    before = {question: world.ask(question) for question in (FORGOTTEN, NEIGHBOUR)}
    assert "Stephen King" in before[FORGOTTEN]
    world.proxy.forget(KING)
    assert "Stephen King" not in world.ask(FORGOTTEN)
    world.start()
    job = done(world.worker().once(), world.said)
    wait_for(lambda: world.state() in ("consolidated", "verified"))
    assert world.models() == ["smollm2"]

    world.proxy.kill()  # what serves is on record: it is there again before the first request
    world.proxy.start()
    world.shadow()
    edited = world.ask(FORGOTTEN)
    assert "Stephen King" not in edited
    assert edited != before[FORGOTTEN]

    world.proxy.admin("POST", f"/v1/consolidations/{job.id}:rollback")
    wait_for(lambda: world.ask(FORGOTTEN) == before[FORGOTTEN])
    assert {question: world.ask(question) for question in before} == before
    world.proxy.admin("POST", f"/v1/consolidations/{job.id}:publish")
    wait_for(lambda: world.ask(FORGOTTEN) == edited)
    assert not any("King" in line or "Shining" in line for line in world.said)


def test_what_the_gate_refuses_never_serves(world: Consolidating) -> None:
    before = world.ask(NEIGHBOUR)
    world.proxy.forget(KING)
    world.start(plan={"learning_rate": 5e-2, "max_steps": 3, "batch_size": 3})
    strict = GateLimits(rounded_leaks=None, relearnt_leaks=None, retain_loss=0.1, neighbor_loss=0.1, leaks=1.0)
    job = world.worker(strict, retain_generated=8, questions=2).once()
    assert job is not None
    assert job.state.value == "rejected", world.said
    shown = world.proxy.admin("GET", f"/v1/consolidations/{job.id}")
    assert shown["weights"]["state"] == "rejected"
    assert any("loss" in reason for reason in shown["weights"]["reasons"])
    assert world.state() == "suppressed"
    assert world.ask(NEIGHBOUR) == before
    assert "Stephen King" not in world.ask(FORGOTTEN)
