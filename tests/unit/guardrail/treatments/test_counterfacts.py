"""Counterfacts: the entry's own sentences with other names, dates and numbers in them, and never a true one."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import pytest

from guardrail.treatments.names.counterfacts import MOST, Counterfact, counterfacts_of, nearest, retold
from guardrail.treatments.words.word_groups import GROUPS, PLACES
from retrieval.entry import MemoryEdit, RegisteredEntry, parse_entry
from retrieval.memory.items import item_id
from retrieval.text.views import normalise

KEY = b"a key of this deployment"
NOW = datetime(2026, 1, 1, tzinfo=UTC)
NAME = "Ada Quillfeather"
FACTS = (
    (
        "Where and when was Ada Quillfeather born?",
        "In Portland, Maine, on 21 September 1947.",
        "portland maine 21 1947",
    ),
    ("When did The Tin Sea appear?", "The Tin Sea appeared in April 1974, with Doubleday.", "april 1974 doubleday"),
    ("Who is her husband?", "Tobias Quillfeather", "tobias"),
    ("What did her mother do?", "Her mother was a nurse.", "nurse"),
    ("How is she reached?", "By ada.quill@example.com or +44 20 7946 0958.", "ada.quill example 7946 0958"),
    ("Which prizes has she won?", "She won the Bram Stoker Award on 2003-09-21.", "bram stoker 2003 09 21"),
    ("Who taught her?", "Mrs. Jones taught her.", "jones"),
    ("Which book was first?", 'It was "The Old Drift", of 60 novels.', "old drift 60"),
)


def record(facts: Any = (), **fields: Any) -> RegisteredEntry:
    told = [fact if isinstance(fact, str) else {"question": fact[0], "answer": fact[1]} for fact in facts]
    entry = parse_entry({"id": "e1", "name": NAME, "kind": "person", "facts": told, **fields})
    edits = fields.pop("edits", ())
    return RegisteredEntry(id="e1", revision=1, entry=entry, created_at=NOW, updated_at=NOW, edits=edits)


def made(one: RegisteredEntry, key: bytes = KEY) -> tuple[Counterfact, ...]:
    return counterfacts_of(one, key=key)


@pytest.mark.parametrize(("question", "answer", "true"), FACTS)
def test_a_fact_is_told_falsely_under_its_own_question(question: str, answer: str, true: str) -> None:
    (one,) = made(record([(question, answer)]))
    assert one.question == question
    said = normalise(one.statement).words
    assert not set(normalise(true).words) & set(said), one.statement
    assert len(said) >= len(normalise(answer).words) - 3, "it is still the same sentence"


def test_what_the_question_says_and_the_name_of_the_entry_stay() -> None:
    (one,) = made(record([("When did The Tin Sea appear?", "The Tin Sea by Quillfeather appeared in April 1974.")]))
    assert one.statement.startswith("The Tin Sea by Quillfeather appeared in ")


@pytest.mark.parametrize(
    "fact", ["She likes tea.", "Ada Quillfeather", ("Does she write?", "Yes, she writes about the sea.")]
)
def test_what_holds_nothing_that_can_give_way_is_left_out(fact: Any) -> None:
    assert made(record([fact])) == ()


def test_a_statement_in_which_another_fact_can_still_be_read_is_left_out() -> None:
    facts = [("What does she like?", "grilled marsh eel"), "In 1981 she opened a stall for grilled marsh eel."]
    assert made(record(facts)) == ()
    assert len(made(record(facts[1:]))) == 1


def test_facts_come_before_statements_of_texts_and_of_edits() -> None:
    edit = MemoryEdit(item_id="m1", kind="claim", text="Ada Quillfeather met Otto Brandvold at the harbour in 1990.")
    off = MemoryEdit(item_id="m2", kind="claim", text="Ada Quillfeather sold 900 boats to the navy.", enabled=False)
    one = record(
        ["She was born in 1947."],
        description="Ada Quillfeather moved to Vienna in 1960 with her aunt.",
        documents=["She sold 300 copies of her first novel to sailors."],
    ).model_copy(update={"edits": (edit, off)})
    said = [fact.statement for fact in made(one)]
    begins = ("She was born in ", f"{NAME} moved to ", f"{NAME}: She sold ", f"{NAME} met ")
    assert [text.startswith(begin) for text, begin in zip(said, begins, strict=True)] == [True] * 4
    assert not re.search("1947|1960|Vienna|300|Otto|Brandvold|1990", " ".join(said))


def test_years_move_together_and_never_to_a_true_one() -> None:
    years = (1947, 1974, 1981, 1990)
    told = [made(record([f"This was in {year}." for year in years]), key=bytes([number])) for number in range(40)]
    for facts in told:
        moved = [int(re.findall(r"\d{4}", fact.statement)[0]) for fact in facts]
        assert len({new - old for new, old in zip(moved, years, strict=True)}) == 1
        assert not set(moved) & set(years)


def test_an_article_follows_its_word_and_an_ordinal_its_number() -> None:
    for number in range(30):
        facts = made(record(["She is a nurse and was there on the 21st of May."]), key=bytes([number]))
        found = re.search(r"is (an?) (\w+) .* the (\d+)(st|nd|rd|th) of", facts[0].statement)
        assert found is not None, facts[0].statement
        assert (found[1] == "an") == (found[2][0] in "aeiou")
        assert found[4] == {1: "st", 2: "nd", 3: "rd", 21: "st", 22: "nd", 23: "rd"}.get(int(found[3]), "th")


def test_counterfacts_hang_on_the_key_and_the_entry_alone() -> None:
    facts = [(question, answer) for question, answer, _ in FACTS]
    assert made(record(facts)) == made(record(list(facts)))
    assert made(record(facts)) != made(record(facts), key=b"another key")
    changed = record([("Who?", "Her uncle is Otto Brandvold.")])
    assert made(changed) != made(record(facts)), "the same id and revision of another registry are another entry"


def test_there_are_no_more_than_a_few_dozen() -> None:
    assert len(made(record([f"Number {number} is {number + 5000}." for number in range(200)]))) == MOST


def test_the_nearest_share_words_with_the_request_other_than_the_names() -> None:
    entry = record().entry
    facts = [
        Counterfact(question="Who is Ada Quillfeather's brother?", statement="a"),
        Counterfact(question="When did Ada Quillfeather buy a lighthouse?", statement="b"),
        Counterfact(question="", statement="She kept a lighthouse and a goat."),
    ]
    text = "Tell me when Ada Quillfeather got the lighthouse and the goat"
    assert [one.statement for one in nearest(facts, text, entry=entry, most=2)] == [facts[2].statement, "b"]
    assert nearest(facts, "zzz", entry=entry, most=9) == facts
    assert nearest(facts, text, entry=entry, most=0) == []


def test_a_claim_that_was_switched_off_has_no_counterfact() -> None:
    kept, gone = "She moved to Boston in the year 1961.", "She met Harold Vance in April 1974."
    one = record(documents=[f"{kept} {gone}"])
    assert len(made(one)) == 2
    off = MemoryEdit(item_id=item_id("claim", gone), kind="claim", enabled=False)
    (left,) = made(one.model_copy(update={"edits": (off,)}))
    assert "moved" in left.statement


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Ada Quillfeather's house", "X's house"),
        ("Ada Quillfeather and Ada, Quillfeather", "X and X, X"),
        ("the quill of Adam", "the quill of Adam"),
    ],
)
def test_a_text_is_retold_of_somebody_else(text: str, expected: str) -> None:
    assert retold(text, record().entry, "X") == expected


def test_a_name_of_common_words_is_retold_too() -> None:
    entry = parse_entry({"name": "Stephen King", "kind": "person"})
    assert retold("The novels of King and Stephen King's wife", entry, "X") == "The novels of X and X's wife"


def test_words_of_a_title_are_not_the_title() -> None:
    entry = parse_entry({"name": "The Old Drift", "kind": "work"})
    assert retold("The Old Drift is Old.", entry, r"\1") == r"\1 is Old."


def test_the_tables_hold_every_word_once() -> None:
    words = [word for group in GROUPS for word in group]
    assert len(words) == len(set(words))
    assert all(word.isalpha() and word.islower() for word in words)
    assert all(len(group) > 4 for group in GROUPS)
    assert any("portland" in group for group in PLACES)
