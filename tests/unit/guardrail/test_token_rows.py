"""Rows of tokens in the words as which an answer leaves."""

from __future__ import annotations

from typing import Any

from guardrail.openai_wire.token_rows import retell_rows


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
