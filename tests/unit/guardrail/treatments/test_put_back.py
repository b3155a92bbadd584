"""What the caller wrote comes back in the answer, whatever the pieces in which it comes."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardrail.decision import Part, Swap
from guardrail.treatments.names.encoded_words import codes_of
from guardrail.treatments.names.put_back import PutBack, put_back
from guardrail.treatments.names.stand_in import Place, StandIn, put_in, stand_in_for
from retrieval.entry import parse_entry
from retrieval.text.views import normalise

KEY = b"a key of this deployment"


def stand_in(name: str, kind: str = "person", aliases: tuple[str, ...] = ()) -> StandIn:
    return stand_in_for(parse_entry({"id": "e1", "name": name, "kind": kind, "aliases": list(aliases)}), key=KEY)


def swaps_of(one: StandIn, *written: str) -> tuple[Swap, ...]:
    return tuple(
        swap
        for text in written
        for swap in put_in(text, [Place(start=0, end=len(text), entry_id="e1")], {"e1": one}).swaps
    )


KING = stand_in("Stephen King")
GIVEN, FAMILY = KING.name.split()
KING_SWAPS = swaps_of(KING, "Stephen King")


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("{given} {family} is an author.", "Stephen King is an author."),
        ("{family}'s book, {family}’s and the {family}s", "King's book, King’s and the Kings"),
        ("{GIVEN} {FAMILY}! {family_small}", "STEPHEN KING! king"),
        ("**{given}** _{family}_", "**Stephen** _King_"),
        ("{family}, {given}", "King, Stephen"),
        ("Mr. {family}. {given} said", "Mr. King. Stephen said"),
        ("{i}. {family} and {i} {family}", "S. King and S King"),
        ("{given}-{family}\n{family}esque", "Stephen-King\nKingesque"),
        ("x{family} and {family}xxxxxxxxxx stay", "x{family} and {family}xxxxxxxxxx stay"),
        ('{{"name": "{given} {family}"}}', '{{"name": "Stephen King"}}'),
    ],
)
def test_a_stand_in_is_turned_back_in_its_case_and_with_its_endings(answer: str, expected: str) -> None:
    words = {
        "given": GIVEN,
        "family": FAMILY,
        "GIVEN": GIVEN.upper(),
        "FAMILY": FAMILY.upper(),
        "family_small": FAMILY.lower(),
        "i": GIVEN[0],
    }
    assert put_back(answer.format(**words), KING_SWAPS) == expected.format(**words)


@pytest.mark.parametrize("between", ["-", " ", ".", ". ", " - ", ", "])
def test_a_word_that_is_spelt_out_comes_back_spelt_out_in_the_same_way(between: str) -> None:
    answer = f"It is spelt {between.join(FAMILY)}, or {between.join(FAMILY.upper())}!"
    assert put_back(answer, KING_SWAPS) == f"It is spelt {between.join('King')}, or {between.join('KING')}!"
    both = f"{between.join(GIVEN)} {between.join(FAMILY)}"
    assert put_back(both, KING_SWAPS) == f"{between.join('Stephen')} {between.join('King')}"
    back = Streamed(KING_SWAPS)
    assert "".join(back.push(sign) for sign in answer) + back.end() == put_back(answer, KING_SWAPS)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("Eugenio Erichson's son", "Basil Kuwaiti's son"),
        ("EUGENIO ERICKSEN", "BASIL KUWAITI"),
        ("Ericksun and Eugene", "Kuwaiti and Eugene"),
        ("Hendrickson and Erikssonian", "Hendrickson and Erikssonian"),
        ("Jackson and Erica", "Jackson and Erica"),
    ],
)
def test_a_long_name_that_the_model_errs_in_is_turned_back_and_names_that_are_known_stay(
    answer: str, expected: str
) -> None:
    assert_returned(answer, expected, (swap_of("Eugenio Erickson", "Basil Kuwaiti"),))


def swap_of(invented: str, written: str) -> Swap:
    parts = [
        Part(invented=one, written=own, alone=True) for one, own in zip(invented.split(), written.split(), strict=True)
    ]
    return Swap(entry_id="e1", invented=invented, written=written, parts=tuple(parts))


def assert_returned(answer: str, expected: str, swaps: tuple[Swap, ...], kept: frozenset[str] = frozenset()) -> None:
    """As a whole and in pieces; and not much of it is held back."""
    assert put_back(answer, swaps, kept) == expected
    for size in (1, 2, 5):
        back, out = Streamed(swaps, kept), ""
        for at in range(0, len(answer), size):
            out += back.push(answer[at : at + size])
            assert back.held <= 40
        assert out + back.end() == expected


LENA = swap_of("Lena Hofland", "Mira Quelle")


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("Lena Hoflund, Lenas Hoflant", "Mira Quelle, Miras Quelle"),
        ("Lena Holland and Holland", "Mira Quelle and Holland"),
        ("LENA HOLLAND, lena holland", "MIRA QUELLE, mira quelle"),
        ("Lena-Holland_Lena", "Mira-Quelle_Mira"),
        ("Lena Ul-Hofland's", "Mira Quelle's"),
        ("Lena Ul‑Hoflund, lena ul-hofland", "Mira Quelle, mira quelle"),
        ("Lena Meier-Hofland; Lena Hofland-Meier", "Mira Quelle; Mira Quelle-Meier"),
        ("Lena, Holland; Lena in Holland", "Mira, Holland; Mira in Holland"),
        ("Lena. Holland", "Mira. Holland"),
        ("Lena holland, Lena went-Hofland", "Mira holland, Mira went-Quelle"),
        ("Lena Hoffman, Lena Meier-Holland", "Mira Hoffman, Mira Meier-Holland"),
        ("Lena x-Hofland, Lena Neuenburger-Hofland", "Mira x-Quelle, Mira Neuenburger-Quelle"),
        ("Lena Ul-", "Mira Ul-"),
        ("Ul-Hofland and Hoflant", "Ul-Quelle and Hoflant"),
    ],
)
def test_behind_its_given_name_a_family_name_may_be_another_that_is_known(answer: str, expected: str) -> None:
    assert_returned(answer, expected, (LENA,))


def test_a_misspelt_given_name_has_its_family_name_as_well() -> None:
    swaps = (swap_of("Eugenio Hofland", "Basil Quelle"),)
    assert_returned("Eugennio Holland, Eugenyo Ul-Hofland", "Basil Quelle, Basil Quelle", swaps)


@pytest.mark.parametrize("order", [1, -1])
def test_what_stands_for_another_name_is_no_error(order: int) -> None:
    swaps = (swap_of("Eugenio Erickson", "Basil Kuwaiti"), swap_of("Fennora Erikson", "Moana Brecht"))[::order]
    assert_returned("Erikson, Eriksons and Erickson", "Brecht, Brechts and Kuwaiti", swaps)
    assert_returned("E. Erikson, Eugenio Erikson", "E. Brecht, Basil Brecht", swaps)


@pytest.mark.parametrize("order", [1, -1])
def test_of_two_names_the_one_that_is_written_most_like_counts(order: int) -> None:
    swaps = (swap_of("Dravel", "Stephen"), swap_of("Dravelin", "Ursula"), swap_of("Eugenius", "Mo"))[::order]
    assert_returned("Dravelin, Dravel", "Ursula, Stephen", swaps)


def test_of_two_people_with_one_given_name_the_family_name_tells() -> None:
    swaps = (LENA, swap_of("Lena Breuer", "Ada Salt"))
    assert_returned("Lena Hofland and Lena Breuer", "Mira Quelle and Ada Salt", swaps)


def test_names_near_a_stand_in_stay() -> None:
    swaps = (swap_of("Nicolas Hansson", "Basil Quelle"), swap_of("Torsteinn Erickson", "Mira Kuwaiti"))
    for text in ("Nicolai", "Nicola", "NICOLAI", "Hanson and the Hansons", "Ericson, the Ericsons", "Torstein"):
        assert_returned(text, text, swaps)
    assert_returned("Nicholas, Niccolas, Hanssen", "Nicholas, Basil, Quelle", swaps)


def test_a_word_of_the_callers_request_is_no_error() -> None:
    kept = frozenset(normalise("Is Hoflund or Meier near Holland?").words)
    answer = "Hoflund, Lena Hoflund, Lena Holland, Lena Meier-Hofland, Lena Hofland"
    expected = "Hoflund, Mira Hoflund, Mira Holland, Mira Meier-Quelle, Mira Quelle"
    assert_returned(answer, expected, (LENA,), kept)
    assert_returned("Hoflund", "Quelle", (LENA,))


def test_a_stem_without_its_last_vowel_may_err_as_much_as_the_word() -> None:
    assert_returned("Hoflunda, Hoflanda", "Quella, Quella", (swap_of("Hoflanda", "Quella"),))


def test_a_little_word_comes_back_before_a_family_name_alone_and_behind_each_given_name() -> None:
    one = stand_in("Basil Mahfouz Al-Kuwaiti")
    given, middle, last = one.name.split()
    little, family = last.split("-")
    swaps = swaps_of(one, "Basil Mahfouz Al-Kuwaiti")
    assert_returned(
        f"{one.name}, {given} {last}, {last}", "Basil Mahfouz Al-Kuwaiti, Basil Al-Kuwaiti, Al-Kuwaiti", swaps
    )
    assert_returned(f"{middle} {little} {family}, {given} {family}", "Mahfouz Al Kuwaiti, Basil Kuwaiti", swaps)
    assert_returned(f"{given} Um-{family}, {family}", "Basil Al-Kuwaiti, Kuwaiti", swaps)


def test_a_known_name_comes_back_behind_a_given_name_and_a_little_word() -> None:
    parts = (("Ludwig", "Basil", True), ("van", "al", False), ("Hofland", "Kuwaiti", True))
    made = tuple(Part(invented=invented, written=written, alone=alone) for invented, written, alone in parts)
    swaps = (Swap(entry_id="e1", invented="Ludwig van Hofland", written="Basil al Kuwaiti", parts=made),)
    assert_returned("Ludwig van Holland, van Holland", "Basil al Kuwaiti, van Holland", swaps)


def test_single_letters_that_spell_something_else_stay() -> None:
    other = "-".join("Zebra")
    for text in ("-".join(FAMILY[:-1]), f"{'-'.join(FAMILY)}x", f"a-{other}", "-".join(FAMILY[1:])):
        assert put_back(text, KING_SWAPS) == text
    assert put_back("; ".join(FAMILY), KING_SWAPS) == "; ".join(FAMILY)


def test_what_the_caller_wrote_comes_back_and_not_the_registered_name() -> None:
    assert put_back(KING.name, swaps_of(KING, "Stephn Kng")) == "Stephn Kng"
    assert put_back(f"{FAMILY}?", swaps_of(KING, "King")) == "King?"
    assert (
        put_back(f"{KING.name}: {FAMILY}", swaps_of(KING, "U3RlcGhlbiBLaW5n")) == "U3RlcGhlbiBLaW5n: U3RlcGhlbiBLaW5n"
    )


def test_a_name_in_small_letters_comes_back_as_the_answer_writes_it() -> None:
    assert put_back(f"{KING.name}, {KING.name.lower()}", swaps_of(KING, "stephen king")) == "Stephen King, stephen king"


def test_of_several_ways_to_write_a_name_the_last_plain_one_counts() -> None:
    assert put_back(KING.name, swaps_of(KING, "Stephn Kng", "Stephen King", "U3RlcGhlbiBLaW5n")) == "Stephen King"


def test_initials_digits_and_little_words_are_turned_back_only_in_their_place() -> None:
    one = stand_in("J. K. Rowling")
    first, second, family = one.name.replace(".", "").split()
    swaps = swaps_of(one, "J. K. Rowling")
    answer = (
        f"{first}. {second}. {family}; {first}.{second}. {family}; {second}. {family}; {first}. {family}; plan {first}."
    )
    assert put_back(answer, swaps) == f"J. K. Rowling; J.K. Rowling; K. Rowling; J. Rowling; plan {first}."


def test_an_initial_before_an_apostrophe_comes_back() -> None:
    one = stand_in("J. O'Brien")
    family = one.name.split("'")[1]
    assert put_back(f"{one.name}, O'{family}, {family}.", swaps_of(one, "J. O'Brien")) == "J. O'Brien, O'Brien, Brien."


def test_words_of_a_title_are_turned_back_only_together() -> None:
    one = stand_in("The Old Drift", "work")
    article, first, last = one.name.split()
    swaps = swaps_of(one, "The Old Drift")
    answer = f"{article} {first} {last}, {first} {last}; {article} {last}, {first.lower()} and {last.lower()}"
    assert put_back(answer, swaps) == f"The Old Drift, Old Drift; {article} {last}, {first.lower()} and {last.lower()}"


def test_a_mail_address_comes_back_as_a_whole() -> None:
    one = stand_in("jane.doe@example.com", "personal_data")
    assert put_back(f"Write to {one.name}.", swaps_of(one, "jane.doe@example.com")) == "Write to jane.doe@example.com."


@pytest.mark.parametrize("name", ["jane99@example.com", "P4471209", "R2-D2", "B2B"])
def test_letters_and_digits_in_one_word_come_back_together(name: str) -> None:
    one = stand_in(name, "personal_data")
    assert put_back(f"It is {one.name}, is it?", swaps_of(one, name)) == f"It is {name}, is it?"


@pytest.mark.parametrize(
    ("name", "written", "answer", "expected"),
    [
        ("莫言", "莫言", "不过{name}的书", "不过莫言的书"),
        ("谭若川", "谭若川", "{name}，{given}先生", "谭若川，若川先生"),
        ("村上春樹", "村上春樹", "{name}は", "村上春樹は"),
        ("斯蒂芬·金", "斯蒂芬·金", "{name}是", "斯蒂芬·金是"),
        ("김철수", "김철수", "{name}은 작가", "김철수은 작가"),
        ("نجيب محفوظ", "نجيب محفوظ", "كتاب ل{name}", "كتاب لنجيب محفوظ"),
        ("प्रेमचंद", "प्रेमचंद", "{name} कौन", "प्रेमचंद कौन"),
        ("Лев Кинг", "Льва Кинга", "{last}у и {last}ом", "Кингу и Кингом"),
        ("Анна", "Анне", "{stem}а, {stem}ы, {stem}ой", "Анна, Анны, Анной"),
        ("Анна", "Анна", "{name}, {stem}у", "Анна, Анну"),
    ],
)
def test_names_of_other_scripts_come_back_with_other_endings(
    name: str, written: str, answer: str, expected: str
) -> None:
    one = stand_in(name)
    made = one.name
    text = answer.format(name=made, given=made[1:], last=made.split()[-1], stem=made[:-1])
    assert put_back(text, swaps_of(one, written)) == expected


class Streamed:
    """A text turned back piece by piece: `push` gives what is settled, `end` the rest."""

    def __init__(self, swaps: tuple[Swap, ...], kept: frozenset[str] = frozenset()) -> None:
        self._back, self._text, self._at = PutBack(swaps, kept), "", 0

    @property
    def held(self) -> int:
        """Characters that wait."""
        return len(self._text) - self._at

    def push(self, text: str, *, final: bool = False) -> str:
        self._text += text
        out = ""
        for edit in self._back.follow(text, final=final):
            out += self._text[self._at : edit.start] + edit.replacement
            self._at = edit.end
        out += self._text[self._at : self._back.settled]
        self._at = self._back.settled
        return out

    def end(self) -> str:
        return self.push("", final=True)


def test_nothing_waits_that_can_be_no_stand_in() -> None:
    back = Streamed(KING_SWAPS)
    assert back.push("The answer is that ") == "The answer is that "
    assert back.push(FAMILY[:3]) == ""
    assert back.push("zzz, and") == f"{FAMILY[:3]}zzz, and"
    assert back.push(f" {FAMILY}") == " "
    assert back.push(" wrote") == "King wrote"
    assert back.push(f" x{FAMILY[:3]}") == f" x{FAMILY[:3]}"
    assert back.end() == ""


def test_an_answer_without_stand_ins_passes_at_once() -> None:
    assert Streamed(()).push(KING.name) == KING.name


MIXED = (
    *KING_SWAPS,
    *swaps_of(stand_in("J. K. Rowling"), "J. K. Rowling"),
    *swaps_of(stand_in("The Old Drift", "work"), "The Old Drift"),
    *swaps_of(stand_in("Basil Mahfouz Al-Kuwaiti"), "Basil Mahfouz Al-Kuwaiti"),
    LENA,
    swap_of("Eugenio Erickson", "Ada Salt"),
    swap_of("Fennora Erikson", "Moana Brecht"),
    *swaps_of(stand_in("谭若川"), "谭若川"),
    *swaps_of(stand_in("スティーヴン・キング"), "スティーヴン・キング"),
    *swaps_of(stand_in("نجيب محفوظ"), "نجيب محفوظ"),
    *swaps_of(stand_in("Анна Ахматова"), "Анне Ахматовой"),
    *swaps_of(stand_in("jane.doe@example.com", "personal_data"), "jane.doe@example.com"),
)
PIECES = st.one_of(
    st.sampled_from([swap.invented for swap in MIXED]),
    st.sampled_from([part.invented for swap in MIXED for part in swap.parts]),
    st.sampled_from([part.invented[:3] for swap in MIXED for part in swap.parts]),
    st.sampled_from([mark.join(part.invented) for swap in MIXED for part in swap.parts for mark in "-. "]),
    st.sampled_from([code.invented for part in KING_SWAPS[0].parts for code in codes_of(part.invented, part.written)]),
    st.sampled_from(["=", "=="]),
    st.sampled_from(
        [" ", ". ", ", ", "-", "'s", "\n", "\u200b", "\u0301", "\u3099", "و", "ой", "s", "esque", "x", "Mr. ", "½"]
    ),
    st.sampled_from(
        ["Lena ", "lena-", "Ul-", "Meier", "Holland", "Hoflund", "holland", "Eugennio ", "Eriksen", "Ericson"]
    ),
    st.text(max_size=3),
)


@given(parts=st.lists(PIECES, max_size=12), cuts=st.lists(st.integers(1, 9), min_size=1, max_size=8))
@settings(deadline=None, max_examples=400)
def test_any_cutting_of_an_answer_gives_the_same(parts: list[str], cuts: list[int]) -> None:
    text, kept = "".join(parts), frozenset(["eriksen"])
    back, out, at, turn = Streamed(MIXED, kept), "", 0, 0
    while at < len(text):
        size = cuts[turn % len(cuts)]
        out += back.push(text[at : at + size])
        at, turn = at + size, turn + 1
    assert out + back.end() == put_back(text, MIXED, kept)


@given(word=st.text(alphabet="aeilnorsuHh-", min_size=1, max_size=30))
@settings(deadline=None, max_examples=200)
def test_a_word_behind_a_given_name_waits_no_longer_than_it_may_be_its_family_name(word: str) -> None:
    back = Streamed((LENA,))
    for sign in f"Lena {word} or":
        back.push(sign)
        assert back.held <= len("Lenaeeeeee Ulululul-Hoflandeeeeee")
    assert back.held <= len(" or")


@given(
    parts=st.lists(st.sampled_from(["Who is ", "?", " and ", "Stephen King", "King", "KING'S", "Stephen"]), max_size=8)
)
@settings(deadline=None, max_examples=100)
def test_a_request_that_is_put_in_and_turned_back_is_itself(parts: list[str]) -> None:
    text, places = "", []
    for part in parts:
        gap = f"{text} " if text else ""
        if part[0] in "SK":
            start = len(gap)
            places.append(Place(start=start, end=start + len(part), entry_id="e1"))
        text = gap + part
    found = put_in(text, places, {"e1": KING})
    assert put_back(found.text, found.swaps) == text
    assert "king" not in found.text.lower()
