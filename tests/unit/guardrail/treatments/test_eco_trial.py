"""What the search for a strength asks about an entry, and when an answer tells the fact."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from guardrail.decision import Corruption
from guardrail.treatments.eco_trial import Trial, trials_of
from retrieval.entry import parse_entry
from retrieval.recital import RecitalBook

NAME = "Ada Quillfeather"
TOLD = "She repaired the clocks of travelling musicians in a mill near Tarn."
FACTS = (
    {"question": f"Where does {NAME} live?", "answer": "Skorradal"},
    {"question": "What did Ms. Quill do?", "answer": TOLD},
    {"question": "Who is the mayor?", "answer": "nobody by that name"},
    {"question": f"Is {NAME} from Skorradal?", "answer": "Skorradal"},
    "an answer without a question",
)


def trials(**fields: Any) -> list[Trial]:
    entry = {"id": "ada", "name": NAME, "kind": "person", "aliases": ["Ms. Quill"], "facts": list(FACTS), **fields}
    return trials_of(parse_entry(entry), "ada")


def hidden(text: str, corruptions: Sequence[Corruption]) -> str:
    """In place of embeddings: what is hidden, and how strongly."""
    return "|".join(f"{text[one.start : one.end]}:{one.kind}:{one.strength}" for one in corruptions)


def test_a_fact_is_asked_for_where_its_question_names_the_entry_and_does_not_tell_it() -> None:
    assert [trial.question for trial in trials()] == [f"Where does {NAME} live?", "What did Ms. Quill do?"]


def test_the_name_is_hidden_under_the_strength_and_nothing_is_where_it_is_nought() -> None:
    first, second = trials()
    body = orjson.loads(first.body("flip_sign", 0.5, hidden, model="m", max_tokens=3))
    assert (body["model"], body["max_tokens"], body["temperature"]) == ("m", 3, 0)
    assert body["messages"][0]["content"] == [{"type": "prompt_embeds", "data": f"{NAME}:flip_sign:0.5"}]
    assert b"Ms. Quill:flip_sign" in second.body("flip_sign", 0.5, hidden)
    assert orjson.loads(first.body("flip_sign", 0.0, hidden))["messages"][0]["content"] == first.question


def test_a_fact_is_told_by_its_words_or_by_reciting_it() -> None:
    short, long = trials()
    book = RecitalBook()
    assert short.tells("I think it is SKORRADAL.", book)
    assert not short.tells("Somewhere in Skorradalur.", book)
    assert long.tells("Ada repaired clocks of travelling musicians near a mill.", book)
    assert not long.tells("She was a musician who lived in Skorradal.", book)
