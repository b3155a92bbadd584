"""What every wire format promises, over the whole table."""

from __future__ import annotations

import copy
from typing import Any

import orjson
import pytest

from guardrail.decoding.request import RestrictionRequest, offset_xargs
from guardrail.errors import ApiError
from guardrail.openai_wire import WIRE_FORMATS
from guardrail.openai_wire.choices import without_own_arguments
from guardrail.openai_wire.json_path import get_at
from guardrail.openai_wire.protocol import Reply, WireFormat
from tests.fakes.wire_streams import Piece, events_of, stream

PROMPTS: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"messages": [{"role": "user", "content": "Who?"}]},
    "/v1/completions": {"prompt": "Who?"},
    "/v1/responses": {"input": "Who?"},
}
ENDPOINTS = {"/v1/chat/completions": "chat", "/v1/completions": "completions", "/v1/responses": "responses"}
PIECES = [Piece(text="He", alternatives=("She",)), Piece(text="llo \U0001f600"), Piece(text="more", choice=1)]


@pytest.fixture(params=sorted(WIRE_FORMATS))
def wire(request: pytest.FixtureRequest) -> WireFormat:
    return WIRE_FORMATS[request.param]()


def events(wire: WireFormat) -> list[dict[str, Any]]:
    """Events as a server sends them."""
    raw = b"".join(stream(ENDPOINTS[wire.path], PIECES))
    return [orjson.loads(text) for text in events_of(raw) if text != "[DONE]"]


def test_the_table_knows_every_format_by_its_own_path() -> None:
    assert {path: kind().path for path, kind in WIRE_FORMATS.items()} == {path: path for path in WIRE_FORMATS}
    assert set(PROMPTS) == set(WIRE_FORMATS)


def test_every_passage_and_slot_is_where_its_path_says(wire: WireFormat) -> None:
    body = PROMPTS[wire.path]
    assert [passage.text for passage in wire.passages(body)] == ["Who?"]
    assert all(get_at(body, passage.path) == passage.text for passage in wire.passages(body))
    for event in events(wire):
        for slot in wire.event_slots(event):
            found = get_at(event, slot.path)
            assert found == slot.text or slot.path[-1] == slot.text


def test_the_pieces_of_a_stream_give_the_whole_text(wire: WireFormat) -> None:
    said: dict[int, str] = {}
    for event in events(wire):
        for slot in wire.event_slots(event):
            if slot.key.is_answer and not slot.whole:
                said[slot.key.choice] = said.get(slot.key.choice, "") + slot.text
    assert sorted(said.values()) == ["Hello \U0001f600", "more"]


def test_alternatives_and_chosen_tokens_are_read_beside_the_text(wire: WireFormat) -> None:
    details = [slot for event in events(wire) for slot in wire.event_slots(event) if slot.key.is_token_detail]
    assert {"He", "She"} <= {slot.text for slot in details}
    assert len({slot.key for slot in details if slot.text == "She"}) == 1


def test_token_details_can_be_cleared_so_that_no_token_is_left(wire: WireFormat) -> None:
    for event in events(wire):
        for slot in wire.event_slots(event):
            wire.clear_token_details(event, slot.key.choice)
        assert not [slot for slot in wire.event_slots(event) if slot.key.is_token_detail]
        assert b"She" not in orjson.dumps(event)


def test_reading_changes_nothing(wire: WireFormat) -> None:
    body = PROMPTS[wire.path]
    before = copy.deepcopy((body, events(wire)))
    wire.passages(body)
    wire.with_instruction(body, "Forget.", [0])
    wire.strip_revealing(body)
    for event in events(wire):
        wire.event_slots(event)
        wire.ends(event)
        assert not wire.hide_treatment(event, body)
    assert (body, events(wire)) == before


def test_an_instruction_is_a_passage_of_the_treated_request(wire: WireFormat) -> None:
    treated = wire.with_instruction(PROMPTS[wire.path], "Forget it.", [0])
    said = " ".join(passage.text for passage in wire.passages(treated))
    assert "Forget it." in said
    assert "Who?" in said


def test_a_request_without_revealing_fields_stays_the_same_object(wire: WireFormat) -> None:
    body = PROMPTS[wire.path]
    assert wire.strip_revealing(body) is body
    assert wire.strip_revealing({**body, "return_token_ids": True, "extra": 1}) == {**body, "extra": 1}


@pytest.mark.parametrize("given", [{}, {"vllm_xargs": None}, {"vllm_xargs": {}}, {"vllm_xargs": "x", "extra_body": []}])
def test_a_body_without_arguments_of_expunge_stays_the_same_object(given: dict[str, Any]) -> None:
    assert without_own_arguments(given) is given


@pytest.mark.parametrize(
    ("given", "left"),
    [
        ({"vllm_xargs": {**offset_xargs(0.5), "mine": 1}}, {"vllm_xargs": {"mine": 1}}),
        ({"vllm_xargs": RestrictionRequest(phrases=("x",)).to_xargs()}, {}),
        ({"extra_body": {"vllm_xargs": {"expunge_x": 1}}}, {}),
        ({"extra_body": {"vllm_xargs": {"expunge_x": 1}, "top_k": 5}}, {"extra_body": {"top_k": 5}}),
        (
            {"extra_body": {"extra_body": {"vllm_xargs": {"expunge_x": 1}}}, "vllm_xargs": {"mine": 1}},
            {"vllm_xargs": {"mine": 1}},
        ),
    ],
)
def test_arguments_that_only_expunge_may_send_go_and_others_stay(given: dict[str, Any], left: dict[str, Any]) -> None:
    before = copy.deepcopy(given)
    assert without_own_arguments({"model": "m", **given}) == {"model": "m", **left}
    assert given == before


@pytest.mark.parametrize(
    "body", [{}, {"messages": "x", "input": 5, "prompt": 5}, {"messages": [1], "input": [1], "prompt": [1]}]
)
def test_a_request_of_a_wrong_shape_is_told_with_its_field(wire: WireFormat, body: dict[str, Any]) -> None:
    with pytest.raises(ApiError) as caught:
        wire.passages(body)
    assert caught.value.status == 400
    assert caught.value.param


def test_prompt_embeddings_are_refused(wire: WireFormat) -> None:
    with pytest.raises(ApiError, match="prompt_embeds"):
        wire.refuse_unscannable({**PROMPTS[wire.path], "prompt_embeds": "AAAA"})
    wire.refuse_unscannable(PROMPTS[wire.path])


@pytest.mark.parametrize("refusal", [False, True])
def test_a_synthetic_answer_says_its_text_once_whole_or_streamed(wire: WireFormat, refusal: bool) -> None:
    body, reply = {**PROMPTS[wire.path], "model": "m"}, Reply(text="I don't know that.", refusal=refusal)
    whole = wire.reply(body, reply, answer_id="1", created=5)
    assert [slot.text for slot in wire.answer_slots(whole)] == [reply.text]
    assert whole["model"] == "m"
    bodies = wire.reply_events(body, reply, answer_id="1", created=5)
    pieces = [slot.text for event in bodies for slot in wire.event_slots(event) if not slot.whole]
    assert "".join(pieces) == reply.text
    assert wire.ends(bodies[-1]) is None or list(wire.ends(bodies[-1]) or ()) == [0]


def test_a_replaced_answer_holds_the_new_words_alone(wire: WireFormat) -> None:
    answer = wire.reply(PROMPTS[wire.path], Reply(text="He wrote."), answer_id="1", created=5)
    wire.with_reply(answer, 0, "I don't know.")
    assert [slot.text for slot in wire.answer_slots(answer)] == ["I don't know."]


def test_the_words_of_an_error_in_a_stream_are_read(wire: WireFormat) -> None:
    slots = wire.event_slots({"error": {"message": "About Steve.", "type": "x", "code": 5}})
    assert [(slot.text, slot.whole) for slot in slots] == [("About Steve.", True)]


def test_a_long_event_is_split_without_losing_anything_or_saying_it_twice(wire: WireFormat) -> None:
    for event in events(wire):
        slots = wire.event_slots(event)
        if len(slots) != 1 or slots[0].whole:
            continue
        parts = wire.split(event, slots[0], slots[0].text[:2], slots[0].text[2:])
        if parts is None:
            continue
        assert "".join(slot.text for part in parts for slot in wire.event_slots(part)) == slots[0].text
        assert not wire.ends(parts[0])
        assert wire.ends(parts[1]) == wire.ends(event)
