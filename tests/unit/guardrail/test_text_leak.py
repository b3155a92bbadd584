"""Following one plain text."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from guardrail.decision import Leak
from guardrail.inspectors import TextLeak
from guardrail.inspectors.forbidden import Forbidden
from retrieval.entry import ForgetEntry
from tests.fakes.forgotten import AUTOMATON, RECORDS, automaton_of, forbidden, registered


def leak_of(inspector: TextLeak, *pieces: str) -> Leak | None:
    for piece in pieces:
        progress = inspector.push(piece)
        if progress.leak is not None:
            return progress.leak
    return inspector.push("", final=True).leak


def watch(*, by_sentence: bool = False) -> TextLeak:
    return TextLeak(AUTOMATON, forbidden(), by_sentence=by_sentence)


def test_text_that_can_become_nothing_is_cleared_at_once() -> None:
    assert watch().push("An author from Maine ").cleared == len("An author from Maine ")


def test_the_beginning_of_a_name_waits_and_tells_how_long_it_may_grow() -> None:
    progress = watch().push("by Stephen Ki")
    assert progress.cleared == 3
    assert len("Stephen King") <= progress.pending_limit_chars <= len("Stephen King") + 1


def test_a_beginning_that_comes_to_nothing_is_cleared() -> None:
    inspector = watch()
    inspector.push("by Stephen Ki")
    assert inspector.push("ndly ").cleared == len("by Stephen Kindly ")


def test_a_name_is_a_leak_with_its_place_in_the_whole_text() -> None:
    leak = leak_of(watch(), "It is by ", "Step", "hen K", "ing.")
    assert leak is not None
    assert (leak.start, leak.end, leak.entry.id) == (9, 21, "e0")


def test_a_name_at_the_very_end_is_found_when_the_text_ends() -> None:
    assert watch().push("Stephen King").leak is None
    assert leak_of(watch(), "Stephen King") is not None


def test_the_first_of_two_leaks_is_told_and_the_second_after_going_on() -> None:
    inspector = watch()
    first = inspector.push("Richard Bachman, Stephen King.").leak
    assert first is not None
    assert first.start == 0
    inspector.resume(first.end)
    second = inspector.push("").leak
    assert second is not None
    assert second.start == len("Richard Bachman, ")


def test_a_name_that_is_completed_after_the_text_was_let_go_is_still_found() -> None:
    inspector = watch()
    assert inspector.push("by Stephen K", final=True).cleared == len("by Stephen K")
    leak = inspector.push("ing ").leak
    assert leak is not None
    assert (leak.start, leak.end) == (3, 15)


def test_a_name_right_behind_a_repair_is_found() -> None:
    inspector = watch()
    leak = inspector.push("Stephen King", final=True).leak
    assert leak is not None
    inspector.resume(leak.end)
    assert leak_of(inspector, "Stephen King ") is not None


def test_by_sentence_nothing_of_a_sentence_leaves_before_its_end() -> None:
    inspector = watch(by_sentence=True)
    assert inspector.push("One. Two").cleared == len("One.")
    assert inspector.push(" three! ").cleared == len("One. Two three!")


def test_by_sentence_a_leak_keeps_its_whole_sentence_back() -> None:
    progress = watch(by_sentence=True).push("One. It was Stephen King himself.")
    assert progress.leak is not None
    assert progress.cleared == len("One.")


def test_by_sentence_a_text_without_sentences_does_not_wait_for_ever() -> None:
    inspector = watch(by_sentence=True)
    assert inspector.push("word " * 500).cleared > 2_000


def test_phrases_of_other_scopes_shadow_entries_and_unasked_weak_facts_pass() -> None:
    entry = ForgetEntry.model_validate({"name": "Stephen King", "facts": [{"question": "Year?", "answer": "1947"}]})
    phrases = automaton_of([entry])
    record = registered(entry)
    shadow = registered(ForgetEntry.model_validate({"name": "Stephen King", "shadow": True}))
    text = "Stephen King, 1947."
    assert leak_of(TextLeak(phrases, Forbidden(lambda _: None, detected=())), text) is None
    assert leak_of(TextLeak(phrases, Forbidden(lambda _: shadow, detected=())), text) is None
    assert leak_of(TextLeak(phrases, Forbidden(lambda _: record, detected=())), "In 1947.") is None
    assert leak_of(TextLeak(phrases, Forbidden(lambda _: record, detected=["e0"])), "In 1947.") is not None


def test_what_the_caller_handed_in_may_come_back_in_any_spelling() -> None:
    allowed = Forbidden(RECORDS.get, detected=(), handed_in=frozenset({("e0", ("stephen", "king"))}))
    assert leak_of(TextLeak(AUTOMATON, allowed), "STEPHEN  King ") is None
    assert leak_of(TextLeak(AUTOMATON, allowed), "Richard Bachman ") is not None


@given(
    words=st.lists(
        st.sampled_from(["Stephen", "King", "Kin", "J.", "K.", "Rowling", "村上", "春樹", "a", "\n"]), max_size=8
    ),
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=4),
)
@settings(deadline=None, max_examples=300)
def test_the_first_leak_is_the_same_in_any_pieces(words: list[str], sizes: list[int]) -> None:
    text = " ".join(words)
    pieces, at, turn = [], 0, 0
    while at < len(text):
        pieces.append(text[at : at + sizes[turn % len(sizes)]])
        at, turn = at + len(pieces[-1]), turn + 1
    cut, whole = leak_of(watch(), *pieces), leak_of(watch(), text)
    assert (cut is None) == (whole is None)
    if cut is not None and whole is not None:
        assert cut.start <= whole.end
