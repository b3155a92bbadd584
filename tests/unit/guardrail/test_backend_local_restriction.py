"""The embedded model keeps forbidden phrases from being written, however it is asked and pushed."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from tokenizers import Tokenizer, decoders, models

from guardrail.backends.protocol import Backend, Capability
from guardrail.backends.transformers_local import TransformersLocal
from guardrail.decision import Action, Decision, Detection, TreatmentPlan
from guardrail.decoding.request import RestrictionRequest
from guardrail.openai_wire.completions import CompletionsWire
from guardrail.settings import BackendSettings, PolicySettings
from guardrail.treatments.text.apply import treat
from guardrail.treatments.text.protocol import Means, TreatmentContext
from guardrail.treatments.text.question import read_question
from guardrail.treatments.text.restrict import Restrict
from retrieval.entry import ForgetEntry
from tests.fakes import small_tokenizers
from tests.fakes.forgotten import registered
from tests.fakes.local_backends import running, sent
from tests.fakes.tiny_llama import tiny_llama

TOKENIZER = small_tokenizers.byte_level()
NEW, YORK = (small_tokenizers.token_of(TOKENIZER, text) for text in (" New", " York"))
PUSH = {str(NEW): 100, str(YORK): 100}
"""The model then writes little else than the two words, in any order."""

CHAT, PLAIN, RESPONSES = "/v1/chat/completions", "/v1/completions", "/v1/responses"
BANNED = RestrictionRequest(phrases=("new york",)).to_xargs()

pytestmark = pytest.mark.usefixtures("one_thread")


def saved(folder: Path, tokenizer: Any) -> Path:
    """A tiny model in a folder, with this tokenizer."""
    end = tokenizer.eos_token_id
    shape = {"vocab_size": len(tokenizer), "bos_token_id": None, "eos_token_id": end, "pad_token_id": end}
    tiny_llama(max_position_embeddings=256, **shape).save_pretrained(folder)
    tokenizer.chat_template = "{% for message in messages %}{{ message.content }}{% endfor %}"
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(tmp_path_factory.mktemp("restricted"), small_tokenizers.byte_level())


@pytest.fixture
async def backend(folder: Path) -> AsyncIterator[Backend]:
    async with running(model=str(folder), models={"m": "m"}) as made:
        yield made


async def written(backend: Backend, **body: Any) -> str:
    """What the pushed model writes."""
    pushed = {"prompt": "x", "max_tokens": 40, "logit_bias": PUSH, "seed": 3, "temperature": 1, **body}
    status, raw = await sent(backend, pushed, PLAIN)
    assert status == 200, raw
    text: str = orjson.loads(raw)["choices"][0]["text"]
    return text


@pytest.mark.parametrize("how", [{"seed": 3}, {"seed": 4}, {"temperature": 0}, {"top_k": 2}, {"n": 2}])
async def test_a_forbidden_phrase_is_not_written_however_the_token_is_chosen(
    backend: Backend, how: dict[str, Any]
) -> None:
    freely = await written(backend, **(how | {"temperature": 1}))
    kept = await written(backend, **how, vllm_xargs=BANNED)
    assert "New York" in freely
    assert "New York" not in kept
    assert " New" in kept or " York" in kept


async def test_an_answer_without_a_restriction_beside_a_restricted_one_is_free(backend: Backend) -> None:
    assert await written(backend) == await written(backend, vllm_xargs={}) == await written(backend, vllm_xargs=None)
    restricted = await written(backend, vllm_xargs=BANNED)
    assert await written(backend) != restricted


@pytest.mark.parametrize(
    "arguments",
    [
        "New York",
        ["New York"],
        {"expunge_phrases": ["New York"]},
        {"expunge_phrases": "New York"},
        {"expunge_strength": 1},
    ],
)
async def test_broken_restrictions_are_a_400_that_does_not_repeat_them(backend: Backend, arguments: Any) -> None:
    status, raw = await sent(backend, {"prompt": "x", "vllm_xargs": arguments}, PLAIN)
    assert status == 400
    assert orjson.loads(raw)["error"]["param"] == "vllm_xargs"
    assert b"New York" not in raw


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (PLAIN, {"prompt": "x"}),
        (CHAT, {"messages": [{"role": "user", "content": "x"}]}),
        (RESPONSES, {"input": "x"}),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_no_answer_repeats_what_was_forbidden(
    backend: Backend, path: str, body: dict[str, Any], stream: bool
) -> None:
    limit = {"max_output_tokens" if path == RESPONSES else "max_tokens": 4}
    extra = {"vllm_xargs": BANNED, "bad_words": ["new york"], "stream": stream, "temperature": 0, **limit}
    status, raw = await sent(backend, {**body, **extra}, path)
    assert status == 200
    assert not any(word in raw.lower() for word in (b"expunge", b"xargs", b"bad_words", b"new york"))


async def test_what_a_plan_forbids_cannot_be_written(backend: Backend) -> None:
    entry = registered(ForgetEntry(name="New York"))
    body: dict[str, Any] = {"model": "m", "prompt": "x", "max_tokens": 40, "logit_bias": PUSH, "seed": 3}
    wire = CompletionsWire()
    passages = wire.passages(body)
    decision = Decision(
        action=Action.TREAT, treatment="restrict", detections=(Detection(entry=entry, score=1.0, evidence=()),)
    )
    plan = Restrict().plan(
        TreatmentContext(
            passages=passages,
            decision=decision,
            question=read_question(passages, decision),
            policy=PolicySettings(),
            repair=TreatmentPlan(treatment="").repair,
            means=Means(capabilities=backend.capabilities),
        )
    )
    assert plan is not None
    treated = treat(wire, body, orjson.dumps(body), plan)
    assert "New York" in json.loads(treated.body["vllm_xargs"]["expunge_phrases"])
    assert "New York" not in await written(backend, **treated.body)
    assert "New York" in await written(backend, **body)


async def test_a_tokenizer_that_cannot_be_told_token_by_token_restricts_nothing_and_says_so(tmp_path: Path) -> None:
    plain = Tokenizer(models.WordLevel({"x": 0, "y": 1, small_tokenizers.END: 2}, unk_token="x"))
    plain.decoder = decoders.WordPiece()
    folder = saved(tmp_path, small_tokenizers.wrapped(plain, end=small_tokenizers.END))
    settings = BackendSettings(name="m", kind="transformers_local", model=str(folder))
    assert Capability.RESTRICT in TransformersLocal(settings).capabilities
    async with running(model=str(folder), models={"m": "m"}) as backend:
        assert Capability.RESTRICT not in backend.capabilities
        assert Capability.BAD_WORDS in backend.capabilities
        status, raw = await sent(backend, {"prompt": "x", "vllm_xargs": BANNED}, PLAIN)
        assert (status, orjson.loads(raw)["error"]["code"]) == (400, "unsupported_value")
