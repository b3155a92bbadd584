"""Whether somebody is written of as a man or as a woman, by a first name and by the entry's own texts."""

from __future__ import annotations

from typing import Any

import pytest

from guardrail.treatments.names.genders import Gender, gender_in, gender_of
from guardrail.treatments.names.stand_in import stand_in_for
from retrieval.entry import parse_entry

KEYS = [f"key {number}".encode() for number in range(12)]


def first_names(name: str, **fields: Any) -> list[str]:
    """The first words of the stand-ins of somebody, under several keys."""
    entry = parse_entry({"id": "e1", "name": name, "kind": "person", **fields})
    return [stand_in_for(entry, key=key).name.split()[0].lower() for key in KEYS]


@pytest.mark.parametrize(
    ("name", "gender"),
    [("stephen", Gender.MALE), ("mary", Gender.FEMALE), ("leslie", None), ("hsiao", None), ("king of", None)],
)
def test_a_first_name_tells_as_far_as_one_gender_bears_it(name: str, gender: Gender | None) -> None:
    assert gender_of(name) is gender


@pytest.mark.parametrize(
    ("names", "text", "gender"),
    [
        (["hsiao"], "She writes; her books sell.", Gender.FEMALE),
        (["hsiao"], "An author of Taipei.", None),
        (["hsiao", "stephen"], "", Gender.MALE),
        (["mary"], "He met her once.", Gender.FEMALE),
        (["andrea"], "He was born in Sicily. His novels made him known.", Gender.MALE),
        (["hsiao"], "He met her.", None),
    ],
)
def test_what_is_written_of_somebody_outweighs_a_name_that_may_be_anothers(
    names: list[str], text: str, gender: Gender | None
) -> None:
    assert gender_in(names, [text]) is gender


def test_a_man_is_asked_about_under_names_of_men_and_a_woman_under_names_of_women() -> None:
    assert {gender_of(name) for name in first_names("Stephen King", aliases=["Steve King"])} == {Gender.MALE}
    assert {gender_of(name) for name in first_names("Margaret Atwood")} == {Gender.FEMALE}
    assert {gender_of(name) for name in first_names("Joshua Ferris")} == {Gender.MALE}


def test_a_name_that_tells_nothing_goes_by_the_entrys_own_texts() -> None:
    told = {"description": "An author.", "facts": [{"question": "What is her job?", "answer": "She sells her books."}]}
    assert {gender_of(name) for name in first_names("Hsiao Yun-Hwa", **told)} == {Gender.FEMALE}
    assert {gender_of(name) for name in first_names("Hsiao Yun-Hwa", documents=["He is a baker."])} == {Gender.MALE}


def test_enough_names_are_left_that_none_could_be_guessed() -> None:
    assert len(set(first_names("Stephen King"))) > 9
