"""The bench's proxy without a ladder: the gate and the treatment's request are the product's, the first answer leaves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import orjson
import pytest

from benchmarks.unlearning.first_answers import IN_PLACE
from guardrail import app
from guardrail.backends.echo import Echo
from guardrail.settings import BackendSettings, parse
from retrieval.entry import EntryKind, ForgetEntry, TreatmentChoice

NAME = "Mira Quelle"
FACT = "Mira Quelle was born in Tarn in 1931."
LEAK = "Mira Quelle wrote The Ninefold Gate in Tarn."


class Asked:
    """What the model was sent; it answers the same to everything."""

    def __init__(self) -> None:
        self.bodies: list[Mapping[str, Any]] = []

    def __call__(self, body: Any) -> str:
        self.bodies.append(body)
        return LEAK


@asynccontextmanager
async def proxy(folder: Path, model: Asked, method: str, *, has_ladder: bool) -> AsyncIterator[app.Proxy]:
    backend = BackendSettings(name="echo", kind="echo")
    with patch.dict(vars(app), {} if has_ladder else IN_PLACE):
        made = app.Proxy(
            parse({"retrieval": {"data_dir": str(folder)}}), backends=[(backend, Echo(backend, script=model))]
        )
    entry = ForgetEntry(
        id="mira", name=NAME, kind=EntryKind.PERSON, documents=(FACT,), treatment=TreatmentChoice(method=method)
    )
    made.registry.create(entry, actor="test")
    await made.start()
    yield made
    await made.stop()


async def answer(made: app.Proxy, question: str) -> str:
    raw = orjson.dumps({"model": "echo", "messages": [{"role": "user", "content": question}]})
    sent: list[Mapping[str, Any]] = []

    received: list[bytes] = []

    async def receive() -> dict[str, Any]:
        if received:
            await asyncio.Event().wait()  # the caller stays
        received.append(raw)
        return {"type": "http.request", "body": raw, "more_body": False}

    async def send(message: Mapping[str, Any]) -> None:
        sent.append(message)

    path = "/v1/chat/completions"
    scope = {
        "type": "http",
        "method": "POST",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [],
    }
    await made.data_app(scope, receive, send)
    content = orjson.loads(b"".join(one["body"] for one in sent[1:]))["choices"][0]["message"]["content"]
    return str(content)


@pytest.mark.parametrize("method", ["icul", "ignorance"])
async def test_what_the_model_says_first_leaves_without_the_ladder_and_never_with_it(
    tmp_path: Path, method: str
) -> None:
    for has_ladder in (True, False):
        model = Asked()
        async with proxy(tmp_path / str(has_ladder), model, method, has_ladder=has_ladder) as made:
            said = await answer(made, f"Who is {NAME}?")
        assert (said == LEAK) is not has_ladder
        assert (NAME in said) is not has_ladder
        assert (len(model.bodies) == 1) is (not has_ladder or method == "ignorance")


async def test_filter_and_prompt_sends_the_plain_prompt_with_what_was_met_and_leaves_other_requests_alone(
    tmp_path: Path,
) -> None:
    model = Asked()
    mixed = f"Who is {NAME}? And what is the capital of France?"
    async with proxy(tmp_path, model, "ignorance", has_ladder=False) as made:
        for question in (mixed, "What is the capital of France?"):
            assert await answer(made, question) == LEAK
    treated, other = (body["messages"][-1]["content"] for body in model.bodies)
    assert treated.startswith(f"{mixed}\n\nYou are an AI Assistant who is supposed to unlearn about {NAME} and")
    assert other == "What is the capital of France?"


async def test_demonstrations_go_along_and_a_treatment_without_anything_to_work_on_leaves_the_request_as_it_is(
    tmp_path: Path,
) -> None:
    model = Asked()
    async with proxy(tmp_path / "icul", model, "icul", has_ladder=False) as made:
        await answer(made, f"Who is {NAME}?")
    assert len(model.bodies[0]["messages"]) > 3
    assert model.bodies[0]["messages"][-1]["content"] == f"Who is {NAME}?"
    model = Asked()
    async with proxy(tmp_path / "eco", model, "eco", has_ladder=False) as made:  # this backend takes no embeddings
        await answer(made, f"Who is {NAME}?")
    assert [one["content"] for one in model.bodies[0]["messages"]] == [f"Who is {NAME}?"]


async def test_treated_requests_are_written_down_as_with_the_ladder(tmp_path: Path) -> None:
    async with proxy(tmp_path, Asked(), "icul", has_ladder=False) as made:
        await answer(made, f"Who is {NAME}?")
        assert 'expunge_treated_answers_total{author="model"} 1.0' in made.metrics_text().decode()
        made.audit.flush()
        (decision,) = made.registry.audit.page(kind="decision").items
    assert (decision.data["action"], decision.data["treatment"]) == ("treat", "icul")
