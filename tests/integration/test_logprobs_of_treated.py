"""Log-probabilities of treated answers: there where the model wrote the text, and in the words that the caller reads."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pytest

from guardrail.backends.echo import Echo
from guardrail.backends.protocol import Backend, Capability
from guardrail.settings import BackendSettings
from tests.integration.conftest import Start
from tests.integration.running import Answer, Running
from tests.integration.world import ENTRY, IGNORANT, NAME, PARIS, PATHS, body_of

ASKED = re.compile(r"who is ([^?]+)\?", re.IGNORECASE)
STRANGER = "Rosa Tilden"
SIZES = [1, 3, 200]
ASKS: dict[str, dict[str, Any]] = {
    "chat": {"logprobs": True, "top_logprobs": 2},
    "responses": {"include": ["message.output_text.logprobs"], "top_logprobs": 2},
}


def invents(body: Mapping[str, Any]) -> str:
    """It says of whoever is asked about that he bakes."""
    asked = ASKED.search(str({key: body.get(key) for key in ("messages", "prompt", "input")}))
    name = asked.group(1) if asked else "Nobody"
    return f"{name} is a baker. {name.split()[-1]}'s rolls are round."


async def asked_of(proxy: Running, endpoint: str, name: str, **fields: Any) -> Answer:
    return await proxy.raw(PATHS[endpoint], body_of(endpoint, f"Who is {name}?", **ASKS[endpoint], **fields))


def told(endpoint: str, answer: Answer, *, stream: bool) -> tuple[str, list[dict[str, Any]]]:
    """The text, and the rows of its tokens."""
    if endpoint == "chat":
        choices = [choice for event in (answer.events if stream else [answer.json]) for choice in event["choices"]]
        text = "".join(
            (choice.get("delta") or choice.get("message"))["content"] or "" for choice in choices if spoke(choice)
        )
        return text, [row for one in choices for row in ((one.get("logprobs") or {}).get("content") or ())]
    if stream:
        deltas = [event for event in answer.events if event["type"] == "response.output_text.delta"]
        return "".join(one["delta"] for one in deltas), [row for one in deltas for row in one["logprobs"]]
    (part,) = answer.json["output"][0]["content"]
    return part["text"], part["logprobs"]


def spoke(choice: dict[str, Any]) -> bool:
    return "content" in (choice.get("delta") or choice.get("message") or {})


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("endpoint", ASKS)
async def test_a_name_that_was_turned_back_stands_in_the_rows_as_in_the_text(
    start: Start, endpoint: str, stream: bool, size: int
) -> None:
    proxy = await start(script=invents)
    await proxy.forget(**ENTRY, treatment="stand_in")
    answer = await asked_of(proxy, endpoint, NAME, stream=stream, echo_chunks=size)
    text, rows = told(endpoint, answer, stream=stream)
    assert text == f"{NAME} is a baker. Quelle's rolls are round."
    assert "".join(row["token"] for row in rows) == text
    for row in rows:
        assert row["token"]
        assert row.get("bytes", list(row["token"].encode())) == list(row["token"].encode())
        assert row["top_logprobs"][0]["token"] == row["token"]
        assert row["logprob"] == -0.125


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("endpoint", ASKS)
async def test_the_shape_does_not_tell_a_forgotten_name_from_one_that_nobody_registered(
    start: Start, endpoint: str, stream: bool, size: int
) -> None:
    """But for how many rows there are: a name that was turned back is one, however many tokens it was."""
    proxy = await start(script=invents)
    await proxy.forget(**ENTRY, treatment="stand_in")
    shapes = []
    for name in (NAME, STRANGER):
        answer = await asked_of(proxy, endpoint, name, stream=stream, echo_chunks=size)
        _, rows = told(endpoint, answer, stream=stream)
        shapes.append([(sorted(row), len(row["top_logprobs"])) for row in rows])
    assert shapes[0]
    if size == max(SIZES):
        assert shapes[0] == shapes[1]
    assert set(map(str, shapes[0])) == set(map(str, shapes[1]))


async def test_an_answer_that_the_model_wrote_under_a_treatment_keeps_its_own(start: Start) -> None:
    proxy = await start(script=lambda _body: IGNORANT)
    await proxy.forget(**ENTRY)
    text, rows = told("chat", await asked_of(proxy, "chat", NAME), stream=False)
    assert (text, "".join(row["token"] for row in rows)) == (IGNORANT, IGNORANT)


async def test_words_of_expunges_own_have_none(start: Start) -> None:
    proxy = await start()
    await proxy.forget(**ENTRY)
    answer = await asked_of(proxy, "chat", NAME)
    assert answer.json["choices"][0]["logprobs"] is None
    mixed = f"Who is {NAME}, and what is the capital of France?"
    text, rows = told("chat", await proxy.raw(PATHS["chat"], body_of("chat", mixed, **ASKS["chat"])), stream=False)
    spelt = "".join(row["token"] for row in rows)
    assert text.endswith(spelt)
    assert 0 < len(spelt) < len(text)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_completions_drop_the_rows_of_what_was_turned_back_and_never_spell_the_invented_name(
    start: Start, stream: bool, size: int
) -> None:
    seen: list[str] = []

    def says(body: Mapping[str, Any]) -> str:
        seen.append(invents(body))
        return seen[-1]

    proxy = await start(script=says)
    await proxy.forget(**ENTRY, treatment="stand_in")
    body = body_of("completions", f"Who is {NAME}?", logprobs=1, stream=stream, echo_chunks=size)
    answer = await proxy.raw(PATHS["completions"], body)
    choices = [choice for event in (answer.events if stream else [answer.json]) for choice in event["choices"]]
    tokens = [token for one in choices for token in (one.get("logprobs") or {}).get("tokens") or ()]
    assert NAME in "".join(one["text"] for one in choices)
    for spelt in ("".join(one["text"] for one in choices), "".join(tokens), answer.raw.decode()):
        assert not [word for word in seen[-1].split()[:2] if word in spelt]


class Changing(Echo):
    """It takes lists of bad words, and gives log-probabilities as they were before these."""

    capabilities = Echo.capabilities | {Capability.BAD_WORDS}


class ChangingAndTelling(Changing):
    """As they are behind these."""

    capabilities = Changing.capabilities | {Capability.PROCESSED_LOGPROBS}


def changing(kind: type[Echo]) -> list[tuple[BackendSettings, Backend]]:
    settings = BackendSettings(name="echo", kind="echo")
    return [(settings, kind(settings, script=lambda body: IGNORANT if "bad_words" in body else PARIS))]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("endpoint", [*ASKS, "completions"])
async def test_where_decoding_was_changed_the_tokens_have_no_alternatives(
    start: Start, endpoint: str, stream: bool, size: int
) -> None:
    proxy = await start(backends=changing(Changing))
    await proxy.forget(**ENTRY, treatment="restrict")
    asks = ASKS.get(endpoint, {"logprobs": 2})
    for question, text, width in ((f"Who is {NAME}?", IGNORANT, 0), ("Capital of France?", PARIS, 2)):
        body = body_of(endpoint, question, stream=stream, echo_chunks=size, **asks)
        answer = await proxy.raw(PATHS[endpoint], body)
        if endpoint == "completions":
            choices = [one for event in (answer.events if stream else [answer.json]) for one in event["choices"]]
            columns = [one["logprobs"] for one in choices if one["logprobs"]]
            tokens = [token for one in columns for token in one["tokens"]]
            others = [others for one in columns for others in one["top_logprobs"]]
            assert len(others) == len(tokens)
            assert [len(one) if one is not None else 0 for one in others] == [width] * len(tokens)
        else:
            _, rows = told(endpoint, answer, stream=stream)
            tokens = [row["token"] for row in rows]
            assert [len(row["top_logprobs"]) for row in rows] == [width] * len(rows)
        assert "".join(tokens) == text
        # Ends of a stream repeat what its pieces said.
        assert (f"{text[:size]}1".encode() in answer.raw) == bool(width)


async def test_a_backend_that_tells_them_as_they_were_changed_keeps_them(start: Start) -> None:
    proxy = await start(backends=changing(ChangingAndTelling))
    await proxy.forget(**ENTRY, treatment="restrict")
    text, rows = told("chat", await asked_of(proxy, "chat", NAME), stream=False)
    assert text == IGNORANT
    assert {len(row["top_logprobs"]) for row in rows} == {2}
