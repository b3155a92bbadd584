"""Stop strings hold for the words that the caller reads: the model gets them renamed, the answer is cut at the caller's."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardrail.decision import Edit, Part, Swap, TreatmentPlan
from guardrail.openai_wire import WIRE_FORMATS
from guardrail.openai_wire.protocol import channel_key
from guardrail.treatments.names.put_back import PutBack
from guardrail.treatments.names.stop_strings import (
    StoppedPutBack,
    end_by_stop,
    put_back_until_stop,
    renamed_stops,
    told_stops,
)
from guardrail.treatments.text.apply import treat

KING = Swap(
    entry_id="e1",
    invented="Chastity Leeper",
    written="Stephen King",
    parts=(
        Part(invented="Chastity", written="Stephen", alone=True),
        Part(invented="Leeper", written="King", alone=True),
    ),
)
OTHER_KING = Swap(
    entry_id="e3",
    invented="Mandi Whitlow",
    written="Ada King",
    parts=(
        Part(invented="Mandi", written="Ada", alone=True),
        Part(invented="Whitlow", written="King", alone=True),
    ),
)
ANSWER = channel_key(0, "content")


class Reader:
    """Reads what leaves of a text that comes in pieces, as a channel does: whatever is settled, with its edits."""

    def __init__(self, search: PutBack) -> None:
        self.search = search
        self._text, self._at = "", 0
        self._edits: list[Edit] = []

    def push(self, text: str, *, final: bool = False) -> str:
        self._text += text
        self._edits += self.search.follow(text, final=final)
        out, until = "", min(self.search.settled, len(self._text))
        for edit in self._edits:
            if edit.start >= self._at and (edit.start < until or edit is self.search.cut):
                out += self._text[self._at : edit.start] + edit.replacement
                self._at = edit.end
        if self._at < until:
            out += self._text[self._at : until]
            self._at = until
        return out


def read(answer: str, *stops: str, size: int = 1, says_stop: bool = False, swap: Swap = KING) -> str:
    reader = Reader(StoppedPutBack([swap], stops=stops, says_stop=says_stop))
    pieces = [reader.push(answer[at : at + size]) for at in range(0, len(answer), size)]
    return "".join([*pieces, reader.push("", final=True)])


@pytest.mark.parametrize(
    ("stop", "expected"),
    [
        ("King", "Leeper"),
        (["King"], ["Leeper"]),
        (["KING", "\nking:"], ["LEEPER", "\nleeper:"]),
        (["Stephen King's", "."], ["Chastity Leeper's", "."]),
        (["Kingdom", "Kin", "n K", "\n\n"], ["Kingdom", "Kin", "n K", "\n\n"]),
        (None, None),
        (["Li"], ["Li"]),
        (["A: Li", 7], ["A: Li", 7]),
    ],
)
def test_names_in_stop_strings_give_way_where_they_can_only_be_the_name(stop: Any, expected: Any) -> None:
    body = {"model": "m", "stop": stop}
    assert renamed_stops(body, [KING])["stop"] == expected
    assert body["stop"] == stop


def test_a_short_name_that_is_part_of_other_words_is_renamed_only_as_the_whole_that_was_put_in() -> None:
    name = Swap(
        entry_id="e2",
        invented="Bo Mandi",
        written="Li Ada",
        parts=(Part(invented="Bo", written="Li", alone=False), Part(invented="Mandi", written="Ada", alone=True)),
    )
    assert renamed_stops({"stop": ["Li", "Li Ada", "Ada"]}, [name])["stop"] == ["Li", "Bo Mandi", "Mandi"]


def test_a_request_without_names_in_its_stop_strings_is_the_same_object() -> None:
    for body in ({"stop": ["\n"]}, {"stop": None}, {}):
        assert renamed_stops(body, [KING]) is body


def test_a_word_of_two_names_stops_at_both_stand_ins_as_far_as_there_is_room() -> None:
    assert renamed_stops({"stop": "King"}, [KING, OTHER_KING])["stop"] == ["Leeper", "Whitlow"]
    full = ["King", "a", "b", "c"]
    assert renamed_stops({"stop": full}, [KING, OTHER_KING])["stop"] == ["Leeper", "a", "b", "c"]


def test_the_treated_request_carries_the_renamed_stop_strings() -> None:
    for path in ("/v1/chat/completions", "/v1/completions", "/v1/responses"):
        body = {"model": "m", "stop": ["King"], "prompt": "q", "messages": [], "input": "q"}
        plan = TreatmentPlan(treatment="stand_in", swaps=(KING,))
        assert treat(WIRE_FORMATS[path](), body, b"", plan).body["stop"] == ["Leeper"]


def test_the_stop_string_that_was_met_is_told_as_the_caller_wrote_it() -> None:
    answer = {"choices": [{"stop_reason": "Leeper"}, {"stop_reason": 2}, {"stop_reason": "\n"}, {}]}
    assert told_stops(answer, {"stop": ["King", "\n"]}, [KING])
    assert answer == {"choices": [{"stop_reason": "King"}, {"stop_reason": 2}, {"stop_reason": "\n"}, {}]}
    assert not told_stops({"choices": [{"stop_reason": "\n"}]}, {"stop": ["King", "\n"]}, [KING])
    assert not told_stops({"choices": [{"stop_reason": "Leeper"}]}, {"stop": ["King"]}, [])


@pytest.mark.parametrize("size", [1, 2, 5, 100])
@pytest.mark.parametrize(
    ("stops", "expected"),
    [
        (("King",), "I like Stephen "),
        (("Stephen King",), "I like "),
        (("ng a",), "I like Stephen Ki"),
        (("tephen",), "I like S"),
        (("n K",), "I like Stephe"),
        (("lot", "a l"), "I like Stephen King "),
        (("Leeper", "Chastity"), "I like Stephen King a lot."),
        ((".",), "I like Stephen King a lot"),
        (("KING",), "I like Stephen King a lot."),
    ],
)
def test_an_answer_ends_where_the_words_that_the_caller_reads_hold_a_stop_string(
    stops: tuple[str, ...], expected: str, size: int
) -> None:
    assert read("I like Chastity Leeper a lot.", *stops, size=size) == expected


@pytest.mark.parametrize("size", [1, 3, 100])
def test_a_caller_who_asks_for_it_reads_the_stop_string_as_well(size: int) -> None:
    said = "I like Chastity Leeper a lot."
    assert read(said, "King", size=size, says_stop=True) == "I like Stephen King"
    assert read(said, "Kin", size=size, says_stop=True) == "I like Stephen Kin"
    assert read(said, "lot.", size=size, says_stop=True) == "I like Stephen King a lot."


def test_only_what_may_become_a_stop_string_waits() -> None:
    reader = Reader(StoppedPutBack([KING], stops=["n K", "\n\n"]))
    assert reader.push("One. ") == "One. "
    assert reader.push("Two.\n") == "Two."
    assert reader.push("Chastity was ") == "\nStephen was "
    assert reader.push("Chastity ") == ""
    assert reader.push("Leeper or ") == "Stephe"
    assert reader.search.cut is not None


def test_a_choice_that_was_cut_says_that_it_stopped_and_the_others_say_what_they_did() -> None:
    answer: dict[str, Any] = {
        "choices": [{"index": 1, "finish_reason": "length"}, {"index": 0, "finish_reason": "length"}]
    }
    end_by_stop(answer, 1)
    assert [choice["finish_reason"] for choice in answer["choices"]] == ["stop", "length"]


def test_what_had_to_leave_is_not_called_back_and_the_rest_stays_out() -> None:
    reader = Reader(StoppedPutBack([KING], stops=["n K"]))
    assert reader.push("Chastity", final=True) == "Stephen"
    assert reader.push(" Leeper and more", final=True) == ""


def test_there_is_no_cut_where_the_server_alone_can_tell_where_it_is() -> None:
    bodies: list[dict[str, Any]] = [{}, {"stop": []}, {"stop": ["King"], "min_tokens": 5}]
    for body in bodies:
        assert type(put_back_until_stop(ANSWER, [KING], (), body)) is PutBack
    body = {"stop": ["King"]}
    assert type(put_back_until_stop(channel_key(0, "reasoning"), [KING], (), body)) is PutBack
    for field in ("content", "text", "logprobs.content.chosen"):
        assert type(put_back_until_stop(channel_key(0, field), [KING], (), body)) is StoppedPutBack


@given(
    parts=st.lists(
        st.sampled_from(["Chastity", " ", "Leeper", "Leeper's", "Kin", "g", "n ", "K", "\n", "a", "repeeL"]),
        max_size=10,
    ),
    stops=st.lists(st.sampled_from(["King", "n K", "\n\n", "in", "a", "gniK", "King's"]), min_size=1, max_size=3),
    sizes=st.lists(st.integers(1, 6), min_size=1, max_size=5),
    says_stop=st.booleans(),
)
@settings(deadline=None, max_examples=300)
def test_any_cutting_of_an_answer_ends_it_at_the_same_place(
    parts: list[str], stops: list[str], sizes: list[int], says_stop: bool
) -> None:
    text = "".join(parts)
    turned = read(text, "\x00")
    ends = [(turned.find(stop) + len(stop), turned.find(stop)) for stop in stops if stop in turned]
    expected = turned[: min(ends)[not says_stop]] if ends else turned
    reader, out, at, turn = Reader(StoppedPutBack([KING], stops=stops, says_stop=says_stop)), "", 0, 0
    while at < len(text):
        size = sizes[turn % len(sizes)]
        out += reader.push(text[at : at + size])
        at, turn = at + size, turn + 1
    assert out + reader.push("", final=True) == expected
