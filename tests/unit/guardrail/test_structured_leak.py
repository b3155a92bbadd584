"""Following JSON text through its escapes, and repairing it without breaking it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardrail.inspectors import StructuredLeak, TextLeak
from guardrail.inspectors.structured_leak import redact_within_json, whole_escapes
from guardrail.openai_wire.protocol import ChannelKey
from guardrail.streaming.channel import Channel
from tests.fakes.forgotten import AUTOMATON, ENTRIES, RECORDS, forbidden, leaks_in_json

STRINGS = st.sampled_from(
    [
        "Stephen King",
        "Stephen\nKing",
        'Stephen "King"',
        "Steve\\Steve",
        "村上春樹",
        "a",
        "",
        "😀 Zoë Überschär",
        "null",
        "King",
    ]
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    STRINGS | st.sampled_from([5550199123, -1.5, 1e-7, True, False, None]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(STRINGS, inner, max_size=3),
    max_leaves=6,
)


def repaired(text: str, size: int) -> str:
    """The JSON text as it leaves, taken in pieces of `size`."""
    channel = Channel(ChannelKey(0, "arguments", structured=True), StructuredLeak(TextLeak(AUTOMATON, forbidden())))
    for at in range(0, len(text) + size, size):
        leak = channel.push(text[at : at + size], final=at + size >= len(text) + size)
        while leak is not None:
            leak = channel.redact(leak, "[...]")
    leak = channel.push("", final=True)
    while leak is not None:
        leak = channel.redact(leak, "[...]")
    assert channel.cleared == len(text)
    return channel.whole()


def every_letter_escaped(text: str) -> str:
    raw = text.encode("utf-16-be")
    return '"' + "".join(f"\\u{int.from_bytes(raw[at : at + 2]):04X}" for at in range(0, len(raw), 2)) + '"'


@given(value=VALUES, ascii_only=st.booleans(), indent=st.sampled_from([None, 1]), size=st.integers(1, 12))
@settings(deadline=None, max_examples=400)
def test_json_stays_json_of_the_same_shape_and_holds_nothing_forbidden(
    value: Any, ascii_only: bool, indent: int | None, size: int
) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
    out = repaired(text, size)
    assert shape(out) == shape(text)
    assert not leaks_in_json(out)
    if not leaks_in_json(text) and "Stephen" not in text:
        assert out == text


def shape(text: str) -> str:
    """Where a JSON text holds what kind of value. Keys that were replaced may be alike, so all of a key's values count."""
    return _kinds(json.loads(text, object_pairs_hook=lambda pairs: {"values": [value for _, value in pairs]}))


def _kinds(value: Any) -> str:
    if isinstance(value, dict):
        return f"object {_kinds(value['values'])}"
    return f"[{','.join(map(_kinds, value))}]" if isinstance(value, list) else type(value).__name__


@pytest.mark.parametrize("entry", ENTRIES)
@pytest.mark.parametrize("size", [1, 2, 3, 5, 6, 7, 11, 13, 1000])
def test_a_name_in_escapes_is_found_in_any_pieces(entry: Any, size: int) -> None:
    out = repaired(every_letter_escaped(entry.name), size)
    assert json.loads(out) == "[...]"


def test_half_an_escape_waits_and_so_does_half_a_surrogate_pair() -> None:
    inspector = StructuredLeak(TextLeak(AUTOMATON, forbidden()))
    assert inspector.push('"ab \\u00').cleared == 4
    assert inspector.push("e9 ").cleared == len('"ab \\u00e9 ')
    assert inspector.push("\\ud83d").cleared == len('"ab \\u00e9 ')
    assert inspector.push("\\ude00 ").cleared == len('"ab \\u00e9 \\ud83d\\ude00 ')


@pytest.mark.parametrize(
    ("raw", "whole"),
    [
        ("ab", 2),
        ("a\\", 1),
        ("a\\\\", 3),
        ("a\\\\\\", 3),
        ("a\\u", 1),
        ("a\\u00e", 1),
        ("a\\u00e9", 7),
        ("\\\\u00", 5),
        ("\\ud83d", 0),
        ("\\ud83d\\", 0),
        ("\\ud83d\\ude0", 0),
        ("\\ud83d\\ude00", 12),
        ("\\\\ud83d", 7),
        ("\\n", 2),
    ],
)
def test_what_is_whole_of_a_text_with_escapes(raw: str, whole: int) -> None:
    assert whole_escapes(raw) == whole


@pytest.mark.parametrize(
    ("before", "span", "expected"),
    [
        ('{"a": "', "Stephen King", "[...]"),
        ('{"a": "', "Stephen\\nKing", "[...]"),
        ('["', 'Stephen", "King', '[...]", "[...]'),
        ('{"a": ', "5550199123", "1111111111"),
        ('{"a": -', "11.1", "22.2"),
        ("[", 'true, "crime', 'true, "[...]'),
        ("prose without JSON: ", "Stephen King", "[...] [...]"),
        ('"a \\" b ', "Stephen", "[...]"),
    ],
)
def test_a_span_is_replaced_by_what_may_stand_in_its_place(before: str, span: str, expected: str) -> None:
    assert redact_within_json(before, span, "[...]") == expected


def test_a_redaction_cannot_break_out_of_its_string() -> None:
    assert redact_within_json('"', "Steve", 'a"\\b') == "ab"


def test_the_text_after_a_wrong_escape_is_still_read() -> None:
    inspector = StructuredLeak(TextLeak(AUTOMATON, forbidden()))
    assert inspector.push('"\\q Stephen King"').leak is not None
    assert set(RECORDS) == {"e0", "e1", "e2", "e3", "e4"}
