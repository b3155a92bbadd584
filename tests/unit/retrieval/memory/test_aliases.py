"""Which other names an entry gives, and which of them may decide alone."""

from __future__ import annotations

from typing import Any

import pytest

from retrieval.memory import aliases_of, unmistakable_aliases
from tests.fakes.people import person


def sure(name: str, document: str = "", **fields: Any) -> list[str]:
    return unmistakable_aliases(person(name, documents=[document] if document else [], **fields))


def unsure(name: str, document: str = "", **fields: Any) -> list[str]:
    entry = person(name, documents=[document] if document else [], **fields)
    return [alias.text for alias in aliases_of(entry) if not alias.is_unmistakable]


@pytest.mark.parametrize(
    ("name", "document", "expected"),
    [
        ("Mira Quelle", "Mira Johanna Quelle (born 3 May 1951) is a writer.", "Mira Johanna Quelle"),
        (
            "Bobby Vale",
            "Robert Craig Vale (1938 - 2007), known professionally as Bobby Vale, was a stunt man.",
            "Robert Craig Vale",
        ),
        (
            "Vinko",
            "Marko Sinja Perovic (born 1967), better known by his stage name Vinko, is a singer.",
            "Marko Sinja Perovic",
        ),
        ("Tara Quist", "Tara Quist (born Ottoline Mae Brandt; 1 June 1949) is a painter.", "Ottoline Mae Brandt"),
        ("Tara Quist", "Tara Quist, born Ottoline Mae Brandt, is a painter.", "Ottoline Mae Brandt"),
        ("Ilse Tamm", "Ilse Marie Tamm (née Brodersen; born 1950) was a diver.", "Ilse Marie Brodersen"),
        ("Wei Kong", "Wei Kong (Chinese: 孔慧明; pinyin: Kǒng Huìmíng; c. 551 BCE) was a sage.", "孔慧明"),
        ("Temur Khan", "Temur Khan (c. 1162 - 1227), also Chinggiz Khan, was a ruler.", "Chinggiz Khan"),
        ("Odo Brask", "Odo Karl Brask is a writer. He published under the pseudonym Willem Tharn.", "Willem Tharn"),
        ("Mira K. Quelle", "", "Mira Quelle"),
        ("Chip Tarrow", 'Cornelius Dane "Chip" Tarrow (born 1943) is a comedian.', "Cornelius Dane Tarrow"),
        (
            "Lena, Countess of Ven",
            "Lena, Countess of Ven (; born Rahel Lena Markov; 1981) is an actress.",
            "Lena Markov",
        ),
        ("Mira Quelle", "Sir Mira Johanna Blake Quelle (born 1951) is a judge.", "Mira J. B. Quelle"),
    ],
)
def test_full_birth_and_stage_names_of_the_opening_decide_alone(name: str, document: str, expected: str) -> None:
    assert expected in sure(name, document)


@pytest.mark.parametrize(
    ("name", "document", "never"),
    [
        ("Mira Quelle", "", "Mira"),
        ("Mira Quelle", "", "Quelle"),
        ("Mira Quelle", "", "Quelle, Mira"),  # a comma is no part of what is compared
        ("Odo Brask Jr.", "", "Odo Brask"),  # his father's name
        ("Jim Parson", "James Joseph Parson (born 1973) is an actor.", "James Parson"),  # nobody wrote it
        ("John Green", 'John Paul Green (born 1973), known as "the Rock", is an actor.', "the Rock"),
        ("Bruce Stone", 'Bruce Stone (born 1949), nicknamed "the Boss", is a singer.', "the Boss"),
        ("Meg, Duchess of Ven", "", "Meg"),
        ("Prince Harry, Duke of Ven", "", "Prince Harry"),  # two ordinary words
        ("Temur Khan", "Temur Khan (born Temujin; c. 1162) was a ruler.", "Temujin"),
        ("Mira Quelle", "Mira Quelle (born 3 May 1951) is a writer.", "May"),
        (
            "Mira Quelle",
            "Mira Quelle (KWEL-uh; born 1951) is a writer, best known as the voice of Tilda Swan.",
            "Tilda Swan",
        ),
    ],
)
def test_lone_names_nicknames_and_ordinary_ones_never_decide_alone(name: str, document: str, never: str) -> None:
    assert never not in sure(name, document)


@pytest.mark.parametrize(
    "document",
    [
        "Joe Hillstrom Quelle (born 1972) is the son of Mira Quelle.",
        "The house of Salt (1998), known professionally as Red Lantern Inn, is a hotel.",
        "In 1951 Ottoline Mae Brandt was born.",
        "Tilda Marie Swan (born 1950) is an actress.",
        "",
    ],
)
def test_a_sentence_about_somebody_else_gives_no_name(document: str) -> None:
    assert sure("Mira Quelle", document) == []


def test_evidence_for_a_judge_holds_the_parts_of_the_name_and_the_nicknames() -> None:
    document = 'Bruce Ferdinand Stone (born 1949), nicknamed "the Boss", is a singer.'
    assert {"Bruce", "Stone", "Stone, Bruce"} <= set(unsure("Bruce Stone", document))
    nicknamed = 'Bruce Stone (born 1949) is a singer, often dubbed "Prince of Rust".'
    assert "Prince of Rust" in unsure("Bruce Stone", nicknamed)


def test_what_the_entry_lists_itself_is_not_derived_again() -> None:
    document = "Mira Johanna Quelle (born 1951) is a writer."
    assert "Mira Johanna Quelle" not in sure("Mira Quelle", document, aliases=["mira johanna QUELLE"])


def test_a_topic_has_no_first_and_last_name() -> None:
    assert aliases_of(person("marine ballast law", kind="topic")) == []


@pytest.mark.parametrize(("name", "kind"), [("Jagged Tharn Pill", "work"), ("Ven Harbour Lakers", "custom")])
def test_only_people_have_middle_names(name: str, kind: str) -> None:
    first, _, last = name.split()
    assert f"{first} {last}" not in sure(name, kind=kind)
    assert "Mira Quelle" in sure("Mira K. Quelle", kind="custom")


def test_the_description_and_the_facts_are_read_too() -> None:
    assert "Mira Johanna Quelle" in sure("Mira Quelle", description="Mira Johanna Quelle is a writer.")
    assert "Ottoline Mae Brandt" in sure("Tara Quist", facts=["Tara Quist, born Ottoline Mae Brandt, is a painter."])


def test_names_come_in_the_same_order_every_time() -> None:
    entry = person("Mira Quelle", documents=["Mira Johanna Quelle (born Mira Anna Tessen; 1951) is a writer."])
    assert aliases_of(entry) == aliases_of(entry)
