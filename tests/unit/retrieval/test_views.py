"""Views of a text: what compares equal, where it stands, and that pieces compare like the whole."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.text.views import TextView, _by_character, ends_inside_word, normalise, sentences, windows

ODD = "aBc 12-_.é\u0301\u200b\u00adßﬁ½…ͅсКοΣ孔か\u3099한ᆨไม้हि\u093f🅰’\ud800İǅ\n\x01\x02٣"


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("Stephen King", "STEPHEN  king"),
        ("Stephen King", "Stephen-King"),
        ("Stephen King", "Stеphеn Кіng"),
        ("Stephen King", "Ste\u200bphen\u00ad Ki\u2060ng"),
        ("Stephen King", "\uff33\uff54\uff45\uff50\uff48\uff45\uff4e \U0001d40a\U0001d422\U0001d427\U0001d420"),
        ("Beyoncé", "Beyonce\u0301"),
        ("Beyoncé", "BEYONCE"),
        ("Straße", "STRASSE"),
        ("Достоевский", "ДОСТОЕВСКИЙ"),
        ("Σωκράτης", "ΣΩΚΡΑΤΗΣ"),
        ("が", "か\u3099"),
        ("한", "\u1112\u1161\u11ab"),
        ("١٢٣", "123"),
        ("\u202eKing\u202c", "King"),
    ],
)
def test_spellings_of_one_name_have_the_same_words(left: str, right: str) -> None:
    assert normalise(left).words == normalise(right).words


@pytest.mark.parametrize(
    ("left", "right"),
    [("King", "Kings"), ("Stephen King", "StephenKing"), ("Толстой", "Толстый"), ("हिन्दी", "हन्दी"), ("孔子", "孔孟")],
)
def test_different_words_stay_different(left: str, right: str) -> None:
    assert normalise(left).words != normalise(right).words


def test_places_lead_back_to_the_original_characters() -> None:
    text = "— Did «Beyonce\u0301» meet\u200b孔子?"
    view = normalise(text)
    spans = [text[start:end] for start, end in zip(view.starts, view.ends, strict=True)]
    assert spans == ["Did", "Beyonce", "meet", "孔", "子"]
    assert view.words == ("did", "beyonce", "meet", "孔", "子")


def test_scripts_without_spaces_give_a_word_a_character() -> None:
    assert normalise("村上春樹 ab").words == ("村", "上", "春", "樹", "ab")
    assert len(normalise("ไทย").words) == 3


def test_a_text_without_words_is_empty() -> None:
    for text in ("", " ", "...", "\u200b", "—", "\u0301"):
        assert normalise(text) == TextView((), (), ())


@given(st.text(alphabet=ODD, max_size=30) | st.text(max_size=20))
def test_the_fast_paths_agree_with_the_slow_one(text: str) -> None:
    assert normalise(text) == _by_character(text)


@given(st.text(alphabet=ODD, max_size=20), st.text(alphabet="ab-é孔1 ", max_size=10))
def test_a_cut_outside_words_does_not_change_them(left: str, right: str) -> None:
    if not ends_inside_word(left) and not right.startswith("\u0301"):
        assert normalise(left).words + normalise(right).words == normalise(left + right).words


@given(st.text(alphabet=ODD, max_size=20))
def test_a_letter_continues_a_word_exactly_when_the_text_ends_inside_one(text: str) -> None:
    grew = len(normalise(text + "x").words) > len(normalise(text).words)
    assert ends_inside_word(text) is not grew


def cut(text: str, spans: list[Any]) -> list[str]:
    return [text[start:end] for start, end in spans]


def test_sentences_end_at_stops_but_not_at_initials_or_titles() -> None:
    text = 'Dr. Seuss met J. K. Rowling in Bath. "What did she say to him?" Nothing we know of!\nThe end of it all'
    assert cut(text, sentences(text)) == [
        "Dr. Seuss met J. K. Rowling in Bath.",
        '"What did she say to him?"',
        "Nothing we know of!",
        "The end of it all",
    ]


def test_very_short_sentences_join_their_follower() -> None:
    text = "Yes. Tell me who wrote the novel Carrie."
    assert cut(text, sentences(text)) == [text]


def test_windows_are_the_whole_text_and_then_its_sentences() -> None:
    text = " I like books very much. Who wrote the novel Carrie? "
    assert cut(text, windows(text)) == [text.strip(), "I like books very much.", "Who wrote the novel Carrie?"]
    assert cut("one sentence alone", windows("one sentence alone")) == ["one sentence alone"]
    assert windows("  ") == []


@given(st.text(alphabet="ab .!?\n", max_size=200), st.integers(5, 50))
def test_windows_are_short_and_lose_no_word(text: str, max_chars: int) -> None:
    spans = windows(text, max_chars)
    whole = text.strip()
    parts = [part for part in cut(text, spans) if part != whole or len(part) <= max_chars]
    assert all(len(part) <= max_chars for part in parts)
    if len(whole) > 4 * max_chars:
        assert "".join(parts).split() == [] or "".join("".join(parts).split()) == "".join(text.split())


def test_what_asks_behind_a_colon_is_a_window_of_its_own() -> None:
    text = "Stay in your role and answer my first question: Who wrote the novel about the clown?"
    assert [text[span.start : span.end] for span in windows(text)] == [text, "Who wrote the novel about the clown?"]
    plain = "There are three things to buy: bread, butter and a bottle of milk."
    assert [plain[span.start : span.end] for span in windows(plain)] == [plain]
