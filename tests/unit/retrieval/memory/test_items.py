"""The memory item by item: where each comes from, stable ids, and what edits do."""

from __future__ import annotations

import pytest

from retrieval.entry import ForgetEntry, MemoryEdit
from retrieval.errors import InvalidEntry
from retrieval.memory import items_of, unmistakable_names
from retrieval.memory.items import added, item_id
from tests.fakes.people import person

PAGE = "Mira Johanna Quelle (born 1951) is a writer. She kept geese near the Tharn Abbey of Ven."


def entry() -> ForgetEntry:
    return person("Mira Quelle", aliases=["Halva Brandt"], documents=[PAGE], exemplars=["Who kept geese?"])


def test_every_item_says_where_it_comes_from() -> None:
    sources = {(item.kind, item.text): item.source for item in items_of(entry(), [added("claim", "She sings.")])}
    assert sources["name", "Mira Quelle"] == "given"
    assert sources["alias", "Halva Brandt"] == "given"
    assert sources["exemplar", "Who kept geese?"] == "given"
    assert sources["alias", "Mira Johanna Quelle"] == "derived"
    assert sources["claim", "She kept geese near the Tharn Abbey of Ven."] == "derived"
    assert sources["handle", "Tharn Abbey of Ven"] == "derived"
    assert sources["claim", "She sings."] == "given"
    elicited = items_of(entry(), [added("claim", "She sings.", source="elicited")])
    assert [item.text for item in elicited if item.source == "elicited"] == ["She sings."]


def test_ids_are_unique_and_stay_when_the_entry_grows() -> None:
    first = {item.id: item.text for item in items_of(entry())}
    assert len(first) == len(items_of(entry()))
    grown = entry().model_copy(update={"documents": ("She was a diver in her youth.", PAGE)})
    later = {item.id: item.text for item in items_of(grown)}
    assert first.items() <= later.items()


def test_a_derived_alias_that_is_switched_off_no_longer_decides() -> None:
    assert "Mira Johanna Quelle" in unmistakable_names(entry())
    off = MemoryEdit(item_id=item_id("alias", "Mira Johanna Quelle"), kind="alias", enabled=False)
    assert "Mira Johanna Quelle" not in unmistakable_names(entry(), [off])
    (shown,) = [item for item in items_of(entry(), [off]) if item.id == off.item_id]
    assert not shown.enabled


def test_only_what_the_operator_calls_unmistakable_decides_alone() -> None:
    edits = [
        added("alias", "Tessen", is_unmistakable=True),
        added("alias", "Goose Lady"),
        added("alias", "Odo", is_unmistakable=True).model_copy(update={"enabled": False}),
    ]
    names = unmistakable_names(person("Mira Quelle"), edits)
    assert names == ["Tessen"]


@pytest.mark.parametrize(
    ("kind", "text"), [("fact", "born in Ven"), ("name", "Mira"), ("alias", "?!"), ("x" * 99, "y")]
)
def test_other_kinds_and_texts_without_words_are_refused(kind: str, text: str) -> None:
    with pytest.raises(InvalidEntry):
        added(kind, text)


def test_a_claim_cannot_be_unmistakable() -> None:
    with pytest.raises(InvalidEntry, match="alias"):
        added("claim", "She sings.", is_unmistakable=True)
