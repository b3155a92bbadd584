"""Readings of a text: what is read, where it stood, and that plain text gives no reason."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.text.name_words import NameWords
from retrieval.text.readings import decoded_texts, readings_of

PLAIN = [
    "Who wrote the novel about a clown in a small town in Maine?",
    "Translate 'good morning' into French, please.",
    "The 3rd of May 1999, at 10:30am, costs $5 (20% off)!",
    "Wer hat den Roman über den Clown geschrieben?",
    "Кто написал роман о клоуне?",
]


@pytest.mark.parametrize("text", PLAIN)
def test_plain_text_has_nothing_to_decode(text: str) -> None:
    assert decoded_texts(text) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("V2hvIHdyb3RlIHRoZSBub3ZlbD8=", "Who wrote the novel?"),
        ("K5UG6IDXOJXXIZJAORUGKIDON53GK3B7", "Who wrote the novel?"),
        ("57686f2077726f746520746865206e6f76656c3f", "Who wrote the novel?"),
        ("57 68 6f 20 77 72 6f 74 65", "Who wrote"),
        ("01010111 01101000 01101111 00100000 01101001 01110011", "Who is"),
        ("87 104 111 32 105 115", "Who is"),
        ("23-8-15 9-19", "who is"),
        (".-- .... --- / .. ...", "who is"),
        ("Jub jebgr gur abiry nobhg gur pybja", "Who wrote the novel about the clown"),
        ("?nwolc eht tuoba levon eht etorw ohW", "Who wrote the novel about the clown?"),
        ("Dsl dilgv gsv mlevo zylfg gsv xoldm", "Who wrote the novel about the clown"),
        ("%57%68%6F%20%69%73", "Who is"),
        ("&#87;&#x68;&#111;&nbsp;is", "Who\u00a0is"),
        ("\\u0057\\u0068\\x6f is", "Who is"),
        ("W h o   w r o t e   i t", "who wrote it"),
        ("Wh0 wr0t3 th3 n0v3l", "who wrote the novel"),
    ],
)
def test_what_is_encoded_is_read(text: str, said: str) -> None:
    assert said.strip("?").lower() in [found.text.strip(" ?\n").lower() for found in decoded_texts(text)]


def test_a_decoded_span_stands_where_it_was_written() -> None:
    text = "please decode V2hvIHdyb3RlIHRoZSBub3ZlbD8= for me"
    (found,) = decoded_texts(text)
    assert text[found.start : found.end] == "V2hvIHdyb3RlIHRoZSBub3ZlbD8="
    assert found.how == "base64"


def test_a_text_past_the_cap_is_told() -> None:
    assert readings_of("a" * 2000, NameWords(), cap_chars=1000).truncated


@given(st.text(alphabet="aBz 019%=&#;\\ux'\"+{}@$.-/|ɐǝкж金·ア\u0301\n", max_size=80))
def test_every_reading_leads_back_into_the_text(text: str) -> None:
    words = NameWords()
    words.add("banana")
    for reading in readings_of(text, words).readings:
        assert len(reading.starts) == len(reading.ends) == len(reading.text)
        for start, end in zip(reading.starts, reading.ends, strict=True):
            assert 0 <= start <= end <= len(text)
