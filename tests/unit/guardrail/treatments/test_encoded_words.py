"""A stand-in that the model was asked to encode comes back in the same code, in one piece and in many."""

from __future__ import annotations

import base64
import codecs

import pytest

from guardrail.decision import Part, Swap
from guardrail.treatments.names.put_back import PutBack, put_back

SWAP = Swap(
    entry_id="e1",
    invented="Chastity Leeper",
    written="Stephen King",
    parts=(
        Part(invented="Chastity", written="Stephen", alone=True),
        Part(invented="Leeper", written="King", alone=True),
    ),
)


def in_base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def in_pieces(text: str, size: int) -> str:
    """The text turned back as a stream of pieces of this size."""
    search, edits = PutBack([SWAP]), []
    for at in range(0, len(text), size):
        edits += search.follow(text[at : at + size])
    edits += search.follow("", final=True)
    out, last = "", 0
    for edit in edits:
        out += text[last : edit.start] + edit.replacement
        last = edit.end
    return out + text[last:]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("repeeL ytitsahC", "gniK nehpetS"),
        ("It is REPEEL.", "It is GNIK."),
        ("r-e-p-e-e-l stays", "r-e-p-e-e-l stays"),
        (codecs.encode("Chastity Leeper", "rot13") + " in rot13", codecs.encode("Stephen King", "rot13") + " in rot13"),
        ("0x" + b"Leeper".hex() + " is it", "0x" + b"Leeper".hex() + " is it"),
        (b"Leeper".hex() + " is it", b"King".hex() + " is it"),
        (b"Leeper".hex(" ") + " is it", b"King".hex(" ") + " is it"),
        (b"Chastity Leeper".hex().upper(), b"Stephen King".hex().upper()),
        (f"`{in_base64('Chastity Leeper')}` is it", f"`{in_base64('Stephen King')}` is it"),
        (in_base64("Leeper"), in_base64("King")),
        (in_base64("Chastity"), in_base64("Stephen")),
        (in_base64("Chastity").rstrip("="), in_base64("Stephen").rstrip("=")),
        (f"{in_base64('Chastity')}== more", f"{in_base64('Stephen')}= more"),
    ],
)
def test_a_code_of_a_stand_in_comes_back_as_that_code_of_the_name(answer: str, expected: str, size: int) -> None:
    assert put_back(answer, [SWAP]) == expected
    assert in_pieces(answer, size) == expected


def test_a_name_that_is_a_word_when_it_is_read_backwards_leaves_that_word_alone() -> None:
    swap = Swap(
        entry_id="e1", invented="Leon", written="Adam", parts=(Part(invented="Leon", written="Adam", alone=True),)
    )
    assert put_back("Happy Noel, Leon", [swap]) == "Happy Noel, Adam"


def test_a_short_name_has_no_codes() -> None:
    swap = Swap(entry_id="e1", invented="Bo", written="Li", parts=(Part(invented="Bo", written="Li", alone=False),))
    assert put_back("oB and Qm8=", [swap]) == "oB and Qm8="
