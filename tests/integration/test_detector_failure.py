"""When meaning cannot be compared: requests are refused as unavailable, or pass if the operator chose so; it is counted."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import pytest

from retrieval.embedders.word_hash import WordHashEmbedder
from retrieval.searcher import Searcher
from retrieval.settings import RetrievalSettings
from tests.fakes.waiting import until
from tests.fakes.word_judge import WordJudge
from tests.integration.conftest import Start
from tests.integration.running import Running
from tests.integration.world import ENTRY, PARIS, PATHS, QUESTION, assert_clean, body_of

if TYPE_CHECKING:
    from retrieval.embedders.protocol import Vectors


class TroubledEmbedder(WordHashEmbedder):
    """Embeds like the model-free embedder until told to `fail` or to `hang`; `let_go` ends the hanging."""

    def __init__(self) -> None:
        super().__init__()
        self.trouble = ""
        self.let_go = threading.Event()

    def embed(self, texts: Sequence[str]) -> Vectors:
        if self.trouble == "fail":
            raise RuntimeError(f"cannot embed {texts[0]}")
        if self.trouble == "hang":
            self.let_go.wait(60)
        return super().embed(texts)


@pytest.fixture
def embedder() -> Iterator[TroubledEmbedder]:
    made = TroubledEmbedder()
    yield made
    made.let_go.set()


async def proxy_over(start: Start, embedder: TroubledEmbedder, mode: str, *, timeout_s: float = 20.0) -> Running:
    searcher = Searcher(RetrievalSettings(accepted_false_positive_rate=0.1), embedder=embedder, judge=WordJudge())
    policy = {"detector_failure": mode, "detector_timeout_s": timeout_s}
    proxy = await start(searcher=searcher, policy=policy)
    await proxy.forget(**ENTRY, exemplars=["Which writer kept geese beside the old harbour wall?"])
    return proxy


@pytest.mark.parametrize("trouble", ["fail", "hang"])
async def test_a_detector_that_cannot_say_closes_the_door(
    start: Start, embedder: TroubledEmbedder, trouble: str, caplog: pytest.LogCaptureFixture
) -> None:
    hangs = trouble == "hang"
    proxy = await proxy_over(start, embedder, "fail_closed", timeout_s=1.0 if hangs else 20.0)
    assert (await proxy.chat("What is the capital of France?")).status == 200
    embedder.trouble = trouble
    for endpoint in ("chat",) if hangs else PATHS:
        path = PATHS[endpoint]
        for stream in (False, True):
            text = f"What of France, {endpoint} {stream}?"
            answer = await proxy.raw(path, body_of(endpoint, text, stream=stream))
            assert (answer.status, answer.error["code"]) == (503, "overloaded")
            assert int(answer.headers["retry-after"]) >= 1
            assert text not in caplog.text
    refused = await proxy.raw("/v1/embeddings", {"model": "echo", "input": "a new text"})
    assert refused.status == 503
    metrics = await proxy.metrics()
    assert metrics['expunge_detector_failures_total{detector="semantic",mode="fail_closed"}'] == (3 if hangs else 7)
    assert metrics['expunge_decisions_total{action="fail_closed",treatment="none"}'] == (3 if hangs else 7)
    embedder.trouble = ""
    embedder.let_go.set()
    assert (await proxy.chat("What is the capital of France, now?")).status == 200


@pytest.mark.parametrize("trouble", ["fail", "hang"])
async def test_an_operator_may_choose_that_requests_pass_then(
    start: Start, embedder: TroubledEmbedder, trouble: str
) -> None:
    proxy = await proxy_over(start, embedder, "fail_open", timeout_s=0.3 if trouble == "hang" else 20.0)
    embedder.trouble = trouble
    answer = await proxy.chat("Tell me of France, please.")
    assert answer.json["choices"][0]["message"]["content"] == PARIS
    assert_clean((await proxy.chat(QUESTION)).raw)
    metrics = await proxy.metrics()
    assert metrics['expunge_detector_failures_total{detector="semantic",mode="fail_open"}'] == 3, (
        "two requests, and the judge of the answer that was begun anew"
    )


async def test_a_failing_embedder_refuses_an_entry_rather_than_half_of_it(
    start: Start, embedder: TroubledEmbedder
) -> None:
    proxy = await proxy_over(start, embedder, "fail_closed")
    embedder.trouble = "fail"
    answer = await proxy.admin("POST", "/v1/forget/entries", {"id": "new", "name": "Tobias Unruh"})
    assert answer.status_code >= 500
    assert "Tobias" not in answer.text
    embedder.trouble = ""
    assert (await proxy.admin("GET", "/v1/forget/entries/new")).status_code == 404


async def test_meaning_alone_is_enough_to_be_met_and_documents_follow(start: Start, embedder: TroubledEmbedder) -> None:
    proxy = await proxy_over(start, embedder, "fail_closed")
    asked: Any = "Which writer kept geese beside the old harbour wall?"
    said = await proxy.chat(asked)
    assert asked not in said.json["choices"][0]["message"]["content"], "the echo would have repeated it"
    sentence = "Seven herons stood on the frozen canal that morning."
    made = await proxy.admin("POST", "/v1/forget/entries", {"id": "doc", "name": "Herons", "documents": [sentence]})
    assert made.status_code == 201

    async def is_ready() -> bool:
        return bool((await proxy.admin("GET", "/v1/forget/entries/doc")).json()["memory"] == "ready")

    await until(is_ready)
    told = (await proxy.admin("POST", "/v1/forget/match", {"prompt": sentence})).json()
    assert told["decision"]["entries"] == ["doc"]
