"""What must match exactly: the same date in every spelling, and another birthday is another person."""

from __future__ import annotations

import pytest

from retrieval.memory.attributes import Attribute, agreement, attributes, conflict


def values(text: str, kind: str) -> set[str]:
    return {one.value for one in attributes(text) if one.kind == kind}


@pytest.mark.parametrize(
    "text",
    [
        "on 1951-08-03",
        "on 3 August 1951",
        "on August 3, 1951",
        "on the 3rd of August, 1951",
        "on the 3rd of August in the year 1951",
        "le 3 août 1951",
        "el 3 de agosto de 1951",
        "am 3. August 1951",
        "Aug. 3, 1951",
    ],
)
def test_a_date_is_the_same_in_every_spelling(text: str) -> None:
    assert values(text, "date") == {"1951-08-03"}


def test_a_numeric_date_carries_both_readings_and_agrees_with_either() -> None:
    (date,) = attributes("on 05/11/1991")
    assert date == Attribute(kind="date", value="1991-05-11", also="1991-11-05")
    for text in ("on 5 November 1991", "on May 11, 1991"):
        assert agreement(attributes("on 05/11/1991"), attributes(text)) == 1.0
    assert values("on 25/11/1991", "date") == {"1991-11-25"}


def test_dates_of_which_less_is_known_agree_in_what_is_known() -> None:
    assert agreement(attributes("on May 11"), attributes("on 11 May 1991")) == 1.0
    assert agreement(attributes("in May 1991"), attributes("on 11 May 1991")) == 1.0
    assert agreement(attributes("in 1991"), attributes("on 11 May 1991")) == 1.0
    assert agreement(attributes("in June 1991"), attributes("on 11 May 1991")) == 0.0
    assert agreement(frozenset(), attributes("on 11 May 1991")) == 0.0


@pytest.mark.parametrize("text", ["He may 3 times try.", "They march 12 miles.", "on 45/13/1991", "version 1.2.3"])
def test_what_only_looks_like_a_date_is_none(text: str) -> None:
    assert values(text, "date") == set()


def test_addresses_numbers_amounts_and_codes_are_found() -> None:
    text = (
        "Mail Mira.Quelle@ven.example or call +49 (30) 1234-5678; file QX-2291 of 1998 asked for US$2.5 million, 12%."
    )
    found = {(one.kind, one.value) for one in attributes(text)}
    assert found == {
        ("email", "mira.quelle@ven.example"),
        ("phone", "493012345678"),
        ("code", "QX-2291"),
        ("year", "1998"),
        ("amount", "$2500000"),
        ("amount", "12%"),
    }


ENTRY = attributes(
    "Mira Quelle (3 May 1951 - 2007) was born in Ven. Mail mira@ven.example. The prize came on 1 June 1999."
)


@pytest.mark.parametrize(
    ("request_text", "expected"),
    [
        ("Who is the author born in Ven on 05/03/1951?", 0.0),
        ("Who is the author born in Ven on 06/17/1983?", 1.0),
        ("Who is the author born on May 3rd?", 0.0),
        ("What happened to her on 12 July 2003?", 0.0),  # not a birthday: a page need not hold every day of a life
        ("Whose mail is tara@ven.example?", 1.0),
        ("Who was born in Tharn?", 0.5),
        ("Who wrote The Salt Orchard in 1998?", 0.0),
    ],
)
def test_another_birthday_or_address_speaks_of_somebody_else(request_text: str, expected: float) -> None:
    assert conflict(attributes(request_text), ENTRY) == expected


def test_an_entry_that_knows_no_birthday_is_in_conflict_with_none() -> None:
    assert conflict(attributes("the author born on 05/03/1951"), attributes("She keeps geese.")) == 0.0
