"""The embedded model reads a treatment's embeddings where they stand in a message, and nobody else's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
import torch
from tokenizers import pre_tokenizers

from guardrail.backends.local_batch import PREFILL_TOKENS, Batch
from guardrail.backends.local_model import LoadedModel
from guardrail.backends.local_sequence import Sequence
from guardrail.backends.local_wire import Asked, read
from guardrail.backends.protocol import BackendAnswer, BackendCall
from guardrail.backends.router import Route
from guardrail.decision import Caller, Corruption, TreatedRequest
from guardrail.decoding.prompt_embeds import EmbeddingTable, encoded
from guardrail.errors import ApiError
from guardrail.forward import Request, send
from guardrail.openai_wire.chat import ChatWire
from tests.fakes.small_tokenizers import byte_level
from tests.fakes.tiny_llama import tiny_llama

CHAT = "/v1/chat/completions"
TEMPLATE = "{% for one in messages %}<{{ one['role'] }}>{{ one['content'] }}\n{% endfor %}"
LONG = "Who is Zoë? " * 30


@pytest.fixture(scope="module")
def loaded() -> LoadedModel:
    tokenizer = byte_level()
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.chat_template = TEMPLATE
    model = tiny_llama(vocab_size=len(tokenizer), initializer_range=0.5).eval()
    return LoadedModel(
        name="tiny",
        model=model,
        tokenizer=tokenizer,
        device=torch.device("cpu"),
        context_tokens=2048,
        stop_ids=frozenset(),
    )


@pytest.fixture(scope="module")
def table(loaded: LoadedModel, tmp_path_factory: pytest.TempPathFactory) -> EmbeddingTable:
    folder: Path = tmp_path_factory.mktemp("model")
    loaded.model.save_pretrained(str(folder))
    loaded.tokenizer.save_pretrained(str(folder))
    return EmbeddingTable.open(folder)


def asked(loaded: LoadedModel, *contents: Any, has_embeds: bool = True) -> Asked:
    messages = [{"role": "user", "content": content} for content in contents]
    return read(CHAT, orjson.dumps({"messages": messages}), loaded=loaded, models=["m"], has_embeds=has_embeds)


def part(data: str) -> dict[str, str]:
    return {"type": "prompt_embeds", "data": data}


def logits(loaded: LoadedModel, one: Asked) -> torch.Tensor:
    """The logits behind the whole prompt."""
    sequence = Sequence(
        index=0,
        prompt=list(one.prompts[0]),
        sampling=one.sampling,
        loaded=loaded,
        emit=lambda piece: None,
        embeds=one.embeds,
    )
    batch = Batch(loaded, sequence)
    with torch.inference_mode():
        while batch.reading:
            read_BV = batch.read()
    assert read_BV is not None
    return read_BV[0]


def test_embeddings_of_a_text_are_read_as_the_text_itself(loaded: LoadedModel, table: EmbeddingTable) -> None:
    plain = asked(loaded, "Hello.", LONG)
    embedded = asked(loaded, "Hello.", [part(table.wire_form(LONG, ()))])
    assert len(plain.prompts[0]) > PREFILL_TOKENS
    assert len(embedded.prompts[0]) == len(plain.prompts[0])
    torch.testing.assert_close(logits(loaded, embedded), logits(loaded, plain))


def test_corrupted_places_change_what_the_model_says(loaded: LoadedModel, table: EmbeddingTable) -> None:
    start = LONG.index("Zoë")
    name = Corruption(
        path=(), start=start, end=start + 3, written="Zoë", kind="rand_noise_first_n", strength=4.0, seed=1
    )
    corrupted = logits(loaded, asked(loaded, [part(table.wire_form(LONG, [name]))]))
    assert (corrupted - logits(loaded, asked(loaded, LONG))).abs().max() > 0.01


def test_parts_and_texts_may_stand_side_by_side(loaded: LoadedModel, table: EmbeddingTable) -> None:
    text = {"type": "text", "text": " and "}
    mixed = asked(loaded, [part(table.wire_form("An", ())), text, part(table.wire_form("Zoë", ()))], "Hello.")
    torch.testing.assert_close(logits(loaded, mixed), logits(loaded, asked(loaded, "An and Zoë", "Hello.")))


def test_a_callers_own_embeddings_are_refused(loaded: LoadedModel, table: EmbeddingTable) -> None:
    with pytest.raises(ApiError) as caught:
        asked(loaded, [part(table.wire_form("Hello.", ()))], has_embeds=False)
    assert caught.value.status == 400
    assert caught.value.param == "messages.0.content"


@pytest.mark.parametrize("data", ["", "x", encoded(np.zeros((2, 7), dtype=np.float32))])
def test_embeddings_of_another_model_are_refused(loaded: LoadedModel, data: str) -> None:
    with pytest.raises(ApiError) as caught:
        asked(loaded, [part(data)])
    assert caught.value.status == 400


def test_a_template_that_drops_a_message_is_not_answered_without_it(
    loaded: LoadedModel, table: EmbeddingTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loaded.tokenizer, "chat_template", "{{ messages[-1]['content'] }}")
    with pytest.raises(ApiError, match="template"):
        asked(loaded, [part(table.wire_form("Hello.", ()))], "And?")


class Noting:
    """A backend that notes its call and answers that it is busy."""

    name = "noting"

    def __init__(self) -> None:
        self.calls: list[BackendCall] = []

    async def send(self, call: BackendCall) -> BackendAnswer:
        self.calls.append(call)
        raise ApiError("busy", status=503)


@pytest.mark.parametrize("has_embeds", [True, False])
async def test_the_backend_is_told_whose_the_embeddings_are(has_embeds: bool) -> None:
    backend: Any = Noting()
    body = {"messages": [{"role": "user", "content": "Hello."}]}
    request = Request(wire=ChatWire(), body=body, raw=b"{}", caller=Caller(), request_id="r")
    treated = TreatedRequest(body=dict(body), raw=b"{}", has_embeds=has_embeds)
    with pytest.raises(ApiError):
        await send(request, Route(backend=backend, model="m", upstream_model="m"), treated)
    assert [call.has_embeds for call in backend.calls] == [has_embeds]
