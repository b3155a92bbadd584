"""Conversations through the whole proxy: what goes on about an entry is treated, what has moved on is left alone."""

from __future__ import annotations

from typing import Any

from tests.integration.conftest import Start
from tests.integration.running import Running
from tests.integration.world import ENTRY, IGNORANT, KNOWS, NAME, PARIS, QUESTION, assert_clean


def turns(*texts: str) -> list[dict[str, Any]]:
    """Texts in turn from the caller and the model, the last from the caller."""
    roles = ["user" if (len(texts) - index) % 2 else "assistant" for index in range(len(texts))]
    return [{"role": role, "content": text} for role, text in zip(roles, texts, strict=True)]


async def test_a_turn_that_has_moved_on_reaches_the_model_as_the_caller_wrote_it(start: Start) -> None:
    seen: list[Any] = []

    def answers(body: Any) -> str:
        seen.append(body["messages"])
        return PARIS

    proxy = await start(script=answers)
    await proxy.forget(**ENTRY)
    messages = turns(QUESTION, IGNORANT, "Thanks. What is the capital of France?")
    for stream in (False, True):
        answer = await proxy.chat(messages=messages, stream=stream)
        text = answer.streamed_text if stream else answer.json["choices"][0]["message"]["content"]
        assert text == PARIS
        assert seen[-1] == messages


async def test_a_turn_that_goes_on_is_treated_in_every_format(echo: Running) -> None:
    await echo.forget(**ENTRY)
    follow_up = turns(QUESTION, IGNORANT, "What else did she write?")
    transcript = f"User: {QUESTION}\nAssistant: {IGNORANT}\nUser: What else did she write?\nAssistant:"
    for stream in (False, True):
        chat = await echo.chat(messages=follow_up, stream=stream)
        plain = await echo.raw("/v1/completions", {"model": "echo", "prompt": transcript, "stream": stream})
        responses = await echo.raw("/v1/responses", {"model": "echo", "input": follow_up, "stream": stream})
        for answer in (chat, plain, responses):
            assert answer.status == 200
            assert_clean(answer.raw)
            assert b"sequel" not in answer.raw


async def test_only_what_points_back_is_taken_out_of_a_turn(echo: Running) -> None:
    await echo.forget(**ENTRY)
    answer = await echo.chat(
        messages=turns(QUESTION, IGNORANT, "What else did she write? What is the capital of France?")
    )
    assert_clean(answer.raw)
    assert PARIS in answer.json["choices"][0]["message"]["content"]


async def test_the_dry_run_shows_what_was_carried_over_and_what_was_told_in_steps(echo: Running) -> None:
    await echo.forget(**ENTRY)
    first, last = NAME.split()
    cases = {
        "focus": turns(QUESTION, IGNORANT, "And her husband?"),
        "told_in_steps": turns(f"First name: {first}", "Noted.", f"Last name: {last}. Who is that?"),
    }
    for kind, messages in cases.items():
        told = (await echo.admin("POST", "/v1/forget/match", {"messages": messages})).json()
        (match,) = told["matches"]
        place = [(item["kind"], item["path"]) for item in match["evidence"] if item["kind"] == kind]
        assert place == [(kind, "messages.2.content")]
        assert (told["decision"]["action"], told["decision"]["shape"]) == ("treat", "pure")


async def test_a_model_that_knows_is_not_asked_about_a_role_that_it_plays(start: Start) -> None:
    proxy = await start(script={**KNOWS, "where were you": f"I, {NAME}, was born in Ven."})
    await proxy.forget(**ENTRY)
    messages = [
        {"role": "system", "content": f"You are {NAME}. Answer in her voice."},
        {"role": "user", "content": "Where were you born?"},
    ]
    assert_clean((await proxy.chat(messages=messages)).raw)
