"""Whole answers under inspection, and their delivery."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest

from guardrail.decision import OnLeak
from guardrail.errors import BackendError
from guardrail.streaming.answers import inspect_answer
from guardrail.streaming.delivery import Attempt, deliver_whole
from tests.fakes.forgotten import REDACTION, Leaks, leaks_in, plan_of
from tests.fakes.wire_streams import ScriptedAnswer

ADMISSION = "I'm not familiar with that person."
NATURAL = "I'm not familiar with that."
USAGE = {"prompt_tokens": 9, "completion_tokens": 90, "total_tokens": 99}


def chat(*texts: str, **message: Any) -> dict[str, Any]:
    choices = [
        {
            "index": index,
            "message": {"role": "assistant", "content": text, **message},
            "logprobs": None,
            "finish_reason": "stop",
        }
        for index, text in enumerate(texts)
    ]
    return {
        "id": "c1",
        "object": "chat.completion",
        "created": 5,
        "model": "m",
        "choices": choices,
        "usage": dict(USAGE),
    }


def contents(body: dict[str, Any]) -> list[str]:
    return [choice["message"]["content"] for choice in body["choices"]]


def test_an_answer_without_a_leak_is_not_changed() -> None:
    answer = chat("An author.", reasoning="Hm.", tool_calls=[{"id": "1", "function": {"name": "f", "arguments": "{}"}}])
    before = orjson.dumps(answer)
    result = inspect_answer(plan_of(), answer)
    assert not result.changed
    assert orjson.dumps(result.body) == before


def test_one_leaking_choice_leaves_the_others_whole() -> None:
    texts = ("Nothing here.\n\n  * a list", "By Stephen King.", "Nor  here.")
    for on_leak in OnLeak:
        result = inspect_answer(plan_of(on_leak=on_leak, body={"n": 3}), chat(*texts))
        assert contents(result.body)[0] == texts[0]
        assert contents(result.body)[2] == texts[2]
        assert not leaks_in(contents(result.body)[1])


def test_a_rewrite_takes_out_the_sentences_that_leak_and_keeps_the_rest_with_its_white_space() -> None:
    text = "The book is old.\n\nThe author is Stephen King. It has 400 pages.\n* A list item stays.\n"
    result = inspect_answer(plan_of(on_leak=OnLeak.REWRITE), chat(text))
    assert contents(result.body) == ["The book is old.\n\nIt has 400 pages.\n* A list item stays."]
    assert not result.natural


def test_sentences_that_say_a_name_only_together_do_not_stay() -> None:
    text = "We all know Stephen\nRichard Bachman wrote it for them.\nKing is a title."
    result = inspect_answer(plan_of(on_leak=OnLeak.REWRITE), chat(text))
    assert not leaks_in(contents(result.body)[0])


def test_the_natural_answer_stands_where_nothing_is_left() -> None:
    answer = chat(
        "Stephen King.",
        reasoning="It is Steve.",
        tool_calls=[{"id": "1", "function": {"name": "f", "arguments": "{}"}}],
    )
    answer["choices"][0]["finish_reason"] = "length"
    result = inspect_answer(plan_of(on_leak=OnLeak.REWRITE), answer)
    [choice] = result.body["choices"]
    assert result.natural
    assert choice["finish_reason"] == "stop"
    assert {key: value for key, value in choice["message"].items() if value} == {
        "role": "assistant",
        "content": NATURAL,
    }


def test_a_stop_keeps_what_stands_before_the_leak() -> None:
    result = inspect_answer(plan_of(on_leak=OnLeak.STOP), chat("It is by Stephen King, who wrote more."))
    assert contents(result.body) == ["It is by ... I am not sure about that."]


def test_an_answer_that_does_not_own_to_not_knowing_is_replaced_and_an_admission_stays() -> None:
    plan = plan_of(on_leak=OnLeak.REWRITE, ignorance=True)
    assert contents(inspect_answer(plan, chat("He is an author.")).body) == [NATURAL]
    assert contents(inspect_answer(plan, chat(f"{ADMISSION} He is an author. Sorry.")).body) == [f"{ADMISSION} Sorry."]
    assert not inspect_answer(plan, chat(ADMISSION)).changed


def test_a_leak_asks_for_a_new_answer_where_that_may_be() -> None:
    leaks = Leaks()
    plan = plan_of(on_leak=OnLeak.REWRITE, may_restart=True, leaks=leaks)
    assert inspect_answer(plan, chat("By Stephen King, and J. K. Rowling.")).restart
    assert [(leak.entry.id, action) for leak, action in leaks] == [("e0", OnLeak.REWRITE), ("e1", OnLeak.REWRITE)]


def test_reasoning_refusal_and_unknown_fields_are_cleaned_as_well() -> None:
    answer = chat(
        "Fine.",
        reasoning="By Steve.",
        refusal="Not Steve.",
        notes={"deep": ["Steve"]},
        annotations=[{"url": "x/Steve"}],
    )
    [choice] = inspect_answer(plan_of(), answer).body["choices"]
    assert "Steve" not in json.dumps(choice)
    assert choice["message"]["content"] == "Fine."


def test_tool_arguments_stay_json_and_json_answers_too() -> None:
    arguments = json.dumps({"q": "Zoë Überschär", "n": 5550199123})
    answer = chat(json.dumps({"a": "Stephen\nKing"}), tool_calls=[{"function": {"name": "f", "arguments": arguments}}])
    for on_leak in OnLeak:
        plan = plan_of(on_leak=on_leak, json_answer=True, ignorance=True)
        [choice] = inspect_answer(plan, orjson.loads(orjson.dumps(answer)), prefix="No idea. ").body["choices"]
        assert json.loads(choice["message"]["content"]) == {"a": REDACTION}
        assert json.loads(choice["message"]["tool_calls"][0]["function"]["arguments"]) == {
            "q": REDACTION,
            "n": 1111111111,
        }


def test_repaired_content_takes_its_token_details_with_it() -> None:
    answer = chat("By Steve.", "Clear.")
    for choice in answer["choices"]:
        choice["logprobs"] = {"content": [{"token": choice["message"]["content"], "bytes": [1], "top_logprobs": []}]}
    result = inspect_answer(plan_of(body={"n": 2}), answer)
    assert result.body["choices"][0]["logprobs"] is None
    assert result.body["choices"][1]["logprobs"]["content"]


def test_alternatives_that_spell_a_name_are_dropped_and_the_content_stays() -> None:
    answer = chat("Someone")
    rows = [("Some", "Stephen"), ("one", " King")]
    answer["choices"][0]["logprobs"] = {
        "content": [
            {"token": token, "bytes": [], "top_logprobs": [{"token": token}, {"token": other}]} for token, other in rows
        ]
    }
    result = inspect_answer(plan_of(), answer)
    assert contents(result.body) == ["Someone"]
    assert result.body["choices"][0]["logprobs"] is None


def test_the_prefix_stands_before_every_answer_and_alone_before_none() -> None:
    result = inspect_answer(plan_of(body={"n": 3}), chat("Four.", "", "Steve"), prefix="No idea.\n\n")
    assert contents(result.body) == ["No idea.\n\nFour.", "No idea.", f"No idea.\n\n{REDACTION}"]


def test_responses_are_cleaned_in_every_item() -> None:
    part = {
        "type": "output_text",
        "text": "By Steve.",
        "annotations": [{"title": "Steve", "url": "http://x/y"}],
        "logprobs": [],
    }
    output = [
        {"type": "reasoning", "id": "r", "summary": [{"type": "summary_text", "text": "Steve"}], "content": None},
        {"type": "function_call", "id": "f", "name": "f", "arguments": '{"a": "Steve"}'},
        {"type": "message", "id": "m", "role": "assistant", "content": [part]},
    ]
    answer = {"id": "r", "object": "response", "output": output, "instructions": "secret words"}
    body = inspect_answer(plan_of("responses", body={"instructions": "mine"}), answer).body
    assert "Steve" not in json.dumps(body)
    assert json.loads(body["output"][1]["arguments"]) == {"a": REDACTION}
    assert body["instructions"] == "mine"


@pytest.mark.parametrize("answer", [{"choices": "x"}, {"choices": [{"message": 5}]}, {"choices": [5]}])
def test_an_answer_of_an_unknown_shape_does_not_leave(answer: dict[str, Any]) -> None:
    with pytest.raises(BackendError) as caught:
        inspect_answer(plan_of(), answer)
    assert caught.value.code == "backend_unreadable"


async def never() -> Attempt:
    raise AssertionError("no second attempt was due")


async def test_an_untouched_answer_keeps_its_bytes() -> None:
    raw = b'{ "choices": [], "x": 1.10, "y": "\\u00e9" }'
    assert await deliver_whole(Attempt(plan=plan_of(), answer=ScriptedAnswer([raw])), never, max_bytes=999) == (
        raw,
        True,
    )


async def test_the_natural_answer_counts_its_own_tokens() -> None:
    answer = ScriptedAnswer([orjson.dumps(chat("Stephen King."))])
    raw, by_model = await deliver_whole(
        Attempt(plan=plan_of(on_leak=OnLeak.REWRITE), answer=answer), never, max_bytes=9_999
    )
    tokens = (len(NATURAL) + 3) // 4
    assert not by_model
    assert orjson.loads(raw)["usage"] == {"prompt_tokens": 9, "completion_tokens": tokens, "total_tokens": 9 + tokens}
    assert answer.closed


async def test_words_may_take_the_place_of_a_leaking_answer() -> None:
    async def retry() -> Attempt:
        return Attempt(plan=plan_of(), words=NATURAL)

    plan = plan_of(on_leak=OnLeak.REWRITE, may_restart=True)
    attempt = Attempt(plan=plan, answer=ScriptedAnswer([orjson.dumps(chat("By Steve.", reasoning="Steve"))]))
    raw, by_model = await deliver_whole(attempt, retry, max_bytes=9_999)
    assert contents(orjson.loads(raw)) == [NATURAL]
    assert b"Steve" not in raw
    assert not by_model


@pytest.mark.parametrize(
    ("raw", "code"), [(b"no json", "backend_unreadable"), (b"[]", "backend_unreadable"), (b"x" * 99, "answer_too_long")]
)
async def test_an_answer_that_cannot_be_inspected_is_an_error(raw: bytes, code: str) -> None:
    with pytest.raises(BackendError) as caught:
        await deliver_whole(Attempt(plan=plan_of(), answer=ScriptedAnswer([raw])), never, max_bytes=50)
    assert caught.value.code == code
    assert caught.value.status == 502
