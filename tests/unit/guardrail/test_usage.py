"""Token counts after a treatment."""

from __future__ import annotations

from typing import Any

import pytest

from guardrail.openai_wire.usage import hide_added, set_answer, set_prompt


def counts(**more: Any) -> dict[str, Any]:
    return {"usage": {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110, **more}}


def test_the_added_share_is_taken_from_the_prompt_and_the_total() -> None:
    body = counts()
    assert hide_added(body, 0.25)
    assert body["usage"] == {"prompt_tokens": 75, "completion_tokens": 10, "total_tokens": 85}


def test_cached_tokens_are_not_told_where_the_prompt_was_changed() -> None:
    body = counts(prompt_tokens_details={"cached_tokens": 64, "audio_tokens": 1})
    hide_added(body, 0.25)
    assert body["usage"]["prompt_tokens_details"] == {"cached_tokens": 0, "audio_tokens": 1}


@pytest.mark.parametrize("body", [{}, {"usage": None}, {"response": {}}, {"usage": []}])
def test_an_event_without_counts_stays(body: dict[str, Any]) -> None:
    before = dict(body)
    assert not hide_added(body, 0.5)
    set_answer(body, 3)
    assert body == before


def test_nothing_added_changes_nothing() -> None:
    body = counts()
    assert not hide_added(body, 0.0)
    assert body == counts()


def test_responses_keep_their_counts_below_the_response() -> None:
    body = {"response": {"usage": {"input_tokens": 10, "output_tokens": 4, "total_tokens": 14}}}
    assert hide_added(body, 0.5)
    set_answer(body, 7)
    assert body["response"]["usage"] == {"input_tokens": 5, "output_tokens": 7, "total_tokens": 12}


def test_a_prompt_never_counts_less_than_one_token() -> None:
    body = counts()
    hide_added(body, 0.9999)
    assert body["usage"]["prompt_tokens"] == 1


def test_the_callers_own_count_takes_the_place_of_what_was_sent() -> None:
    body = counts(prompt_tokens_details={"cached_tokens": 64})
    assert set_prompt(body, 42)
    assert body["usage"]["prompt_tokens"] == 42
    assert body["usage"]["total_tokens"] == 52
    assert body["usage"]["prompt_tokens_details"]["cached_tokens"] == 0
    assert not set_prompt({}, 42)
