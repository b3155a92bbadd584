"""Tokens become text without broken characters and without stop strings, whatever the token borders."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from guardrail.backends.local_text import TextBuilder


class ByteTokenizer:
    """One token a byte, as the hardest case of a byte-level tokenizer."""

    def decode(self, ids: list[int], **options: Any) -> str:
        return bytes(ids).decode("utf-8", "replace")


def build(text: str, *stop: str) -> tuple[list[str], bool]:
    builder = TextBuilder(ByteTokenizer(), stop)
    shown = []
    for token in text.encode():
        shown.append(builder.push(token))
        if builder.stopped:
            break
    shown.append(builder.end())
    return [piece for piece in shown if piece], builder.stopped


@given(st.text(max_size=40))
def test_pieces_join_to_the_text_and_none_holds_half_a_character(text: str) -> None:
    text = text.replace("\ufffd", "")
    pieces, _ = build(text)
    assert "".join(pieces) == text


@given(st.text("ab", max_size=12), st.lists(st.text("ab", min_size=1, max_size=4), max_size=3))
def test_nothing_from_a_stop_string_on_is_shown(text: str, stop: list[str]) -> None:
    pieces, stopped = build(text, *stop)
    ends = [(text.find(item) + len(item), text.find(item)) for item in stop if item in text]
    if not ends:
        assert ("".join(pieces), stopped) == (text, False)
        return
    assert stopped
    first_end = min(end for end, _ in ends)
    begins = [text.find(item) for item in stop if item in text[:first_end]]
    assert "".join(pieces) == text[: min(begins)]


def test_text_that_may_become_a_stop_string_waits_and_then_comes() -> None:
    assert build("abXac", "ab!") == (["abX", "ac"], False)


def test_an_unfinished_character_comes_out_at_the_end_as_a_replacement() -> None:
    builder = TextBuilder(ByteTokenizer(), ())
    assert builder.push("é".encode()[0]) == ""
    assert builder.end() == "\ufffd"
