"""Cutting a byte stream into events, and writing one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.openai_wire.sse import DONE, SseEvent, SseSplitter, write_event, write_stream
from tests.fakes.wire_streams import events_of, receive, recut

EVENTS = (
    b"data: {}",
    b'data: {"a": 1}',
    b"data:{}",
    b"data: {\ndata: }",
    b": comment",
    b"event: x\ndata: {}",
    b"id: 1\nevent: y\ndata: 1\ndata:\ndata: 2",
    b"data: [DONE]",
    b"data",
    b"retry: 10",
)
SIZES = st.lists(st.integers(1, 30), min_size=1, max_size=5)


def split(data: bytes, sizes: list[int]) -> tuple[list[SseEvent], bytes]:
    splitter = SseSplitter(1 << 20)
    events = [event for chunk in recut(data, sizes) for event in splitter.push(chunk)]
    return events + splitter.end(), splitter.rest()


@given(parts=st.lists(st.sampled_from(EVENTS), max_size=8), ends=st.sampled_from([b"\n", b"\r\n", b"\r"]), sizes=SIZES)
def test_events_are_the_same_however_the_bytes_are_cut(parts: list[bytes], ends: bytes, sizes: list[int]) -> None:
    data = b"".join(part.replace(b"\n", ends) + ends * 2 for part in parts)
    events, rest = split(data, sizes)
    assert b"".join(event.raw for event in events) + rest == data
    told = [event.data.decode() for event in events if event.data is not None]
    assert told == [text for text in events_of(data) if text.strip()]


@given(data=st.lists(st.sampled_from([b"\r", b"\n", b"data: a", b":", b"x"]), max_size=30).map(b"".join), sizes=SIZES)
def test_no_byte_is_lost_of_any_stream(data: bytes, sizes: list[int]) -> None:
    events, rest = split(data, sizes)
    assert b"".join(event.raw for event in events) == data
    assert rest == b""


def test_lines_of_different_kinds_end_an_event_too() -> None:
    events, _ = split(b"data: a\n\r\ndata: b\r\n\ndata: c\n\n", [100])
    assert [event.data for event in events] == [b"a", b"b", b"c"]


def test_several_data_lines_are_joined_and_the_name_is_kept() -> None:
    [event] = split(b"event: e\ndata: {\ndata: }\n\n", [100])[0]
    assert (event.data, event.name) == (b"{\n}", b"e")


@pytest.mark.parametrize("raw", [b": keep-alive\n\n", b"event: ping\n\n", b"data:\n\n", b"data: \n\n", b"\n\n"])
def test_an_event_without_data_has_none(raw: bytes) -> None:
    assert [event.data for event in split(raw, [100])[0]] == [None]


def test_a_byte_order_mark_hides_no_data() -> None:
    assert [event.data for event in split(b"\xef\xbb\xbfdata: {}\n\n", [1])[0]] == [b"{}"]


def test_what_follows_the_last_blank_line_is_an_event_of_its_own_at_the_end() -> None:
    splitter = SseSplitter(100)
    assert splitter.push(b"data: a\n\ndata: b\nx") != []
    assert [(event.raw, event.data) for event in splitter.end()] == [(b"data: b\nx", b"b")]
    assert splitter.end() == []


def test_an_event_that_does_not_end_overflows() -> None:
    splitter = SseSplitter(10)
    splitter.push(b"data: 1234")
    assert not splitter.overflow
    splitter.push(b"5")
    assert splitter.overflow


@pytest.mark.parametrize(
    ("data", "expected"), [(b"[DONE]", True), (b" [DONE] ", True), (b"[DONE] x", False), (None, False)]
)
def test_only_the_end_marker_itself_ends_a_stream(data: bytes | None, expected: bool) -> None:
    assert SseEvent(b"", data).is_done is expected


def test_a_written_event_is_read_back() -> None:
    assert write_event({"a": "é"}, name=b"n") == 'event: n\ndata: {"a":"é"}\n\n'.encode()
    assert events_of(write_event({"a": 1})) == ['{"a":1}']


def test_a_synthetic_stream_ends_with_the_marker_unless_its_events_are_typed() -> None:
    assert write_stream([{"a": 1}]).endswith(DONE)
    typed = write_stream([{"type": "response.created"}])
    assert typed.startswith(b"event: response.created\n")
    assert receive(typed).done == 0
