"""What operators see: an entry takes effect with its 201, where and while it should, and its end brings the answer back."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.integration.conftest import Start
from tests.integration.running import Running, echo_backend
from tests.integration.world import (
    ALIAS,
    ENDPOINTS,
    ENTRY,
    KNOWS,
    LEAK,
    NAME,
    PARIS,
    QUESTION,
    WORK,
    ask,
    assert_clean,
    obeys,
)

PAGE = (
    f"{NAME} was born in a harbour town and taught at its school for many years before she began to write in the "
    f"evenings. Her first book was {WORK}, which the town library keeps behind glass together with her letters. "
    "Critics praised its calm, its long sentences and its love of rain, and it was read in schools for a while."
)


async def test_an_entry_counts_from_its_201_and_its_end_brings_the_answer_back(echo: Running) -> None:
    client = echo.client()
    for _ in range(3):
        assert await ask(client, "chat", QUESTION) == LEAK
        created = await echo.admin("POST", "/v1/forget/entries", {"name": NAME, "aliases": [ALIAS], "facts": [WORK]})
        assert (created.status_code, created.json()["state"]) == (201, "suppressed")
        for endpoint in ENDPOINTS:
            assert_clean(await ask(client, endpoint, QUESTION))
            assert await ask(client, endpoint, "What is the capital of France?") == PARIS
        revoked = await echo.admin("DELETE", f"/v1/forget/entries/{created.json()['id']}")
        assert revoked.json()["state"] == "revoked"
        assert await ask(client, "chat", QUESTION) == LEAK


async def test_every_request_after_a_201_is_treated_while_others_are_under_way(echo: Running) -> None:
    stop = asyncio.Event()

    async def chatter() -> None:
        while not stop.is_set():
            await echo.chat("What is the capital of France?")

    others = [asyncio.create_task(chatter()) for _ in range(3)]
    for number in range(20):
        await echo.forget(f"Person Number{number}x", id=f"p{number}")
        answer = await echo.chat(f"Tell me of Person Number{number}x")
        assert f"Number{number}x" not in answer.json["choices"][0]["message"]["content"]
    stop.set()
    await asyncio.gather(*others)


async def test_a_revision_counts_at_once(echo: Running) -> None:
    await echo.forget(**ENTRY)
    answer = await echo.admin("PATCH", "/v1/forget/entries/mira", {"treatment": "refusal"})
    assert answer.status_code == 200
    assert (await echo.chat(QUESTION)).json["choices"][0]["message"]["refusal"]
    await echo.admin("PATCH", "/v1/forget/entries/mira", {"name": "Somebody Unheard", "aliases": [], "facts": []})
    assert await ask(echo.client(), "chat", QUESTION) == LEAK


async def test_the_other_things_that_a_request_asks_for_are_answered(echo: Running) -> None:
    await echo.forget(**ENTRY)
    client = echo.client()
    for stream in (False, True):
        for endpoint in ENDPOINTS:
            said = await ask(client, endpoint, f"{QUESTION} And what is the capital of France?", stream=stream)
            assert_clean(said)
            assert PARIS in said
            assert said.index("know") < said.index("Paris") if "know" in said else said.strip() != PARIS


async def test_a_question_that_follows_up_is_treated_too(echo: Running) -> None:
    await echo.forget(**ENTRY)
    turns = [
        {"role": "user", "content": QUESTION},
        {"role": "assistant", "content": "I'm not familiar with that person."},
        {"role": "user", "content": "What else did she write?"},
    ]
    for stream in (False, True):
        answer = await echo.chat(messages=turns, stream=stream)
        assert_clean(answer.raw)
        assert b"sequel" not in answer.raw, "a fact about her without her name is knowledge too"


@pytest.mark.parametrize("how", ["pasted page", "tool result"])
async def test_content_that_the_caller_hands_in_follows_the_entrys_wish(start: Start, how: str) -> None:
    seen: list[Any] = []

    def reads(body: Any) -> str:
        seen.append(body)
        text = str(body["messages"])
        return f"The page is about {NAME}, who wrote {WORK}." if WORK in text else "The page is about [...]."

    proxy = await start(script=reads)
    if how == "pasted page":
        messages: list[dict[str, Any]] = [{"role": "user", "content": f"Sum up this page:\n\n{PAGE}"}]
    else:
        call = {"id": "c1", "type": "function", "function": {"name": "fetch", "arguments": "{}"}}
        messages = [
            {"role": "user", "content": "Sum up what you find."},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c1", "content": PAGE},
        ]
    await proxy.forget(**ENTRY)
    for stream in (False, True):
        allowed = await proxy.chat(messages=messages, stream=stream)
        text = allowed.streamed_text if stream else allowed.json["choices"][0]["message"]["content"]
        assert (NAME in text, WORK in text) == (True, True), "forgetting is about what the model brings by itself"
    await proxy.admin("PATCH", "/v1/forget/entries/mira", {"supplied_context": "redact"})
    answer = await proxy.chat(messages=messages)
    assert_clean(str(seen[-1]["messages"]), answer.raw)
    assert "harbour town" in str(seen[-1]["messages"])
    asked = len(seen)
    await proxy.admin("PATCH", "/v1/forget/entries/mira", {"supplied_context": "refuse"})
    answer = await proxy.chat(messages=messages)
    assert answer.json["choices"][0]["message"]["refusal"]
    assert len(seen) == asked, "the backend was not asked"


async def test_content_that_is_handed_in_may_be_told_but_what_the_model_adds_to_it_may_not(start: Start) -> None:
    told = "The sea had always frightened her since a shipwreck in her ninth winter."
    said = "The page is about the evenings in which she wrote, and her letters under glass."
    proxy = await start(script=lambda body: "I don't know." if "You don't know" in str(body) else said)
    await proxy.forget(**ENTRY, documents=[told])
    call = {"id": "c1", "type": "function", "function": {"name": "fetch", "arguments": "{}"}}
    messages: list[dict[str, Any]] = [
        {"role": "user", "content": "Read what you find and answer it."},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": f"{PAGE}\nWhat is {NAME} afraid of, and why?"},
    ]

    async def answered() -> str:
        whole = await proxy.chat(messages=messages)
        streamed = await proxy.chat(messages=messages, stream=True)
        assert streamed.streamed_text == whole.json["choices"][0]["message"]["content"]
        return streamed.streamed_text

    assert await answered() == said
    said = "The sea frightened her always, since a shipwreck in her ninth winter."
    assert "shipwreck" not in await answered()
    messages[-1]["content"] += f" {told}"
    assert await answered() == said


async def test_an_entry_in_shadow_is_decided_and_recorded_but_not_acted_on(echo: Running) -> None:
    await echo.forget(**ENTRY, shadow=True)
    client = echo.client()
    for stream in (False, True):
        assert await ask(client, "chat", QUESTION, stream=stream) == LEAK
    assert (await echo.raw("/v1/embeddings", {"model": "echo", "input": QUESTION})).status == 200
    assert (await echo.raw("/v1/nothing", {})).status == 404, "not denied"
    echo.proxy.audit.flush()
    records = (await echo.admin("GET", "/v1/audit?kind=decision")).json()["data"]
    assert [record["data"]["shadow"][0]["id"] for record in records] == ["mira"] * 3
    assert all(record["data"]["action"] == "pass" for record in records)


async def test_times_are_looked_at_when_a_request_comes(echo: Running) -> None:
    now = datetime.now(UTC)
    client = echo.client()
    soon = now + timedelta(seconds=0.6)
    later = now + timedelta(seconds=1.4)
    created = await echo.admin(
        "POST",
        "/v1/forget/entries",
        {**ENTRY, "effective_at": soon.isoformat(), "expires_at": later.isoformat()},
    )
    states = [created.json()["state"]]
    answers = [await ask(client, "chat", QUESTION)]
    for moment in (soon, later):
        await asyncio.sleep(max(0.0, (moment - datetime.now(UTC)).total_seconds()) + 0.01)
        answers.append(await ask(client, "chat", QUESTION))
        states.append((await echo.admin("GET", "/v1/forget/entries/mira")).json()["state"])
    assert states == ["scheduled", "suppressed", "expired"]
    assert [answer == LEAK for answer in answers] == [True, False, True]


async def test_an_entry_covers_the_models_it_names(start: Start) -> None:
    first = echo_backend(KNOWS, models={"small": "echo", "large": "echo"})
    proxy = await start(backends=[first])
    await proxy.forget(**ENTRY, scope={"models": ["small"]})
    body = {"messages": [{"role": "user", "content": QUESTION}]}
    small = await proxy.raw("/v1/chat/completions", {"model": "small", **body})
    large = await proxy.raw("/v1/chat/completions", {"model": "large", **body})
    assert_clean(small.raw)
    assert large.json["choices"][0]["message"]["content"] == LEAK
    assert (small.json["model"], large.json["model"]) == ("small", "large")
    unnamed = await proxy.raw("/v1/chat/completions", body)
    assert unnamed.status in (200, 404)
    assert_clean(unnamed.raw)


async def test_the_dry_run_says_what_would_be_done_and_asks_no_backend(start: Start) -> None:
    seen: list[Any] = []
    proxy = await start(script=lambda body: seen.append(body) or "hi")  # type: ignore[func-returns-value]
    await proxy.forget(**ENTRY)
    for body in ({"messages": [{"role": "user", "content": QUESTION}]}, {"prompt": QUESTION}, {"input": QUESTION}):
        told = (await proxy.admin("POST", "/v1/forget/match", body)).json()
        assert told["decision"]["action"] == "treat"
        assert told["decision"]["treatment"] == "ignorance"
        assert told["matches"][0]["id"] == "mira"
        assert told["matches"][0]["evidence"][0]["kind"] == "name"
    told = (await proxy.admin("POST", "/v1/forget/match", {"prompt": "hello"})).json()
    assert (told["decision"]["action"], told["matches"]) == ("pass", [])
    assert not seen


async def test_the_share_of_answers_that_the_model_wrote_itself_is_counted(start: Start) -> None:
    for script, author in ((obeys, "model"), (KNOWS, "expunge")):
        proxy = await start(script=script)
        await proxy.forget(**ENTRY)
        for stream in (False, True):
            assert_clean((await proxy.chat(QUESTION, stream=stream)).raw)
        metrics = await proxy.metrics()
        assert metrics[f'expunge_treated_answers_total{{author="{author}"}}'] == 2
        assert metrics['expunge_decisions_total{action="treat",treatment="ignorance"}'] == 2
