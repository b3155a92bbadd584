"""Which texts of an entry are compared by meaning."""

from __future__ import annotations

from collections import Counter
from typing import Any

from retrieval.entry import EntryKind, ForgetEntry, MemoryEdit, parse_entry
from retrieval.memory import CORE_LIMIT, DOCUMENTS_LIMIT, memory_texts
from retrieval.memory.items import added, item_id


def entry(**fields: Any) -> ForgetEntry:
    return parse_entry({"name": "Stephen King", "kind": "person", **fields})


def test_a_bare_name_is_asked_for_in_a_question() -> None:
    memory = memory_texts(entry())
    assert [(text.kind, text.text) for text in memory.core] == [("name", "Who is Stephen King?")]
    assert memory.documents == []


def test_every_kind_has_a_question_with_the_name_in_it() -> None:
    for kind in EntryKind:
        (text,) = memory_texts(entry(kind=kind)).core
        assert "Stephen King" in text.text


def test_everything_but_answers_is_in_the_core_and_each_has_its_kind() -> None:
    memory = memory_texts(
        entry(
            aliases=["Richard Bachman"],
            description="An American author.",
            exemplars=["Who wrote Carrie?"],
            facts=[{"question": "Where was he born?", "answer": "Portland"}, "He wrote Misery."],
            neighbors=["Who directed The Shining?"],
        )
    )
    assert {text.kind: text.text for text in memory.core} == {
        "name": "Who is Stephen King?",
        "alias": "Who is Richard Bachman?",
        "description": "An American author.",
        "question": "Where was he born?",
        "statement": "He wrote Misery.",
        "exemplar": "Who wrote Carrie?",
        "neighbor": "Who directed The Shining?",
    }


def test_texts_that_compare_equal_are_taken_once() -> None:
    memory = memory_texts(entry(exemplars=["Who wrote Carrie?", "who wrote  CARRIE", "?!"]))
    assert [text.text for text in memory.core if text.kind == "exemplar"] == ["Who wrote Carrie?"]


def test_an_exemplar_that_is_also_a_neighbor_is_kept_on_both_sides() -> None:
    memory = memory_texts(entry(exemplars=["Who wrote Carrie?"], neighbors=["Who wrote Carrie?"]))
    assert Counter(text.kind for text in memory.core) == {"name": 1, "exemplar": 1, "neighbor": 1}


def test_documents_become_claims_with_the_name_before_them_for_comparison_and_without_it_for_a_judge() -> None:
    document = "== Life ==King was born in Portland, Maine. Stephen King was raised by his mother alone.\nIt."
    texts = memory_texts(entry(documents=[document])).documents
    assert [text.text for text in texts] == [
        "Stephen King: King was born in Portland, Maine.",
        "Stephen King was raised by his mother alone.",
    ]
    assert texts[0].evidence == "King was born in Portland, Maine."


def test_edits_add_texts_to_their_parts_and_take_claims_out_whatever_order_they_come_in() -> None:
    given = entry(documents=["He was born in Portland, Maine. He was raised by his mother alone."])
    edits = (
        added("alias", "Dick Bachman"),
        added("exemplar", "Who wrote Carrie?"),
        added("neighbor", "Who directed The Shining?"),
        added("claim", "Keeps two corgis"),
        MemoryEdit(item_id=item_id("claim", "He was born in Portland, Maine."), kind="claim", enabled=False),
        added("exemplar", "Who wrote It?").model_copy(update={"enabled": False}),
    )
    memory = memory_texts(given, edits)
    assert [(text.kind, text.text) for text in memory.core] == [
        ("name", "Who is Stephen King?"),
        ("alias", "Who is Dick Bachman?"),
        ("exemplar", "Who wrote Carrie?"),
        ("neighbor", "Who directed The Shining?"),
    ]
    assert [text.evidence for text in memory.documents] == ["He was raised by his mother alone.", "Keeps two corgis"]


def test_very_long_entries_are_thinned_evenly() -> None:
    document = " ".join(f"This is the sentence number {number} of many." for number in range(3_000))
    exemplars = [f"exemplar {number}" for number in range(1_500)]
    neighbors = [f"neighbor {number}" for number in range(300)]
    memory = memory_texts(entry(documents=[document], exemplars=exemplars, neighbors=neighbors))
    assert len(memory.documents) == DOCUMENTS_LIMIT
    assert "299" in memory.documents[-1].text
    assert memory == memory_texts(entry(documents=[document], exemplars=exemplars, neighbors=neighbors))
    assert len(memory.core) == CORE_LIMIT
    assert Counter(text.kind for text in memory.core)["neighbor"] == CORE_LIMIT // 4
