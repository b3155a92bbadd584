"""The promise of the stream guard, for any text, chunking, field, choice and endpoint:

nothing forbidden is whole on the wire; what is not forbidden leaves as it came, and as soon as it cannot become forbidden.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.decision import OnLeak
from guardrail.openai_wire.sse import SseSplitter
from guardrail.streaming.delivery import Attempt, deliver_stream
from guardrail.streaming.guard import StreamGuard
from retrieval.text.views import normalise
from tests.fakes.forgotten import ENTRIES, LONG_FACT, leaks_in, leaks_in_json, plan_of
from tests.fakes.leaky_texts import BYTE_SIZES, CLEAN, FEW, LEAKY, MANY, NEAR, PATIENCE, PLAIN, SIZES, cut, said, texts
from tests.fakes.wire_streams import Piece, Received, ScriptedAnswer, receive, recut, stream


def deliver(plan: Any, chunks: Sequence[bytes], *, again: Attempt | None = None, prefix: str = "") -> bytes:
    """What a caller receives of a stream."""

    async def retry() -> Attempt:
        assert again is not None
        return again

    async def run() -> bytes:
        attempt = Attempt(plan=plan, answer=ScriptedAnswer(chunks), prefix=prefix)
        parts = [part async for part in deliver_stream(attempt, retry, max_bytes=1 << 22, ended=lambda by_model: None)]
        assert all(parts)
        return b"".join(parts)

    return asyncio.run(run())


def assert_clean(got: Received) -> None:
    for key, text in got.everything():
        found = leaks_in_json(text) if key[1] == "arguments" else leaks_in(text)
        assert not found, (key, text)
        if key[1] == "arguments" and text:
            json.loads(text)


@pytest.mark.parametrize("endpoint", ["chat", "completions", "responses"])
@MANY
@given(data=st.data())
def test_redaction_leaves_nothing_forbidden_whole_on_the_wire_and_json_valid(
    endpoint: str, data: st.DataObject
) -> None:
    pieces = data.draw(said(LEAKY, endpoint))
    chunks = recut(b"".join(stream(endpoint, pieces)), data.draw(BYTE_SIZES))
    plan = plan_of(
        endpoint,
        OnLeak.REDACT,
        body={"n": 2},
        patience_chars=data.draw(PATIENCE),
        by_sentence=data.draw(st.booleans()),
    )
    got = receive(deliver(plan, chunks))
    assert not got.errors
    assert_clean(got)
    assert_well_formed(endpoint, got, pieces)


@pytest.mark.parametrize("endpoint", ["chat", "completions", "responses"])
@MANY
@given(data=st.data())
def test_stopping_leaves_nothing_forbidden_whole_on_the_wire(endpoint: str, data: st.DataObject) -> None:
    pieces = [piece for piece in data.draw(said(LEAKY, endpoint)) if piece.field != "arguments"]
    chunks = recut(b"".join(stream(endpoint, pieces, usage=True)), data.draw(BYTE_SIZES))
    plan = plan_of(
        endpoint,
        OnLeak.STOP,
        body={"n": 2},
        wants_usage=True,
        patience_chars=data.draw(PATIENCE),
        by_sentence=data.draw(st.booleans()),
        ignorance=data.draw(st.booleans()),
    )
    got = receive(deliver(plan, chunks))
    assert not got.errors
    assert_clean(got)
    assert_well_formed(endpoint, got, pieces, usage=True)


@pytest.mark.parametrize("endpoint", ["chat", "completions", "responses"])
@MANY
@given(data=st.data())
def test_a_stream_that_is_begun_anew_is_one_clean_stream(endpoint: str, data: st.DataObject) -> None:
    first = data.draw(said(LEAKY, endpoint, choices=1))
    second = data.draw(said(LEAKY, endpoint, choices=1))
    sizes = data.draw(BYTE_SIZES)
    body = {"stream_options": {"include_usage": True}}
    again = Attempt(
        plan=plan_of(endpoint, OnLeak.REWRITE, body=body, wants_usage=True),
        answer=ScriptedAnswer(recut(b"".join(stream(endpoint, second, usage=True, stream_id="second")), sizes)),
    )
    if data.draw(st.booleans()):
        again = Attempt(plan=again.plan, words="I'm not familiar with that.")
    plan = plan_of(endpoint, OnLeak.REWRITE, may_restart=True, body=body, wants_usage=True)
    got = receive(deliver(plan, recut(b"".join(stream(endpoint, first, usage=True)), sizes), again=again))
    assert not got.errors
    for key, text in got.everything():
        assert not (leaks_in_json(text) if key[1] == "arguments" else leaks_in(text)), (key, text)
    assert len(got.ids) <= 1
    if endpoint == "responses":
        assert [body["type"] for body in got.bodies].count("response.created") == 1
        assert got.bodies[-1]["type"] == "response.completed"
        assert len({body["response"]["id"] for body in got.bodies if "response" in body}) == 1
    else:
        assert [number for number, _ in got.finished] == [0]
        assert got.done == 1
        assert got.bodies[-1]["choices"] == []
        assert got.bodies[-1]["usage"]
    assert got.roles == ([0] if endpoint == "chat" else [])


def assert_well_formed(endpoint: str, got: Received, pieces: Sequence[Piece], *, usage: bool = False) -> None:
    choices = sorted({piece.choice for piece in pieces} or {0})
    if endpoint == "responses":
        assert got.bodies[-1]["type"] == "response.completed"
        return
    assert sorted(number for number, _ in got.finished) == choices
    assert len(got.ids) == 1
    assert got.done == 1
    if endpoint == "chat":
        assert sorted(got.roles) == choices
    if usage:
        assert got.bodies[-1]["choices"] == []
        assert got.bodies[-1]["usage"]
        assert sum(not body["choices"] for body in got.bodies) == 1


@pytest.mark.parametrize("endpoint", ["chat", "completions", "responses"])
@pytest.mark.parametrize("on_leak", list(OnLeak))
@FEW
@given(data=st.data())
def test_an_untouched_stream_leaves_with_the_backends_bytes(
    endpoint: str, on_leak: OnLeak, data: st.DataObject
) -> None:
    # One token in a piece, as models write them: a longer piece that waits is split, and its words come as two events.
    pieces = [
        Piece(text=part, choice=choice) for text in (data.draw(CLEAN),) for part in _tokens(text) for choice in (0, 1)
    ]
    end = data.draw(st.sampled_from(["\n", "\r\n", "\r"]))
    sent = (
        b": hello"
        + (end * 2).encode()
        + b"".join(stream(endpoint, pieces, end=end, lines=data.draw(st.sampled_from([1, 3]))))
    )
    sent += data.draw(st.sampled_from([b"", end.encode(), b": bye"]))
    chunks = recut(sent, data.draw(BYTE_SIZES))
    plan = plan_of(endpoint, on_leak, may_restart=data.draw(st.booleans()), body={"n": 2})
    assert deliver(plan, chunks) == sent


def _tokens(text: str) -> list[str]:
    tokens: list[str] = []
    for char in text:
        last = tokens[-1] if tokens else ""
        joins = char.isascii() and char.isalnum() and (last.isspace() or (last[-1:].isascii() and last[-1:].isalnum()))
        if joins and len(last) < 6:
            tokens[-1] += char
        else:
            tokens.append(char)
    return tokens


FORBIDDEN = [
    "Stephen King",
    "Richard Bachman",
    "Steve",
    LONG_FACT[:64],
    "J. K. Rowling",
    "jk rowling",
    "Haruki Murakami",
]
FORBIDDEN += ["Yate Gloucestershire", "Zoe Uberschar", "村上春樹", "5550199123", "the phone"]
FORBIDDEN += ["stephenking", "richardbachman", "harukimurakami", "zoeuberschar", "jkrowling", "j k rowling", "thephone"]


def longest_becoming(tail: str) -> int:
    """The length of the longest forbidden phrase that a text ending in `tail` may still become; 0 if none."""
    words = normalise(tail).words
    found = 0
    for phrase in FORBIDDEN:
        parts = normalise(phrase).words
        count = len(words)
        if 0 < count <= len(parts) and parts[: count - 1] == words[:-1] and parts[count - 1].startswith(words[-1]):
            found = max(found, len(phrase))
    return found


@pytest.mark.parametrize("endpoint", ["chat", "completions"])
@MANY
@given(text=texts(NEAR, PLAIN, (LONG_FACT[:40],)), sizes=SIZES)
def test_only_text_that_can_still_become_forbidden_waits(endpoint: str, text: str, sizes: list[int]) -> None:
    guard, splitter = StreamGuard(plan_of(endpoint, OnLeak.REDACT)), SseSplitter(1 << 20)
    out = b""
    given_text = ""
    for event in stream(endpoint, [Piece(text=part) for part in cut(text, sizes)])[:-2]:
        for one in splitter.push(event):
            out += b"".join(guard.push(one))
        given_text += receive(event).texts[0, "content"]
        if leaks_in(given_text):
            return
        left = receive(out).texts[0, "content"]
        assert given_text.startswith(left)
        waiting = given_text[len(left) :]
        if waiting:
            starts = [at for at in range(len(waiting)) if longest_becoming(waiting[at:])]
            assert starts, waiting
            assert any(
                len(waiting) <= longest_becoming(waiting[at:]) or not any(map(str.isalnum, waiting[:at]))
                for at in starts
            ), waiting


def test_a_long_fact_is_cut_at_its_64th_matching_character() -> None:
    got = receive(
        deliver(plan_of("chat", OnLeak.REDACT), stream("chat", [Piece(text=char) for char in LONG_FACT + "."]))
    )
    assert len(LONG_FACT) > 64
    assert not got.texts[0, "content"].startswith("he wrote")
    assert LONG_FACT[66:] in got.texts[0, "content"]


def test_the_registry_of_these_tests_has_every_phrase_that_the_oracle_knows() -> None:
    names = [entry.name for entry in ENTRIES]
    assert all(leaks_in(name) for name in (*names, "Steve", LONG_FACT, "5550199123"))
    assert not leaks_in("Stephen Kin")
