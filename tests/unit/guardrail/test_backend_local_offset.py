"""The embedded model with an assistant: what the assistant expects is not said, everything else is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import orjson
import pytest

from guardrail.backends.protocol import Backend, Capability
from guardrail.backends.vllm_server import VllmServer
from guardrail.decision import Action, Decision, Detection
from guardrail.decoding.request import RestrictionRequest, offset_xargs
from guardrail.errors import ConfigError
from guardrail.openai_wire.completions import CompletionsWire
from guardrail.settings import PolicySettings, parse
from guardrail.treatments.text.apply import plan_for, treat
from guardrail.treatments.text.protocol import Means
from retrieval.entry import ForgetEntry
from tests.fakes import small_tokenizers
from tests.fakes.assistants import expecting, saved_assistant
from tests.fakes.forgotten import registered
from tests.fakes.local_backends import running, sent
from tests.fakes.tiny_llama import tiny_llama

TOKENIZER = small_tokenizers.byte_level()
TOKENIZER.chat_template = "{% for message in messages %}{{ message.content }}{% endfor %}"
NEW, YORK, ANN = (small_tokenizers.token_of(TOKENIZER, text) for text in (" New", " York", " Ann"))
LIKED = {str(YORK): 51, str(ANN): 50}
"""The model then writes York wherever nothing keeps it from it, and Ann where something does."""

CHAT, PLAIN, RESPONSES = "/v1/chat/completions", "/v1/completions", "/v1/responses"
BODIES: dict[str, dict[str, Any]] = {
    PLAIN: {"prompt": "x", "max_tokens": 6},
    CHAT: {"messages": [{"role": "user", "content": "x"}], "max_tokens": 6},
    RESPONSES: {"input": "x", "max_output_tokens": 6},
}
OFFSET = offset_xargs(0.75)

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    end = TOKENIZER.eos_token_id
    ends = {"bos_token_id": None, "eos_token_id": end, "pad_token_id": end}
    model = tiny_llama(vocab_size=len(TOKENIZER), max_position_embeddings=256, **ends)
    return saved_assistant(tmp_path_factory.mktemp("served"), model, TOKENIZER)


@pytest.fixture(scope="module")
def assistant(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """It expects York after everything."""
    model = expecting([YORK], vocab_size=len(TOKENIZER), max_position_embeddings=256)
    return saved_assistant(tmp_path_factory.mktemp("assistant"), model, TOKENIZER)


def served(folder: Path, assistant: Path | None) -> AbstractAsyncContextManager[Backend]:
    return running(model=str(folder), models={"m": "m"}, assistant=assistant)


@pytest.fixture
async def backend(folder: Path, assistant: Path) -> AsyncIterator[Backend]:
    async with served(folder, assistant) as made:
        yield made


async def written(backend: Backend, **body: Any) -> str:
    status, raw = await sent(backend, {**BODIES[PLAIN], "logit_bias": LIKED, "temperature": 0, **body}, PLAIN)
    assert status == 200, raw
    text: str = orjson.loads(raw)["choices"][0]["text"]
    return text


@pytest.mark.parametrize("how", [{}, {"temperature": 1, "seed": 3}, {"n": 2}, {"top_k": 5, "temperature": 0.5}])
async def test_what_the_assistant_expects_is_not_said(backend: Backend, how: dict[str, Any]) -> None:
    assert " York" in await written(backend, **how)
    said = await written(backend, **how, vllm_xargs=OFFSET)
    assert " York" not in said
    assert " Ann" in said


@pytest.mark.parametrize(("path", "asks"), [(PLAIN, {"logprobs": 1}), (CHAT, {"logprobs": True, "top_logprobs": 1})])
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("arguments", [OFFSET, RestrictionRequest(phrases=("York",)).to_xargs()])
async def test_no_alternative_tells_what_would_have_been_said(
    backend: Backend, path: str, asks: dict[str, Any], stream: bool, arguments: dict[str, Any]
) -> None:
    body = {**BODIES[path], **asks, "logit_bias": LIKED, "temperature": 0, "stream": stream}
    _, freely = await sent(backend, body, path)
    _, changed = await sent(backend, {**body, "vllm_xargs": arguments}, path)
    assert Capability.PROCESSED_LOGPROBS in backend.capabilities
    assert b" York" in freely
    assert b" Ann" in changed
    assert b"York" not in changed


@pytest.mark.parametrize("temperature", [0, 1])
async def test_an_offset_of_nothing_gives_the_same_answer(backend: Backend, temperature: int) -> None:
    how = {"temperature": temperature, "seed": 5, "logit_bias": {}}
    assert await written(backend, **how) == await written(backend, **how, vllm_xargs=offset_xargs(0.0))


async def test_where_the_assistant_expects_all_alike_a_greedy_answer_is_the_models_own(
    folder: Path, tmp_path: Path
) -> None:
    indifferent = saved_assistant(tmp_path, expecting([], vocab_size=len(TOKENIZER)), TOKENIZER)
    async with served(folder, indifferent) as backend:
        own = await written(backend, logit_bias={}, max_tokens=20)
        assert await written(backend, logit_bias={}, max_tokens=20, vllm_xargs=OFFSET) == own


async def test_forbidden_phrases_are_heeded_beside_an_offset(backend: Backend) -> None:
    both = {**OFFSET, **RestrictionRequest(phrases=("Ann",)).to_xargs()}
    said = await written(backend, vllm_xargs=both, max_tokens=12)
    assert "Ann" not in said
    assert " York" in said


async def test_offset_and_plain_answers_run_side_by_side(backend: Backend) -> None:
    import asyncio

    asked: list[dict[str, Any]] = [{}, {"vllm_xargs": OFFSET}] * 2
    said = await asyncio.gather(*(written(backend, **one) for one in asked))
    assert said[0] == said[2] == " York" * 6
    assert said[1] == said[3] == " Ann" * 6


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize("stream", [False, True])
async def test_no_answer_tells_of_the_offset(backend: Backend, path: str, stream: bool) -> None:
    status, raw = await sent(backend, {**BODIES[path], "stream": stream, "vllm_xargs": OFFSET}, path)
    assert status == 200
    assert not any(word in raw.lower() for word in (b"expunge", b"xargs", b"offset"))


@pytest.mark.parametrize("beta", ["0.75", -1, True, None, 1e38])
async def test_a_malformed_offset_is_a_400(backend: Backend, beta: Any) -> None:
    status, raw = await sent(backend, {**BODIES[PLAIN], "vllm_xargs": {"expunge_offset": beta}}, PLAIN)
    assert (status, orjson.loads(raw)["error"]["param"]) == (400, "vllm_xargs")


async def test_a_backend_without_an_assistant_cannot_and_says_so(folder: Path) -> None:
    async with served(folder, None) as backend:
        assert Capability.OFFSET not in backend.capabilities
        status, raw = await sent(backend, {**BODIES[PLAIN], "vllm_xargs": OFFSET}, PLAIN)
        assert status == 400
        assert "needs an assistant" in orjson.loads(raw)["error"]["message"]


async def test_what_a_plan_offsets_is_not_said(backend: Backend) -> None:
    assert Capability.OFFSET in backend.capabilities
    wire, body = CompletionsWire(), {"model": "m", **BODIES[PLAIN], "logit_bias": LIKED, "temperature": 0}
    passages = wire.passages(body)
    decision = Decision(
        action=Action.TREAT,
        treatment="restrict+offset",
        detections=(Detection(entry=registered(ForgetEntry(name="Zealand")), score=1.0, evidence=()),),
    )
    plan = plan_for(passages, decision, PolicySettings(), means=Means(capabilities=backend.capabilities))
    treated = treat(wire, body, orjson.dumps(body), plan)
    assert plan.treatment == "restrict+offset"
    assert treated.body["vllm_xargs"].keys() == {"expunge_phrases", "expunge_strength", "expunge_offset"}
    assert await written(backend, **treated.body) == " Ann" * 6
    assert await written(backend, **body) == " York" * 6


@pytest.mark.parametrize("wrong", ["missing", "other tokenizer"])
async def test_a_folder_that_is_no_assistant_keeps_the_backend_from_starting(
    folder: Path, tmp_path: Path, wrong: str
) -> None:
    if wrong == "other tokenizer":
        other = small_tokenizers.sentence_piece()
        saved_assistant(tmp_path, tiny_llama(vocab_size=len(other)), other)
    with pytest.raises(ConfigError, match=r"assistant: '.*' (is no folder with a model|has another tokenizer)"):
        async with served(folder, tmp_path):
            pass


def test_only_a_server_that_is_said_to_offset_can() -> None:
    one = {"name": "main", "kind": "vllm_server", "base_url": "http://127.0.0.1:9"}
    plain, told = (VllmServer(parse({"backends": [one | extra]}).backends[0]) for extra in ({}, {"offsets": True}))
    assert Capability.OFFSET not in plain.capabilities
    assert Capability.OFFSET in told.capabilities
    assert Capability.RESTRICT not in plain.capabilities | told.capabilities


@pytest.mark.parametrize("kind", ["vllm_server", "echo", "litellm_provider", "transformers_local"])
def test_each_setting_belongs_to_one_kind_of_backend(kind: str) -> None:
    one = {"name": "b", "kind": kind, "base_url": "http://127.0.0.1:9", "models": {"a": "b"}}
    for setting, value, home in (("offsets", True, "vllm_server"), ("assistant", "folder", "transformers_local")):
        if kind == home:
            assert parse({"backends": [one | {setting: value}]})
        else:
            with pytest.raises(ConfigError, match=setting):
                parse({"backends": [one | {setting: value}]})
