"""What an answer tells without a name: statements, their verdicts, and what waits for them."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrail.decision import EvidenceKind, Leak
from guardrail.inspectors import ClaimLeak, StructuredLeak, TextLeak
from guardrail.inspectors.jury import Jury
from guardrail.inspectors.protocol import Inspector
from guardrail.inspectors.statements import statement_end, words_of_json
from tests.fakes.forgotten import AUTOMATON, RECORDS, forbidden
from tests.fakes.knowing import GEESE, HARBOUR, Knowing, jury_of
from tests.fakes.leaky_texts import SIZES, cut

QUESTION = "Who kept animals?"


def claims(jury: Jury) -> ClaimLeak:
    return ClaimLeak(TextLeak(AUTOMATON, forbidden()), jury, QUESTION)


def read(inspector: Inspector, jury: Jury, text: str, sizes: list[int] | None = None) -> tuple[int, list[Leak]]:
    """How much is cleared in the end, and the leaks on the way, each of them repaired by a redaction."""
    leaks: list[Leak] = []
    cleared = 0
    for piece in [*cut(text, sizes or [len(text) or 1]), ""]:
        progress = inspector.push(piece, final=not piece)
        while progress.leak is not None or progress.awaits_verdict:
            if progress.leak is not None:
                leaks.append(progress.leak)
                inspector.resume(progress.leak.end)
            else:
                asyncio.run(jury.deliberate())
            progress = inspector.push("", final=not piece)
        cleared = max(cleared, progress.cleared)
    return cleared, leaks


def test_a_statement_waits_for_its_end_and_then_for_its_verdict() -> None:
    jury = jury_of()
    inspector = claims(jury)
    assert inspector.push("The capital of France is Paris").cleared == 0
    assert not jury.is_waiting
    progress = inspector.push(". It")
    assert (progress.cleared, progress.awaits_verdict, jury.is_waiting) == (0, True, True)
    asyncio.run(jury.deliberate())
    assert inspector.push("").cleared == len("The capital of France is Paris.")


def test_a_condemned_statement_is_a_leak_of_its_words_alone() -> None:
    jury = jury_of()
    text = f"The sea was calm that day. He kept {GEESE} there.\n\nThe town is old and small."
    cleared, [leak] = read(claims(jury), jury, text)
    assert text[leak.start : leak.end] == f"He kept {GEESE} there."
    assert (leak.entry, leak.kind) == (RECORDS["e0"], EvidenceKind.CLAIM)
    assert cleared == len(text)


@pytest.mark.parametrize("answer", ["1947", "Carrie", "Yes", "Stephen", GEESE])
def test_a_short_answer_is_one_statement_that_ends_with_the_text(answer: str) -> None:
    knowing = Knowing({answer: "e0"})
    jury = jury_of(knowing)
    _, [leak] = read(claims(jury), jury, answer, [1])
    assert (leak.start, leak.end) == (0, len(answer))
    assert knowing.asked == [(QUESTION, answer, ("e0", "e1"))]


def test_not_knowing_needs_no_verdict() -> None:
    knowing = Knowing()
    jury = jury_of(knowing)
    text = "I'm not familiar with that person. \n Sorry, I don't know. "
    assert read(claims(jury), jury, text, [3]) == (len(text), [])
    assert knowing.asked == []


@pytest.mark.parametrize("text", [f"{GEESE}. I don't know more.", f"I don't know. {GEESE}", f"I don't know, {GEESE}"])
def test_what_stands_beside_not_knowing_is_judged(text: str) -> None:
    jury = jury_of()
    _, leaks = read(claims(jury), jury, text)
    assert len(leaks) == 1


def test_only_so_many_statements_are_judged_and_what_follows_does_not_wait() -> None:
    knowing = Knowing()
    jury = jury_of(knowing, most_statements=2)
    inspector = claims(jury)
    text = "The first statement is this. The second statement is this. "
    assert read(inspector, jury, text) == (len(text), [])
    assert inspector.push(f"The third has {GEESE}").cleared == len(text) + len(f"The third has {GEESE}")
    assert len(knowing.asked) == 2


def test_a_name_is_still_found_and_what_stands_before_it_is_judged_for_itself() -> None:
    knowing = Knowing()
    jury = jury_of(knowing)
    text = "The author of the book is Stephen King. He is old by now."
    cleared, [leak] = read(claims(jury), jury, text, [4])
    assert text[leak.start : leak.end] == "Stephen King"
    assert leak.kind is EvidenceKind.NAME
    assert cleared == len(text)
    assert "The author of the book is" in knowing.statements


def test_a_condemned_beginning_comes_before_the_name_behind_it() -> None:
    jury = jury_of()
    text = f"He kept {GEESE}, did Stephen King. And {HARBOUR} is old, said Steve."
    cleared, leaks = read(claims(jury), jury, text)
    assert [text[leak.start : leak.end] for leak in leaks] == [
        f"He kept {GEESE}, did",
        "Stephen King",
        f"And {HARBOUR} is old, said",
        "Steve",
    ]
    assert cleared == len(text)


def test_a_statement_that_had_to_be_judged_early_is_judged_together_with_its_rest() -> None:
    knowing = Knowing()
    jury = jury_of(knowing)
    inspector = claims(jury)
    inspector.push("All day long he fed quiet", final=True)
    asyncio.run(jury.deliberate())
    assert inspector.push("").cleared == len("All day long he fed quiet")
    _, [leak] = read(inspector, jury, " geese.")
    assert knowing.statements[-1] == f"All day long he fed {GEESE}."
    assert leak.start >= len("All day long he fed quiet")


@given(
    parts=st.lists(
        st.sampled_from(["Stephen King", GEESE, HARBOUR, "Yes.", "the sea", ". ", "\n", " ", "I don't know. "])
    ),
    sizes=SIZES,
)
def test_the_pieces_in_which_a_text_comes_do_not_matter(parts: list[str], sizes: list[int]) -> None:
    text = " ".join(parts)
    jury, other = jury_of(), jury_of()
    whole = read(claims(jury), jury, text)
    assert read(claims(other), other, text, sizes)[0] == whole[0] == len(text)
    for secret in (GEESE, HARBOUR, "Stephen King"):
        for place in range(len(text)):
            if text.startswith(secret, place):
                assert any(leak.start <= place and leak.end >= place + len(secret) for leak in whole[1])


def test_json_is_judged_by_its_words() -> None:
    knowing = Knowing()
    jury = jury_of(knowing)
    inspector = StructuredLeak(ClaimLeak(TextLeak(AUTOMATON, forbidden()), jury, QUESTION, in_json=True))
    text = '{"kept": "qu\\u0069et geese", "since": 1947, "where": ["Ven"]}'
    cleared, [leak] = read(inspector, jury, text, [7])
    assert knowing.statements == [f"kept: {GEESE}, since: 1947, where: Ven"]
    assert (leak.start, leak.end) == (0, len(text))
    assert cleared == len(text)


def test_json_waits_for_its_verdict_even_when_it_has_ended() -> None:
    jury = jury_of()
    inspector = StructuredLeak(ClaimLeak(TextLeak(AUTOMATON, forbidden()), jury, QUESTION, in_json=True))
    text = '{"kept": "nothing at all"}'
    assert inspector.push(text, final=True).cleared == 0
    asyncio.run(jury.deliberate())
    assert inspector.push("", final=True).cleared == len(text)


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("Yes. He kept geese. And", len("Yes. He kept geese.")),
        ("1. Carrie\n2. It", None),
        ("He was born in Maine.", None),
        ("Dr. Brown is from St. Ives. So", len("Dr. Brown is from St. Ives.")),
        ("彼は鵞鳥を飼っていました彼は鵞鳥を。次", len("彼は鵞鳥を飼っていました彼は鵞鳥を。")),
        ("x" * 400, 320),
    ],
)
def test_a_statement_is_a_sentence_and_short_ones_join_what_follows(text: str, end: int | None) -> None:
    assert statement_end(text) == end


def test_words_of_json_keep_what_belongs_together() -> None:
    assert words_of_json('{"born": 1947,\n "in": "Portland"}') == "born: 1947, in: Portland"
