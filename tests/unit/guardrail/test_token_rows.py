"""Rows of tokens in the words as which an answer leaves."""

from __future__ import annotations

from typing import Any

import pytest

from guardrail.openai_wire.token_rows import hide_alternatives, retell_rows, rows_tell


def row(token: str, *others: str, **fields: Any) -> dict[str, Any]:
    tops = [{"token": other, "logprob": -2.0, "bytes": list(other.encode())} for other in others]
    return {"token": token, "logprob": -1.0, "bytes": list(token.encode()), "top_logprobs": tops, **fields}


def chat(*rows: dict[str, Any]) -> dict[str, Any]:
    return {"choices": [{"index": 0, "logprobs": {"content": list(rows), "refusal": None}}]}


CONTENT = ("choices", 0, "logprobs", "content")


def test_a_token_leaves_under_its_new_text_with_its_own_number() -> None:
    value = chat(row("Drav"), row("el"), row(" bakes"))
    retell_rows(value, [((*CONTENT, 0, "token"), "Ada"), ((*CONTENT, 1, "token"), "")])
    assert value == chat(row("Ada"), row(" bakes"))


def test_the_chosen_token_stays_among_its_alternatives() -> None:
    value = chat(row("Drav", "He", "Drav"), row("el", "el", "ia"))
    retell_rows(value, [((*CONTENT, 0, "token"), "Ada"), ((*CONTENT, 1, "token"), "")])
    assert value == chat(row("Ada", "He", "Ada"))


def test_alternatives_that_are_turned_back_by_themselves_change_alone() -> None:
    value = chat(row("He", "He", "Dravel"), row(" is", " is", "x"))
    retell_rows(
        value, [((*CONTENT, 0, "top_logprobs", 1, "token"), "Ada"), ((*CONTENT, 1, "top_logprobs", 1, "token"), "")]
    )
    assert value == chat(row("He", "He", "Ada"), row(" is", " is"))


def test_rows_without_bytes_or_alternatives_get_none_and_empty_tokens_of_the_model_stay() -> None:
    bare = {"token": "Dravel", "logprob": -1.0, "bytes": None}
    end = {"token": "", "logprob": -0.5}
    value: dict[str, Any] = {"logprobs": [bare, end]}
    retell_rows(value, [(("logprobs", 0, "token"), "Ada")])
    assert value == {"logprobs": [{**bare, "token": "Ada"}, end]}


def test_places_that_are_gone_are_passed_over() -> None:
    value: dict[str, Any] = {"choices": [{"index": 0, "logprobs": None}], "output": []}
    retell_rows(value, [((*CONTENT, 0, "token"), "Ada"), (("output", 3, "content", 0, "logprobs", 0, "token"), "Ada")])
    assert value == {"choices": [{"index": 0, "logprobs": None}], "output": []}


def test_rows_and_their_alternatives_may_lack_a_token() -> None:
    value: dict[str, Any] = {"logprobs": [{"logprob": -1.0}, {"token": "x", "top_logprobs": [{"logprob": -1.0}]}]}
    retell_rows(value, [(("logprobs", 1, "token"), "Ada")])
    assert [row.get("token") for row in value["logprobs"]] == [None, "Ada"]


@pytest.mark.parametrize(
    ("tokens", "texts", "expected"),
    [
        (["Ada", " bakes"], ["Ada bakes"], True),
        (["Drav", "el", " bakes"], ["Ada bakes"], False),
        ([" bakes"], ["Well. Ada bakes"], True),  # a part of the text
        (["Hm", "<end>", "Ada"], ["Hm", "Ada"], True),  # marks between texts
        (["Hm", "<end>", "Drav"], ["Hm", "Ada"], False),
        (["x"], [], False),
        ([""], [], True),
        ([], ["Ada"], True),
        (["\ufffd", "\ufffd"], ["Ada"], True),
        (["Ada ", "\ufffd", "\ufffd", "!"], ["Ada é!"], True),
        (["\ufffd", "\ufffd", "ofie", "!"], ["Ada!"], False),
        (["Drav", "\ufffd", "\ufffd", "!"], ["Ada!"], False),
        (["a", "\ufffd", "a"], ["a"], False),  # nothing is left for the cut letter
        (["a", "\ufffd", "b", "\ufffd"], ["ab"], False),
    ],
)
def test_rows_tell_what_the_texts_say(tokens: list[str], texts: list[str], expected: bool) -> None:
    rows = [{"token": token} for token in tokens]
    assert rows_tell(rows, texts) is expected
    assert rows_tell({"content": rows, "refusal": None}, texts) is expected


def test_many_cut_letters_are_compared_in_one_pass() -> None:
    rows = [{"token": token} for token in ("a", "\ufffd") * 5_000]
    assert not rows_tell([*rows, {"token": "z"}], ["aé" * 5_000])


@pytest.mark.parametrize("given", [[-1], [256], ["x"], [1.5], [None], "x", 5, {}])
def test_bytes_that_are_none_are_passed_over(given: Any) -> None:
    assert rows_tell([{"token": "Ada \ufffd", "bytes": given}], ["Ada é"])


def test_alternatives_go_wherever_they_stand_and_the_tokens_stay() -> None:
    rows = [row("a", "a", "b"), row("c", "d")]
    bare = [row("a"), row("c")]
    columns = {"tokens": ["a", "c"], "token_logprobs": [-1.0, None], "top_logprobs": [{"a": -1.0, "b": -2.0}, None]}
    value: dict[str, Any] = {
        **chat(*rows),
        "response": {"top_logprobs": 2, "output": [{"content": [{"text": "ac", "logprobs": list(rows)}]}]},
        "columns": columns,
    }
    assert hide_alternatives(value)
    assert value == {
        **chat(*bare),
        "response": {"top_logprobs": 2, "output": [{"content": [{"text": "ac", "logprobs": bare}]}]},
        "columns": {**columns, "top_logprobs": [None, None]},
    }
    assert not hide_alternatives(value)
