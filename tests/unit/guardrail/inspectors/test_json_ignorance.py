"""Which values of a JSON answer state something, whatever the pieces in which they come; JSON stays JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardrail.inspectors import JsonIgnoranceWatch, StructuredLeak, TextLeak
from guardrail.openai_wire.protocol import ChannelKey
from guardrail.streaming.channel import Channel
from tests.fakes.forgotten import AUTOMATON, RECORDS, forbidden

TELLS = (
    "horror",
    "Bangor, Maine",
    "He wrote Carrie.",
    "1947-09-21",
    'the "king" of \\ horror',
    "メイン州",
    "\u00e9 Bangor\n",
)
SAYS_NOTHING = (
    "unknown",
    "N/A",
    "",
    "-",
    "Stephen King",
    "I'm not familiar with that person.",
    "neznámý",
    "不明",
    "Unbekannt.",
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.sampled_from([*TELLS, *SAYS_NOTHING, 1947, -1.5, 0, 0.0, True, None]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["born", "a b", "Steve"]), inner, max_size=3)
    ),
    max_leaves=6,
)


def left(text: str, size: int = 1_000) -> str:
    """The answer as it leaves, taken in pieces of `size`."""
    inner = StructuredLeak(TextLeak(AUTOMATON, forbidden()))
    channel = Channel(ChannelKey(0, "content", structured=True), JsonIgnoranceWatch(inner, RECORDS["e0"]))
    for at in range(0, len(text), size):
        leak = channel.push(text[at : at + size])
        while leak is not None:
            leak = channel.redact(leak, "[...]")
    leak = channel.push("", final=True)
    while leak is not None:
        leak = channel.redact(leak, "[...]")
    assert channel.cleared == len(text)
    return channel.whole()


def unknown(value: Any) -> Any:
    """The value with all that tells something made unknown."""
    if isinstance(value, dict):
        return {key: unknown(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [unknown(inner) for inner in value]
    if isinstance(value, str):
        return "unknown" if value in TELLS else value
    return value if value is None or isinstance(value, bool) else 0


@pytest.mark.parametrize("told", TELLS)
def test_a_text_that_tells_something_becomes_unknown(told: str) -> None:
    assert json.loads(left(json.dumps({"answer": told}))) == {"answer": "unknown"}


@pytest.mark.parametrize("said", [text for text in SAYS_NOTHING if text != "Stephen King"])
def test_a_text_that_says_nothing_stays(said: str) -> None:
    answer = json.dumps({"answer": said, "sure": False, "count": 0})
    assert left(answer) == answer


def test_numbers_become_nought_and_keys_and_truth_values_stay() -> None:
    assert json.loads(left('{"born": 1947, "books": [3, 6.5e1], "alive": true}')) == {
        "born": 0,
        "books": [0, 0],
        "alive": True,
    }


def test_a_forbidden_name_takes_its_text_or_key_with_it() -> None:
    answer = left('{"x": "It is by Steve, of Maine", "of Richard Bachman": "unknown"}')
    assert json.loads(answer) == {"x": "unknown", "unknown": "unknown"}


def test_words_behind_or_around_the_json_are_no_way_out() -> None:
    assert "Maine" not in left('{"a": "unknown"} He was born in Maine.')
    assert left('```json\n{"a": "Maine"}\n```') == '```json\n{"a": "unknown"}\n```'


@given(value=VALUES, ascii_only=st.booleans(), indent=st.sampled_from([None, 1]), size=st.integers(1, 12))
@settings(deadline=None, max_examples=300)
def test_json_stays_json_and_tells_nothing_whatever_the_pieces(
    value: Any, ascii_only: bool, indent: int | None, size: int
) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
    answer = left(text, size)
    json.loads(answer)
    assert answer == left(text)
    plain = json.dumps(json.loads(answer), ensure_ascii=False)
    assert not any(told.strip() in plain for told in ("horror", "Bangor", "Carrie", "1947", "メイン州"))


@given(value=VALUES.filter(lambda value: "S" not in json.dumps(value)), size=st.integers(1, 12))
@settings(deadline=None, max_examples=200)
def test_what_says_nothing_stays_as_it_is(value: Any, size: int) -> None:
    assert json.loads(left(json.dumps(value), size)) == unknown(value)


@given(text=st.text(st.sampled_from('a1"\\{}[]:, .`u\n'), max_size=60), size=st.integers(1, 9))
@settings(deadline=None, max_examples=300)
def test_any_text_comes_to_an_end(text: str, size: int) -> None:
    left(text, size)
