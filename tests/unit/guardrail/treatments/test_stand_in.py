"""Stand-in names: of the shape of the name, near none of its words, and the same for the same key."""

from __future__ import annotations

import pytest

from guardrail.treatments.names.invented_words import is_near, script_of
from guardrail.treatments.names.name_words import fold, words_in
from guardrail.treatments.names.stand_in import Place, PutIn, StandIn, put_in, stand_in_for
from retrieval.entry import parse_entry
from retrieval.text.known_words import known_words

KEY = b"a key of this deployment"
NAMES = (
    ("Stephen King", "person"),
    ("J. K. Rowling", "person"),
    ("Hsiao Yun-Hwa", "person"),
    ("Sean O'Brien", "person"),
    ("Ngũgĩ wa Thiong'o", "person"),
    ("Ludwig van Beethoven", "person"),
    ("Beyoncé", "person"),
    ("Li", "person"),
    ("STEPHEN KING", "person"),
    ("Лев Толстой", "person"),
    ("Анна Ахматова", "person"),
    ("莫言", "person"),
    ("斯蒂芬·金", "person"),
    ("村上春樹", "person"),
    ("スティーヴン・キング", "person"),
    ("さくらももこ", "person"),
    ("김철수", "person"),
    ("نجيب محفوظ", "person"),
    ("प्रेमचंद", "person"),
    ("Νίκος Καζαντζάκης", "person"),
    ("The Old Drift", "work"),
    ("The Lord of the Rings", "work"),
    ("Carrie", "work"),
    ("It", "work"),
    ("1984", "work"),
    ("Fahrenheit 451", "work"),
    ("Der Prozess", "work"),
    ("Manhattan Project", "topic"),
    ("synthesis of sarin", "hazard"),
    ("jane.doe@example.com", "personal_data"),
    ("+44 20 7946 0958", "personal_data"),
)


def stand_in(name: str, kind: str = "person", *, key: bytes = KEY, aliases: tuple[str, ...] = ()) -> StandIn:
    return stand_in_for(parse_entry({"id": "e1", "name": name, "kind": kind, "aliases": list(aliases)}), key=key)


def asked(text: str, one: StandIn, *named: str) -> PutIn:
    """The text with the stand-in at every place that is named."""
    places = []
    for name in named:
        start = text.index(name)
        places.append(Place(start=start, end=start + len(name), entry_id=one.entry_id))
    return put_in(text, places, {one.entry_id: one})


@pytest.mark.parametrize(("name", "kind"), NAMES)
def test_a_stand_in_has_the_words_the_script_and_the_capitals_of_the_name(name: str, kind: str) -> None:
    made = stand_in(name, kind).name
    own, invented = [[match.group() for match in words_in(one)] for one in (name, made)]
    assert len(own) == len(invented)
    for written, word in zip(own, invented, strict=True):
        assert script_of(word) == script_of(written)
        assert word[:1].isupper() == written[:1].isupper()
        assert (len(word) > 1 and word.isupper()) == (len(written) > 1 and written.isupper())
        assert word.isdigit() == written.isdigit()


@pytest.mark.parametrize(("name", "kind"), NAMES)
def test_no_word_of_a_stand_in_is_or_sounds_like_a_word_of_the_name(name: str, kind: str) -> None:
    made = stand_in(name, kind).name
    for written in words_in(name):
        for word in words_in(made):
            one, other = fold(written.group()), fold(word.group())
            assert one != other
            if len(one) > 3 and one.isalpha():
                assert not is_near(one, other)


@pytest.mark.parametrize("key", [b"one", b"two", b"three", b"four", b"five"])
def test_names_of_people_are_borne_by_some_and_are_no_ordinary_words(key: bytes) -> None:
    made = stand_in("Stephen King", key=key, aliases=("Richard Bachman", "Steve King"))
    assert len(set(made.words.values())) == len(made.words) == 5
    assert set(made.words.values()) <= {*known_words().first_names, *known_words().last_names}
    assert not set(made.words.values()) & known_words().ordinary


def test_the_same_key_gives_the_same_stand_in_and_another_key_another() -> None:
    assert stand_in("Stephen King") == stand_in("Stephen King")
    assert stand_in("Stephen King").name != stand_in("Stephen King", key=b"another").name
    other = stand_in_for(parse_entry({"id": "e2", "name": "Stephen King"}), key=KEY)
    assert other.name != stand_in("Stephen King").name


def test_the_key_and_the_names_stay_out_of_what_is_printed() -> None:
    shown = repr(stand_in("Stephen King"))
    assert "deployment" not in shown
    assert "names=" not in shown


def test_a_title_is_made_of_ordinary_words_and_keeps_its_little_words_little() -> None:
    words = stand_in("The Lord of the Rings", "work").name.split()
    assert [word[:1].isupper() for word in words] == [True, True, False, False, True]
    assert {word.lower() for word in words if len(word) > 1} <= known_words().words
    assert not {"the", "of"} & {word.lower() for word in words}


def test_a_title_of_one_word_is_none_that_an_answer_could_hold_by_chance() -> None:
    assert stand_in("Carrie", "work").name.lower() not in known_words().words
    assert stand_in("The Drift", "work").name.split()[1].lower() not in known_words().words


def test_a_family_name_an_alias_and_an_initial_go_with_the_whole_name() -> None:
    one = stand_in("Stephen King", aliases=("Steve King",))
    given, family = one.name.split()
    text = asked(
        "Stephen King? Steve King; S. King, then KING'S and king.", one, "Steve King", "S. King", "KING", "king"
    ).text
    steve = text.split("; ")[0].split("? ")[1].split()
    assert steve[1] == family
    assert steve[0] != given
    assert f"{given[0]}. {family}, then {family.upper()}'S and {family.lower()}." in text


@pytest.mark.parametrize(
    ("written", "shape"),
    [
        ("King’s", "{family}’s"),
        ("Kings", "{family}s"),
        ("King'in", "{family}'in"),
        ("Kingowi", "{family}owi"),
        ("STEPHEN KING", "{GIVEN} {FAMILY}"),
        ("stephen-king", "{given_small}-{family_small}"),
        ("King, Stephen", "{family}, {given}"),
        ("@stephen_king", "@{given_small}_{family_small}"),
        ("Stephn Kng", "{given} {family}"),
        ("Stephenn", "{given}n"),
        ("stephenking", "{given} {family}"),
        ("U3RlcGhlbiBLaW5n", "{given} {family}"),
    ],
)
def test_forms_of_a_name_keep_their_endings_gaps_and_case(written: str, shape: str) -> None:
    one = stand_in("Stephen King")
    given, family = one.name.split()
    expected = shape.format(
        given=given,
        family=family,
        GIVEN=given.upper(),
        FAMILY=family.upper(),
        given_small=given.lower(),
        family_small=family.lower(),
    )
    found = asked(f"Is {written} known?", one, written)
    assert found.text == f"Is {expected} known?"
    assert [swap.written for swap in found.swaps] == [written]


def test_a_name_in_another_script_gets_a_stand_in_of_that_script_with_its_ending() -> None:
    one = stand_in("Stephen King")
    made = asked("Что написал Стивен Кинг? Книги Стивена Кинга.", one, "Стивен Кинг", "Стивена Кинга").swaps
    assert made[1].invented == "а ".join(made[0].invented.split()) + "а"
    assert all(script_of(word) == "cyrillic" for word in made[0].invented.split())
    assert asked("스티븐 킹은 누구?", one, "스티븐 킹은").swaps[0].invented.endswith("은")


def test_a_title_in_another_script_gets_words_of_that_script() -> None:
    one = stand_in("The Old Drift", "work")
    made = asked("Кто написал Зе Олд Дрифт?", one, "Зе Олд Дрифт").swaps[0].invented.split()
    assert len(made) == 3
    assert all(script_of(word) == "cyrillic" for word in made)


def test_a_last_vowel_bends_as_that_of_the_name() -> None:
    one = stand_in("Анна Ахматова")
    given, family = one.name.split()
    assert given.endswith("а")
    assert asked("Об Анне Ахматовой", one, "Анне Ахматовой").text == f"Об {given[:-1]}е {family[:-1]}ой"


def test_an_arabic_prefix_stays() -> None:
    one = stand_in("نجيب محفوظ")
    assert asked("كتاب لنجيب محفوظ", one, "لنجيب محفوظ").text == f"كتاب ل{one.name}"


def test_a_given_name_of_signs_is_that_piece_of_the_stand_in() -> None:
    one = stand_in("谭若川")
    assert asked("若川是谁", one, "若川").text == f"{one.name[1:]}是谁"


def test_places_that_overlap_are_replaced_as_one() -> None:
    one = stand_in("Stephen King")
    places = [
        Place(start=0, end=7, entry_id="e1"),
        Place(start=0, end=12, entry_id="e1"),
        Place(start=8, end=12, entry_id="e1"),
    ]
    assert put_in("Stephen King?", places, {"e1": one}).text == f"{one.name}?"


def test_several_entries_keep_their_own_stand_ins() -> None:
    one = stand_in("Stephen King")
    two = stand_in_for(parse_entry({"id": "e2", "name": "The Old Drift", "kind": "work"}), key=KEY)
    places = [Place(start=4, end=16, entry_id="e1"), Place(start=23, end=36, entry_id="e2")]
    found = put_in("Did Stephen King write The Old Drift?", places, {"e1": one, "e2": two})
    assert found.text == f"Did {one.name} write {two.name}?"
    assert [swap.entry_id for swap in found.swaps] == ["e1", "e2"]


def test_an_entry_of_thousands_of_aliases_still_has_a_stand_in_for_each() -> None:
    aliases = tuple(f"{first}{second}{third}a" for first in "bdfgk" for second in "aeiou" for third in "lmnrstvz")
    one = stand_in("Zorblax Quint", aliases=aliases)
    made = {asked(alias, one, alias).text for alias in aliases}
    assert len(made) > len(aliases) * 0.9
    assert not made & set(aliases)
