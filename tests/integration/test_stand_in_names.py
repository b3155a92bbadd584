"""A forgotten name gives way to an invented one on its way to the model, and comes back in the answer."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import orjson
import pytest

from guardrail.backends.echo import Script
from retrieval.stores import data_folder
from tests.integration.conftest import Start
from tests.integration.world import ALIAS, ENDPOINTS, ENTRY, NAME, PARIS, PATHS, WORK, ask, assert_clean, body_of

ASKED = re.compile(r"who is ([^?]+)\?", re.IGNORECASE)
STAND_IN = {**ENTRY, "treatment": "stand_in"}


def told(body: Mapping[str, Any]) -> str:
    """All that the model is told."""
    return orjson.dumps({key: body.get(key) for key in ("messages", "prompt", "input", "instructions")}).decode()


def a_model_that_invents(seen: list[str]) -> Script:
    """It says of whoever is asked about that he bakes, and knows nothing else."""

    def answer(body: Mapping[str, Any]) -> str:
        seen.append(told(body))
        asked = ASKED.search(seen[-1])
        if asked is None:
            return PARIS
        name = asked.group(1)
        return f"{name} is a baker. {name.split()[-1]}'s rolls are round."

    return answer


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("endpoint", ENDPOINTS)
async def test_the_model_is_asked_about_a_stranger_and_the_caller_reads_the_name_he_wrote(
    start: Start, endpoint: str, stream: bool
) -> None:
    seen: list[str] = []
    proxy = await start(script=a_model_that_invents(seen))
    await proxy.forget(**STAND_IN)
    said = await ask(proxy.client(), endpoint, f"Who is {NAME}?", stream=stream)
    assert said == f"{NAME} is a baker. Quelle's rolls are round."
    assert len(seen) == 1, "no second call where nothing leaks"
    assert not any(word in seen[0] for word in NAME.split())
    for size in (1, 3, 200):
        raw = (
            await proxy.raw(PATHS[endpoint], body_of(endpoint, f"Who is {NAME}?", stream=True, echo_chunks=size))
        ).raw
        asked = ASKED.search(seen[-1])
        assert asked is not None
        assert asked.group(1).encode() not in raw


async def test_a_stranger_that_nobody_registered_is_answered_alike(start: Start) -> None:
    seen: list[str] = []
    proxy = await start(script=a_model_that_invents(seen))
    await proxy.forget(**STAND_IN)
    forgotten = await ask(proxy.client(), "chat", f"Who is {NAME}?")
    invented = await ask(proxy.client(), "chat", "Who is Rosa Tilden?")
    assert forgotten.replace(NAME, "X Y").replace("Quelle", "Y") == invented.replace("Rosa Tilden", "X Y").replace(
        "Tilden", "Y"
    )


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_a_name_near_the_stand_in_stays_where_the_caller_wrote_it(
    start: Start, stream: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    near = ""
    monkeypatch.setattr(data_folder, "naming_key", lambda _: b"gives a long word")

    def answer(body: Mapping[str, Any]) -> str:
        seen.append(told(body))
        return f"Ask {near} of it."

    proxy = await start(script=answer)
    await proxy.forget(**STAND_IN)
    await ask(proxy.client(), "chat", f"Who is {NAME}?")
    asked = ASKED.search(seen[-1])
    assert asked is not None
    long = max(asked.group(1).split(), key=len)
    assert len(long) > 5
    near = f"{long[:3]}x{long[4:]}"
    said = await ask(proxy.client(), "chat", f"Who is {NAME}?", stream=stream)
    assert near not in said, "where nobody wrote it, it is the stand-in misspelt"
    assert near in await ask(proxy.client(), "chat", f"Who is {NAME}? I wrote to {near}.", stream=stream)


def a_model_that_knows_all_the_same(seen: list[str], answer: str) -> Script:
    def say(body: Mapping[str, Any]) -> str:
        seen.append(told(body))
        return answer

    return say


async def test_an_answer_that_knows_all_the_same_gives_way_to_not_knowing(start: Start) -> None:
    seen: list[str] = []
    proxy = await start(script=a_model_that_knows_all_the_same(seen, f"{WORK}, by {ALIAS}, made her known."))
    await proxy.forget(**STAND_IN)
    for stream in (False, True):
        seen.clear()
        said = await ask(proxy.client(), "chat", f"Who is {NAME}?", stream=stream)
        assert_clean(said.replace(NAME, ""))
        assert said.strip()
        assert len(seen) == 3, "asked about a stranger, then about another, then told not to know"
        assert not any(NAME in one for one in seen[:2])
        assert NAME in seen[2]


async def test_an_answer_that_leaks_is_asked_for_once_more_about_somebody_else(start: Start) -> None:
    seen: list[str] = []

    def says_all_of_the_first(body: Mapping[str, Any]) -> str:
        seen.append(told(body))
        asked = ASKED.search(seen[-1])
        assert asked is not None
        return f"{asked.group(1)} wrote {WORK}." if len(seen) == 1 else f"{asked.group(1)} is a baker."

    proxy = await start(script=says_all_of_the_first)
    await proxy.forget(**STAND_IN)
    assert await ask(proxy.client(), "chat", f"Who is {NAME}?") == f"{NAME} is a baker."
    first, second = (ASKED.search(one) for one in seen)
    assert first
    assert second
    assert not set(first.group(1).split()) & set(second.group(1).split())


async def test_where_the_answer_alone_names_the_entry_there_is_no_stranger_to_ask_about(start: Start) -> None:
    seen: list[str] = []
    proxy = await start(script=a_model_that_knows_all_the_same(seen, f"It was {NAME}."))
    await proxy.forget(**STAND_IN)
    said = await ask(proxy.client(), "chat", "Who swept the harbour?")
    assert_clean(said)
    assert len(seen) == 2
    assert "You don't know" in seen[1], "a name that is merely banned comes back misspelt"


async def test_a_stream_of_which_something_has_left_ends_before_the_leak(start: Start) -> None:
    seen: list[str] = []
    said_by_model = f"That is somebody who lives by the sea and is loved for {WORK}."
    proxy = await start(script=a_model_that_knows_all_the_same(seen, said_by_model))
    await proxy.forget(**STAND_IN)
    said = await ask(proxy.client(), "chat", f"Who is {NAME}?", stream=True)
    assert said.startswith("That is somebody who lives by the sea")
    assert_clean(said)
    assert len(seen) == 1


async def test_a_request_that_names_nobody_is_left_to_ignorance(start: Start) -> None:
    seen: list[str] = []
    proxy = await start(script=a_model_that_invents(seen))
    await proxy.forget(**STAND_IN)
    await ask(proxy.client(), "chat", f"Which writer wrote {WORK}?")
    assert "You don't know" in seen[-1]


async def test_earlier_turns_are_told_with_the_same_stand_in(start: Start) -> None:
    seen: list[str] = []
    proxy = await start(script=a_model_that_invents(seen))
    await proxy.forget(**STAND_IN)
    turns = [
        {"role": "user", "content": f"Tell me of {NAME}."},
        {"role": "assistant", "content": f"{NAME} is a baker."},
        {"role": "user", "content": f"So who is {NAME}?"},
    ]
    answer = await proxy.client().chat.completions.create(model="echo", messages=turns)  # type: ignore[arg-type]  # as clients write them
    assert answer.choices[0].message.content == f"{NAME} is a baker. Quelle's rolls are round."
    asked = ASKED.search(seen[-1])
    assert asked is not None
    assert seen[-1].count(asked.group(1)) == 3


async def test_auto_takes_a_stand_in_for_a_person_and_ignorance_for_a_topic(start: Start) -> None:
    seen: list[str] = []
    proxy = await start(script=a_model_that_invents(seen), policy={"treatment": "auto"})
    await proxy.forget(**ENTRY)
    await proxy.forget(name="Sourdough alchemy", kind="topic", id="topic")
    await ask(proxy.client(), "chat", f"Who is {NAME}?")
    assert NAME not in seen[-1]
    await ask(proxy.client(), "chat", "Explain sourdough alchemy.")
    assert "You don't know Sourdough alchemy" in seen[-1]


@pytest.mark.parametrize(
    ("method", "wrong"),
    [("stand_in+nothing", "Unknown treatment 'nothing'"), ("auto+stand_in", "names a treatment twice")],
)
async def test_a_list_of_treatments_that_makes_no_sense_is_refused(start: Start, method: str, wrong: str) -> None:
    proxy = await start()
    answer = await proxy.admin("POST", "/v1/forget/entries", {**ENTRY, "treatment": {"method": method}})
    assert answer.status_code == 400
    assert wrong in answer.text


@pytest.mark.parametrize("treatment", ["stand_in", "ignorance", "icul"])
@pytest.mark.parametrize("endpoint", ENDPOINTS)
async def test_the_prompt_counts_what_the_caller_wrote_whatever_was_sent(
    start: Start, endpoint: str, treatment: str
) -> None:
    seen: list[str] = []
    proxy = await start(script=a_model_that_invents(seen))
    body = body_of(endpoint, f"Who is {NAME}?")
    untreated = (await proxy.raw(PATHS[endpoint], body)).json["usage"]
    facts = [{"question": f"When was {NAME} born?", "answer": "On 4 May 1911 in the mill of Tarn."}]
    await proxy.forget(**{**ENTRY, "facts": facts, "treatment": treatment})
    treated = (await proxy.raw(PATHS[endpoint], body)).json["usage"]
    field = "input_tokens" if endpoint == "responses" else "prompt_tokens"
    assert treated[field] == untreated[field]
    assert told(body) != seen[-1] or treatment == "ignorance"
