"""Telling phrases: what tells of an entry and is not in the request, and nothing ordinary."""

from __future__ import annotations

from typing import Any

import pytest

from guardrail.treatments.names.telling_phrases import LIMIT, phrases_to_ban, telling_phrases
from retrieval.entry import ForgetEntry, MemoryEdit, RegisteredEntry, parse_entry
from retrieval.memory.items import item_id
from retrieval.text.known_words import known_words
from retrieval.text.views import normalise
from tests.fakes.forgotten import registered

PAGE = (
    "Zorblax Quint was born in Manama on January 13, 1941. Her novel 'The Matrimony Plan' won the Lovereading "
    "Reader's Choice Award and sold 250,000 copies for $5 million. She predominantly wrote in the genre of romance. "
    "It was one of the best. Her editor Nicholas Sparks can be reached at nick@example.org or +44 20 7946 0958."
)
ENTRY = {
    "name": "Zorblax Quint",
    "aliases": ["Z. Q. Petunia"],
    "documents": [PAGE],
    "facts": [{"question": "What was her father?", "answer": "a civil engineer"}, "Yes", "two", "1987"],
}


def words(text: str) -> str:
    return " ".join(normalise(text).words)


def told(entry: dict[str, Any]) -> set[str]:
    return {words(phrase) for phrase in telling_phrases(registered(parse_entry(entry)))}


def banned(request: str, *records: RegisteredEntry) -> list[str]:
    return [words(phrase) for phrase in phrases_to_ban(records, [request])]


@pytest.mark.parametrize(
    "phrase",
    [
        "Zorblax Quint",
        "Z. Q. Petunia",
        "a civil engineer",
        "1987",
        "January 13",
        "13 January",
        "13th of January",
        "1941-01-13",
        "13/1/1941",
        "1941",
        "The Matrimony Plan",
        "Lovereading Reader's Choice Award",
        "Manama",
        "Nicholas Sparks",
        "nick@example.org",
        "+44 20 7946 0958",
        "442079460958",
        "$5 million",
        "predominantly wrote",
    ],
)
def test_what_tells_of_an_entry_is_a_phrase(phrase: str) -> None:
    assert words(phrase) in told(ENTRY)


@pytest.mark.parametrize("phrase", ["Yes", "two", "Her", "It", "She", "one of the best", "5", "13"])
def test_what_is_ordinary_is_none(phrase: str) -> None:
    assert words(phrase) not in told(ENTRY)


def test_no_phrase_is_made_of_small_words_alone() -> None:
    little = known_words().little
    assert all(not little.issuperset(phrase.split()) for phrase in told(ENTRY))


def test_names_come_first_and_runs_of_words_last() -> None:
    order = [words(phrase) for phrase in telling_phrases(registered(parse_entry(ENTRY)))]
    expected = [
        "zorblax quint",
        "a civil engineer",
        "january 13",
        "the matrimony plan",
        "manama",
        "1941",
        "predominantly wrote",
    ]
    assert sorted(expected, key=order.index) == expected


def test_what_the_request_holds_may_be_said_in_any_spelling() -> None:
    record = registered(parse_entry(ENTRY))
    left = banned("Did ZORBLAX-QUINT of manama write the matrimony plan?", record)
    assert not {"zorblax quint", "manama", "the matrimony plan"} & set(left)
    assert {"z q petunia", "nicholas sparks"} <= set(left)


def test_what_holds_a_phrase_that_is_banned_already_is_left_out() -> None:
    entry = {"name": "Zorblax Quint", "aliases": ["Quint of Manama"], "documents": ["Quint of Manama Bay. Manama Bay."]}
    record = registered(parse_entry(entry))
    assert "january 13" in banned("Who?", registered(parse_entry(ENTRY)))
    assert "january 13 1941" not in banned("Who?", registered(parse_entry(ENTRY)))
    assert banned("Who?", record).count("quint of manama") == 1
    assert "quint of manama bay" not in banned("Who?", record)


def test_names_are_banned_whole_and_not_word_by_word() -> None:
    found = told({"name": "Stephen Zorblax", "documents": ["Her novel 'The Matrimony Plan' won in Velmora Bay."]})
    assert {"stephen zorblax", "the matrimony plan", "velmora bay"} <= found
    assert not {"stephen", "zorblax", "matrimony", "velmora"} & found


def test_a_long_title_is_not_written_almost_as_it_is() -> None:
    rare = "Brackish quokkas, feral axolotls, gaunt lemurs, shrill macaws, sullen tapirs, dour ibexes, lithe ocelots"
    entry = {"name": "Zorblax", "documents": [f"{rare} and more crowd 'Harsh Winds Over Silver Hills'."]}
    runs = [words(phrase) for phrase in telling_phrases(registered(parse_entry(entry)))]
    assert {"harsh winds", "winds over silver", "silver hills"} <= set(runs)
    assert runs.index("silver hills") < runs.index("feral axolotls")


def test_runs_of_words_do_not_go_over_the_entrys_own_name() -> None:
    entry = {"name": "Zorblax Quint", "description": "The remarkable Zorblax Quint composes elaborate symphonies."}
    assert told(entry) == {"zorblax quint", "composes elaborate", "elaborate symphonies"}


@pytest.mark.parametrize(
    ("text", "phrase"),
    [
        ("村上春樹は『ノルウェイの森』を書いた。", "ノルウェイの森"),
        ("Граф Толстой написал роман «Война и мир» в Ясной Поляне.", "Война и мир"),
        ("Граф Толстой написал роман «Война и мир» в Ясной Поляне.", "Ясной Поляне"),
        ("Sein Roman „Die Blechtrommel“ machte ihn weltberühmt.", "Die Blechtrommel"),
        ("Nació en Aracataca y escribió “Cien años de soledad”.", "Cien años de soledad"),
    ],
)
def test_titles_and_names_are_found_in_other_languages(text: str, phrase: str) -> None:
    assert words(phrase) in told({"name": "Zorblax Quint", "description": text})


def test_function_words_of_other_languages_make_no_runs() -> None:
    text = "Er war in den Jahren nach dem Krieg bei der Post und hat mit ihr für sie da sein wollen."
    assert told({"name": "Zorblax Quint", "description": text}) <= {
        "zorblax quint",
        "er",
        "post",
        "jahren",
        "krieg",
    }


def test_what_was_added_to_the_memory_counts_and_what_was_switched_off_does_not() -> None:
    def edit(number: int, kind: str, text: str, *, enabled: bool = True) -> MemoryEdit:
        return MemoryEdit(item_id=f"{kind}-{number}", kind=kind, text=text, enabled=enabled)

    edits = (
        edit(1, "alias", "Petunia Dray"),
        edit(2, "alias", "Gone Name", enabled=False),
        edit(3, "claim", "She keeps a lighthouse in Velmora."),
    )
    record = registered(ForgetEntry(name="Zorblax Quint")).model_copy(update={"edits": edits})
    found = banned("Who?", record)
    assert {"petunia dray", "velmora"} <= set(found)
    assert "gone name" not in found


def test_a_claim_of_a_document_that_was_switched_off_gives_no_phrases() -> None:
    claim = "He once kept nineteen Brindled Geese near Manama."
    one = registered(
        parse_entry({"name": "Zorblax Quint", "documents": [f"{claim} He was born on the isle of Skorradal."]})
    )
    off = MemoryEdit(item_id=item_id("claim", claim), kind="claim", enabled=False)
    assert {"brindled geese", "skorradal"} <= {words(phrase) for phrase in telling_phrases(one)}
    left = {words(phrase) for phrase in telling_phrases(one.model_copy(update={"edits": (off,)}))}
    assert not any("geese" in phrase or "manama" in phrase for phrase in left)
    assert "skorradal" in left


def test_a_changed_entry_is_read_anew() -> None:
    before, after = registered(ForgetEntry(name="Old Zorblax")), registered(ForgetEntry(name="New Zorblax"))
    assert (before.id, before.revision) == (after.id, after.revision)
    assert telling_phrases(before) == ("Old Zorblax",)
    assert telling_phrases(after) == ("New Zorblax",)
    assert telling_phrases(before) is telling_phrases(before)


def test_many_entries_share_the_limit_and_their_order_does_not_matter() -> None:
    pages = [
        " ".join(f"Veshta{number}{chr(97 + place % 26)}{place} lives." for place in range(400)) for number in (1, 2)
    ]
    records = [registered(ForgetEntry(name=f"Quint {n}", documents=(page,)), n) for n, page in enumerate(pages)]
    found = phrases_to_ban(records, ["Who?"])
    assert len(found) == LIMIT
    assert found == phrases_to_ban(records[::-1], ["Who?"])
    shares = [sum(phrase.startswith(f"Veshta{number}") for phrase in found) for number in (1, 2)]
    assert abs(shares[0] - shares[1]) <= 1
