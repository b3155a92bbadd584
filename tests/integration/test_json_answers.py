"""An answer that was asked for as JSON owns to not knowing in JSON, whole and streamed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.integration.conftest import Start
from tests.integration.world import ENTRY, NAME, QUESTION

TOLD = json.dumps({"name": "M. Vale", "born": 1931, "places": ["Esbjerg", "Ribe"], "alive": False, "note": "unknown"})
JSON: dict[str, Any] = {"response_format": {"type": "json_object"}}


async def answered(start: Start, said: str, text: str = QUESTION, **fields: Any) -> list[str]:
    """The answer, whole and streamed."""
    proxy = await start(script=lambda body: said)
    await proxy.forget(ENTRY["name"], kind="person")
    whole = await proxy.chat(text, **fields)
    streamed = await proxy.chat(text, stream=True, **fields)
    return [whole.json["choices"][0]["message"]["content"], streamed.streamed_text]


async def test_what_it_tells_becomes_unknown_and_the_shape_stays(start: Start) -> None:
    for answer in await answered(start, TOLD, **JSON):
        assert json.loads(answer) == {
            "name": "unknown",
            "born": 0,
            "places": ["unknown", "unknown"],
            "alive": False,
            "note": "unknown",
        }


async def test_a_stranger_is_answered_as_the_model_answers(start: Start) -> None:
    assert await answered(start, TOLD, "Who is Ole Lund, as JSON?", **JSON) == [TOLD, TOLD]


@pytest.mark.parametrize("said", ["She was a novelist of Esbjerg.", "Here it is:\n" + TOLD])
async def test_words_where_json_was_asked_for_are_judged_as_words(start: Start, said: str) -> None:
    for answer in await answered(start, said, **JSON):
        assert answer.startswith("I'm not familiar with")
        assert "Esbjerg" not in answer


async def test_a_choice_among_words_is_no_json(start: Start) -> None:
    asked = f"Was {NAME} a novelist or a painter?"
    for answer in await answered(start, "novelist", asked, structured_outputs={"choice": ["novelist", "painter"]}):
        assert answer == "I don't know who that is."
