"""The promise of judged answers, for any text, chunking, field, choice and endpoint:

no statement that the jury condemns and nothing forbidden is whole on the wire, and what is acquitted leaves as it came.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.decision import OnLeak
from guardrail.streaming.delivery import Attempt, deliver_whole
from tests.fakes.forgotten import REDACTION, leaks_in, leaks_in_json, plan_of
from tests.fakes.knowing import GEESE, HARBOUR, Knowing, jury_of, told_in
from tests.fakes.leaky_texts import BYTE_SIZES, CLEAN, FEW, LEAKY, NEAR, PATIENCE, PLAIN, WHOLE, said, texts
from tests.fakes.wire_streams import Piece, Received, ScriptedAnswer, receive, recut, stream
from tests.unit.guardrail.test_answers_promise import spoken, whole_answer
from tests.unit.guardrail.test_stream_guard_promise import _tokens, assert_well_formed, deliver

SECRET = (GEESE, HARBOUR, GEESE, HARBOUR, "Yes.", "I don't know. ", "It was so. ", "and then. ")
TELLING = texts(SECRET, SECRET, NEAR, PLAIN) | texts(SECRET, WHOLE, PLAIN)
NOBODY = Knowing({})


def assert_untold(got: Received) -> None:
    """Neither a secret nor a name in any text that the client has seen."""
    for key, text in got.everything():
        if key[1].startswith(("rank", "token", "bytes")):
            continue  # alternatives are no statements
        if key[1] == "arguments":
            assert not leaks_in_json(text), (key, text)
            for part in _parts(text):
                assert not told_in(part), (key, text)
        else:
            assert not leaks_in(text), (key, text)
            assert not told_in(text.replace(REDACTION, " zzz ")), (key, text)


def _parts(text: str) -> list[str]:
    """What a reader of JSON finds in it; the text itself where its choice was ended in the middle of it."""
    try:
        return _strings(json.loads(text))
    except ValueError:
        return [text]


def _strings(value: object) -> list[str]:
    if isinstance(value, dict):
        return [text for key, item in value.items() for text in (str(key), *_strings(item))]
    if isinstance(value, list):
        return [text for item in value for text in _strings(item)]
    return [str(value)]


@pytest.mark.parametrize("endpoint", ["chat", "completions", "responses"])
@pytest.mark.parametrize("on_leak", [OnLeak.REDACT, OnLeak.STOP])
@FEW
@given(data=st.data())
def test_no_condemned_statement_is_whole_on_the_wire(endpoint: str, on_leak: OnLeak, data: st.DataObject) -> None:
    pieces = data.draw(said(TELLING, endpoint))
    chunks = recut(b"".join(stream(endpoint, pieces, usage=True)), data.draw(BYTE_SIZES))
    plan = plan_of(
        endpoint,
        on_leak,
        body={"n": 2},
        wants_usage=True,
        patience_chars=data.draw(PATIENCE),
        by_sentence=data.draw(st.booleans()),
        jury=jury_of(),
    )
    got = receive(deliver(plan, chunks))
    assert not got.errors
    assert_untold(got)
    assert_well_formed(endpoint, got, pieces, usage=True)
    if on_leak is OnLeak.REDACT:
        assert all(
            json.loads(text) is not None for (_, name), text in got.texts.items() if name == "arguments" and text
        )


@pytest.mark.parametrize("endpoint", ["chat", "completions", "responses"])
@FEW
@given(data=st.data())
def test_a_judged_stream_that_is_begun_anew_is_one_clean_stream(endpoint: str, data: st.DataObject) -> None:
    first = data.draw(said(TELLING, endpoint, choices=1))
    second = data.draw(said(TELLING, endpoint, choices=1))
    sizes = data.draw(BYTE_SIZES)
    again = Attempt(
        plan=plan_of(endpoint, OnLeak.REWRITE, jury=jury_of()),
        answer=ScriptedAnswer(recut(b"".join(stream(endpoint, second, stream_id="second")), sizes)),
    )
    plan = plan_of(endpoint, OnLeak.REWRITE, may_restart=True, jury=jury_of())
    got = receive(deliver(plan, recut(b"".join(stream(endpoint, first)), sizes), again=again))
    assert not got.errors
    assert_untold(got)
    assert len(got.ids) <= 1
    if endpoint == "responses":
        assert got.bodies[-1]["type"] == "response.completed"
    else:
        assert [number for number, _ in got.finished] == [0]
        assert got.done == 1


@pytest.mark.parametrize("endpoint", ["chat", "completions", "responses"])
@FEW
@given(data=st.data())
def test_an_acquitted_stream_leaves_with_the_backends_bytes(endpoint: str, data: st.DataObject) -> None:
    text = data.draw(CLEAN)
    pieces = [Piece(text=part, choice=choice) for part in _tokens(text) for choice in (0, 1)]
    sent = b"".join(stream(endpoint, pieces))
    plan = plan_of(
        endpoint,
        data.draw(st.sampled_from(OnLeak)),
        may_restart=data.draw(st.booleans()),
        body={"n": 2},
        jury=jury_of(NOBODY, most_statements=data.draw(st.sampled_from([1, 3, 1_000]))),
    )
    assert deliver(plan, recut(sent, data.draw(BYTE_SIZES))) == sent


@pytest.mark.parametrize("endpoint", ["chat", "completions", "responses"])
@pytest.mark.parametrize("on_leak", list(OnLeak))
@FEW
@given(data=st.data())
def test_whole_answers_hold_no_condemned_statement(endpoint: str, on_leak: OnLeak, data: st.DataObject) -> None:
    said_by = {index: data.draw(TELLING | LEAKY) for index in range(2)}
    raw = orjson.dumps(_without_details(whole_answer(endpoint, said_by)))
    may_restart = data.draw(st.booleans())
    delivered = _whole(endpoint, on_leak, raw, may_restart=may_restart)
    for part in spoken(orjson.loads(delivered)):
        assert not leaks_in(part)
        assert not told_in(part.replace(REDACTION, " zzz ")), part
    if not any(leaks_in(text) or told_in(" ".join(text.split())) for text in said_by.values()):
        assert delivered == raw


def _whole(endpoint: str, on_leak: OnLeak, raw: bytes, *, may_restart: bool) -> bytes:
    async def retry() -> Attempt:
        return Attempt(plan=plan_of(endpoint, on_leak), words="I don't know.")

    plan = plan_of(endpoint, on_leak, may_restart=may_restart, body={"n": 2}, jury=jury_of())
    attempt = Attempt(plan=plan, answer=ScriptedAnswer([raw]))
    return asyncio.run(deliver_whole(attempt, retry, max_bytes=1 << 20))[0]


def _without_details(answer: dict[str, object]) -> dict[str, object]:
    """Without tokens and thoughts that are said backwards: they are no statements."""
    choices: Sequence[dict[str, object]] = answer.get("choices") or ()  # type: ignore[assignment]  # decoded JSON
    for choice in choices:
        choice["logprobs"] = None
        message = choice.get("message")
        if isinstance(message, dict):
            del message["reasoning"]
    return answer
