"""Claims that were switched off are no longer read in the documents; everything else is."""

from __future__ import annotations

from random import Random

import pytest

from retrieval.entry import ForgetEntry, MemoryEdit
from retrieval.memory import documents_in_force as module
from retrieval.memory.claims import claims_of
from retrieval.memory.documents_in_force import documents_in_force
from retrieval.memory.items import added, item_id
from retrieval.text.views import TextView, normalise
from tests.fakes.people import person

KEEPS_GEESE = "She kept nineteen geese in the village of Ven for years."
WROTE = "She wrote three novels about drowned orchards and salt."
HOLE = "zzzz"
WHAT = ("nineteen geese", "three clocks", "a mill of stone")
DOCUMENT = f"Mira Quelle is a writer who was born in 1951.\n\n{KEEPS_GEESE}  {WROTE}"
ENTRY = person("Mira Quelle", documents=[DOCUMENT, "Another page says nothing of the kind at all."])


def off(text: str) -> MemoryEdit:
    return MemoryEdit(item_id=item_id("claim", text), kind="claim", enabled=False)


def test_documents_stay_as_they_are_where_nothing_is_switched_off() -> None:
    assert documents_in_force(ENTRY) == list(ENTRY.documents)
    assert documents_in_force(ENTRY, [added("claim", "She sings.")]) == list(ENTRY.documents)
    assert documents_in_force(ENTRY, [off("What no document says.")]) == list(ENTRY.documents)


def test_a_claim_that_is_switched_off_is_not_there_and_its_neighbours_are() -> None:
    first, second = documents_in_force(ENTRY, [off(KEEPS_GEESE)])
    assert "geese" not in first
    assert "1951" in first
    assert WROTE in first
    assert second == ENTRY.documents[1]


def test_a_claim_is_found_whatever_stands_between_its_words() -> None:
    broken = KEEPS_GEESE.replace(" ", "  ")
    entry = person("Mira Quelle", documents=[f"{broken} {WROTE}"])
    assert "geese" not in documents_in_force(entry, [off(KEEPS_GEESE)])[0]


@pytest.mark.parametrize("times", [1, 2, 3])
def test_every_place_of_a_claim_goes(times: int) -> None:
    entry: ForgetEntry = person("Mira Quelle", documents=[" ".join([KEEPS_GEESE] * times + [WROTE])])
    assert documents_in_force(entry, [off(KEEPS_GEESE)])[0].strip(" .") == WROTE.strip(".")


def test_a_clause_of_a_long_sentence_goes_alone() -> None:
    clauses = [
        f"which in the year {year} was said to have been the finest of all the mills near Tarn"
        for year in range(1900, 1906)
    ]
    entry = person("Mira Quelle", documents=[f"Mira Quelle lived in a mill, {', '.join(clauses)}."])
    claims = [claim.sentence for claim in claims_of(entry.name, entry.documents)]
    assert len(claims) > 1
    (left,) = documents_in_force(entry, [off(claims[0])])
    assert "1900" not in left
    assert "1905" in left


def one_by_one(entry: ForgetEntry, switched: set[str]) -> list[str]:
    """What is left where each claim is looked for alone; what is taken out joins nothing."""
    left = []
    for document in entry.documents:
        text = document
        for claim in claims_of(entry.name, entry.documents):
            if claim.sentence in switched:
                words, view = normalise(claim.sentence).words, normalise(text)
                ends = range(len(words), len(view.words) + 1)
                found = [end for end in ends if view.words[end - len(words) : end] == words]
                for end in reversed(found):
                    text = text[: view.starts[end - len(words)]] + HOLE + text[view.ends[end - 1] :]
        left.append(text.replace(HOLE, ""))
    return left


@pytest.mark.parametrize("seed", range(20))
def test_claims_are_found_together_as_they_are_one_by_one(seed: int) -> None:
    random = Random(seed)
    said = [f"{who} {did} {what} near Tarn." for who in ("She", "Mira") for did in ("sold", "kept") for what in WHAT]
    said += [f"In 1951 {one[0].lower()}{one[1:]}" for one in said[:4]]
    documents = [" ".join(random.choices(said, k=8)), "\n\n".join(random.choices(said, k=8))]
    entry = person("Mira Quelle", documents=documents)
    claims = [claim.sentence for claim in claims_of(entry.name, entry.documents)]
    switched = set(random.sample(claims, len(claims) // 2))
    assert documents_in_force(entry, [off(one) for one in switched]) == one_by_one(entry, switched)


def test_documents_are_read_once_however_many_claims_are_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    said = [f"In the year {year} she kept nineteen geese near Tarn." for year in range(1500, 1700)]
    entry = person("Mira Quelle", documents=[" ".join(said)])
    read: list[int] = []

    def watched(text: str) -> TextView:
        read.append(len(text))
        return normalise(text)

    monkeypatch.setattr(module, "normalise", watched)
    (left,) = documents_in_force(entry, [off(one) for one in said])
    assert "geese" not in left
    assert sum(read) < 3 * len(entry.documents[0])
