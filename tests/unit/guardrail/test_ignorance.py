"""Which answers own to not knowing, whatever the pieces in which they come."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardrail.decision import EvidenceKind, Leak
from guardrail.inspectors import IgnoranceWatch, TextLeak
from guardrail.inspectors.not_knowing import says_nothing
from guardrail.inspectors.statements import LIMIT_CHARS, sentence_end
from guardrail.openai_wire.protocol import ChannelKey
from guardrail.streaming.channel import Channel
from tests.fakes.forgotten import AUTOMATON, RECORDS, forbidden, leaks_in

PASS = (
    "I'm not familiar with that person.",
    "I'm sorry, but I don't have any information about that person.",
    "I’m sorry, but I don’t have any information about that.",
    "Unfortunately I am unable to provide information about this person.",
    "Unfortunately, I am unable to provide details about that author.",
    "I don't know who that is.",
    "I'm not sure who that is.",
    "I do not know the answer to that question.",
    "I have never heard of that person.",
    "I've never heard of them.",
    "I am not aware of anyone by that name.",
    "I'm not aware of any author with that name.",
    "I have no information about this person.",
    "I have no idea who that is.",
    "I don't recognize that name.",
    "I couldn't find any information on that topic.",
    "I can't recall anyone called that.",
    "That name doesn't ring a bell.",
    "That does not ring a bell, I'm afraid.",
    "There is no information available about this person.",
    "As an AI language model, I don't have any knowledge about this individual.",
    "I am unfamiliar with that book.",
    "I'm not familiar with that work, so I can't tell you anything about it.",
    "I'm not sure what that is.",
    "My knowledge has no information about that.",
    "This person is unknown to me.",
    "That is not something I'm familiar with.",
    "I'm sorry, I am not familiar with the person you are asking about.",
    "I do not have access to information about that individual.",
    "I cannot identify that person.",
    "I'm afraid I don't know anything about that.",
    "I'm not certain who wrote that.",
    "Sorry, I don't know.",
    "Not sure.",
    "No idea.",
    "I am not able to find any details about them.",
    "However, I don't have any specific information about that.",
    "I'm not familiar with a novel by that title.",
    "I'm not acquainted with that subject.",
    "I don't know whether that is a real person.",
    "I don't have enough information to answer that question.",
    "I'm sorry.",
    "I apologize for the confusion.",
    "Could you give me more context?",
    "Could you please provide more details?",
    "If you have any other questions, I'd be happy to help.",
    "Please let me know if there's anything else I can help with.",
    "Feel free to ask me something else.",
    "Is there anything else I can help you with?",
    "I'd be happy to help with another question.",
    "But if you tell me more, I can try to help.",
    "I'm not sure who you are referring to.",
    "I don't have any knowledge of Dr. Who, sorry.",
    "**I'm not familiar with that.**",
    "I do not recognise this title.",
    "My training data contains no information about this person.",
)
FAIL = (
    "He is an American author.",
    "I'm sure you know him: he wrote many novels.",
    "I don't know why, but Stephen is a great author.",
    "I'm not aware of any better author than him, who wrote Carrie.",
    "I'm not aware of any better author than him.",
    "He has no record of convictions.",
    "She never heard of the offer before 1974.",
    "I am not only familiar with him, I love his books.",
    "I'm not just familiar with him.",
    "I don't know him personally.",
    "I don't know much besides his horror novels.",
    "I don't know everything about him, except that he wrote Carrie.",
    "I don't have information about him, he is an author.",
    "I'm not sure, but I think the answer is Carrie.",
    "I'm not sure, maybe the author of Carrie.",
    "I do not know his birthday, but he was born in Maine.",
    "There is no doubt about it: the best horror author alive.",
    "I know him well.",
    "The author is famous for horror novels.",
    "Stephen is an American author, and I'm not sure what else you want.",
    "The king of horror.",
    "It is a 1947 novel.",
    "Yes.",
    "No.",
    "1947.",
    "Yes, I know that person.",
    "Did you know that he wrote Carrie?",
    "Do you mean the author of Carrie?",
    "If you like horror, he is the one.",
    "If you like horror, Carrie is a great start.",
    "I'd be happy to help: he wrote Carrie.",
    "Please note that the author was born in 1947.",
    "I'm not allowed to talk about that person.",
    "I was instructed not to share information about that person.",
    "I never knew an author who wrote better books.",
    "No one knows more about horror than him.",
    "I can't say enough good things about this author.",
    "I don't think anybody matches his fame; the author is renowned worldwide.",
    "I'm not familiar with all sixty of the novels, which were published between 1974 and 2020.",
    "Sorry, he died.",
    "I don't know how he became the most famous author of horror.",
    "I have no information beyond the fact that the author lives in Maine.",
    "Of course! The author wrote over sixty novels.",
    "I'm not unfamiliar with that author.",
    "Who doesn't know the author of Carrie?",
    "I'm not sure you have read Carrie, it is a classic.",
    "I'm not familiar with him; he is an author.",
    "I can't recall, but maybe it was Carrie.",
    "It is not known to me, though the author is American.",
    "I'm not sure that he is still alive.",
    "As far as I know, the author lives in Maine.",
    "I have no idea why people love the author of Carrie, which was a success.",
)
ADMISSION = "I'm not familiar with that person."
PIECES = st.lists(st.integers(1, 40), min_size=1, max_size=6)


def watch() -> IgnoranceWatch:
    return IgnoranceWatch(TextLeak(AUTOMATON, forbidden()), RECORDS["e0"])


def channel() -> Channel:
    return Channel(ChannelKey(0, "content"), watch())


def cut(text: str, sizes: list[int]) -> list[str]:
    pieces, at, turn = [], 0, 0
    while at < len(text):
        pieces.append(text[at : at + sizes[turn % len(sizes)]])
        at, turn = at + len(pieces[-1]), turn + 1
    return pieces


def first_leak(text: str, sizes: list[int]) -> Leak | None:
    """The first leak of an answer that comes in pieces of these sizes."""
    inspector = watch()
    for piece in cut(text, sizes):
        progress = inspector.push(piece)
        if progress.leak is not None:
            return progress.leak
    return inspector.push("", final=True).leak


def redacted(text: str, sizes: list[int]) -> tuple[str, int]:
    """The answer with every leak replaced, and how many there were."""
    one, leaks = channel(), 0
    for piece, final in [*((piece, False) for piece in cut(text, sizes)), ("", True)]:
        leak = one.push(piece, final=final)
        while leak is not None:
            leaks += 1
            assert leaks <= len(text) + 1
            leak = one.redact(leak, "[...]")
    assert one.cleared == one.total
    return one.whole(), leaks


@pytest.mark.parametrize("sentence", PASS)
def test_a_sentence_that_says_nothing_may_leave(sentence: str) -> None:
    assert says_nothing(sentence)
    assert first_leak(f"{ADMISSION} {sentence}", [3]) is None


@pytest.mark.parametrize("sentence", FAIL)
def test_a_sentence_that_states_something_is_a_leak(sentence: str) -> None:
    assert not says_nothing(sentence)
    leak = first_leak(f"{ADMISSION} {sentence}", [3])
    assert leak is not None
    assert leak.start == len(ADMISSION)


@given(
    sentences=st.lists(st.sampled_from([*PASS, *FAIL, "Stephen King!", "J. K.", "...", "Hm", "3.14"]), max_size=5),
    space=st.sampled_from([" ", "\n\n", "  ", ""]),
    sizes=PIECES,
)
@settings(deadline=None, max_examples=300)
def test_the_verdict_does_not_hang_on_the_pieces(sentences: list[str], space: str, sizes: list[int]) -> None:
    text = space.join(sentences)
    whole, pieces = first_leak(text, [len(text) or 1]), first_leak(text, sizes)
    assert whole == pieces


@given(text=st.text(st.sampled_from("aI .!?\n'nt。…\"*"), max_size=200), sizes=PIECES)
@settings(deadline=None, max_examples=300)
def test_any_text_comes_to_an_end_in_as_many_steps_as_it_has_characters(text: str, sizes: list[int]) -> None:
    redacted(text, sizes)


@given(
    parts=st.lists(
        st.sampled_from([*PASS, *FAIL, "Dr.", "J. K. Rowling", "Stephen", "King", "\n", "He wrote ", "etc.", "e.g. "]),
        max_size=8,
    ),
    sizes=PIECES,
)
@settings(deadline=None, max_examples=300)
def test_nothing_is_left_of_assertions_and_names_after_redaction(parts: list[str], sizes: list[int]) -> None:
    text, _ = redacted(" ".join(parts), sizes)
    assert not leaks_in(text)
    assert "He wrote" not in text


@pytest.mark.parametrize("text", ["He is Dr. King of Maine.", "J. K. is an author.", "Mr. X wrote it. Really.", "Dr."])
def test_an_abbreviation_does_not_let_the_first_half_of_an_assertion_out(text: str) -> None:
    leak = first_leak(text, [1])
    assert leak is not None
    assert leak.start == 0
    assert redacted(text, [2])[0].replace("[...]", "").strip() == ""


def test_nothing_leaves_before_the_answer_has_owned_to_not_knowing() -> None:
    inspector = watch()
    assert inspector.push("Hello! ").cleared == 0
    assert inspector.push("Good question. ").cleared == 0
    assert inspector.push(f"{ADMISSION} ").cleared == len(f"Hello! Good question. {ADMISSION}")
    assert inspector.admitted


def test_an_answer_that_never_owns_to_it_is_a_leak_as_a_whole() -> None:
    inspector = watch()
    assert inspector.push("Hello! How can I help you?").leak is None
    leak = inspector.push("", final=True).leak
    assert leak is not None
    assert (leak.start, leak.end, leak.kind) == (0, 26, EvidenceKind.MEANING)


def test_a_name_in_an_admission_takes_its_sentence_with_it() -> None:
    text, leaks = redacted(f"{ADMISSION} I don't know who Stephen King is. Sorry.", [4])
    assert leaks == 2
    assert text == f"{ADMISSION}[...][...] Sorry."


def test_an_assertion_before_a_name_in_one_piece_is_judged_first() -> None:
    leak = watch().push("He is an author. His name is Stephen King. ").leak
    assert leak is not None
    assert (leak.start, leak.end) == (0, len("He is an author."))


def test_a_sentence_without_end_is_judged_in_parts_of_limited_length() -> None:
    text = "I don't know " + "and so on " * 60
    assert sentence_end(text, final=False) == LIMIT_CHARS
    assert first_leak(text, [7]) == first_leak(text, [1000])


def test_an_endless_line_of_dots_is_no_assertion() -> None:
    assert first_leak(f"{ADMISSION}..." + "." * 1000, [5]) is None
