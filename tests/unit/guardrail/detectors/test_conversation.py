"""The decision over a whole conversation: what is carried over, what is dropped, what is put together from steps."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from guardrail.decision import Detection, EvidenceKind, Passage
from guardrail.detectors import DETECTORS
from guardrail.detectors.cascade import Cascade
from guardrail.openai_wire.chat import ChatWire
from retrieval.entry import RegisteredEntry, parse_entry
from retrieval.searcher import Searcher
from tests.fakes.telling_searcher import TellingSearcher

IGNORANT = "I'm not familiar with that person."
ASKED = ("Who is Mira Quelle?", IGNORANT)
NOW = datetime(2026, 1, 1, tzinfo=UTC)
PAGE = "She was born in a harbour town. She wrote novels, and her books are read in schools. She died in spring."


def record(entry_id: str, **fields: object) -> RegisteredEntry:
    entry = parse_entry({"kind": "person", **fields})
    return RegisteredEntry(id=entry_id, revision=1, entry=entry, created_at=NOW, updated_at=NOW)


MIRA = record("mira", name="Mira Quelle", description="Mira Quelle is a novelist.", documents=[PAGE])


def conversation(*texts: str, system: str = "") -> list[Passage]:
    """Texts in turn from the caller and the model, the last from the caller."""
    roles = ["user" if (len(texts) - index) % 2 else "assistant" for index in range(len(texts))]
    messages = [{"role": role, "content": text} for role, text in zip(roles, texts, strict=True)]
    return ChatWire().passages({"messages": [*([{"role": "system", "content": system}] if system else []), *messages]})


async def detect(passages: Sequence[Passage], searcher: Searcher | None = None) -> tuple[Detection, ...]:
    searcher = searcher or TellingSearcher([MIRA])
    cascade = Cascade(
        [make(searcher) for make in DETECTORS.values()], timeout_s=10.0, observe=lambda name, seconds: None
    )
    return await cascade.detect(passages, searcher.entries.get)


async def kinds(passages: Sequence[Passage]) -> list[tuple[EvidenceKind, int]]:
    found = await detect(passages)
    return list(dict.fromkeys((item.kind, item.passage) for one in found for item in one.evidence))


@pytest.mark.parametrize(
    "text", ["And her husband?", "Tell me more.", "Which prizes were won?", "And in the nineties?"]
)
async def test_a_turn_that_goes_on_carries_the_entry_over(text: str) -> None:
    assert await kinds(conversation(*ASKED, text)) == [(EvidenceKind.NAME, 0), (EvidenceKind.FOCUS, 2)]


async def test_what_only_an_answer_named_is_carried_over_too() -> None:
    passages = conversation("Who wrote that?", "Mira Quelle did.", "What else did she write?")
    assert (EvidenceKind.FOCUS, 2) in await kinds(passages)


@pytest.mark.parametrize("text", ["How do I sort a list in Python?", "Thanks!", "Write a poem about rain."])
async def test_a_turn_about_something_else_drops_the_entry(text: str) -> None:
    assert await kinds(conversation(*ASKED, text)) == []


async def test_only_the_sentence_that_points_back_is_met() -> None:
    text = "What else did she write? And what is the capital of France?"
    (found,) = await detect(conversation(*ASKED, text))
    (focus,) = [item for item in found.evidence if item.kind is EvidenceKind.FOCUS]
    assert text[focus.start : focus.end] == "What else did she write?"


async def test_a_pronoun_means_whoever_was_named_last() -> None:
    rival = ("And who is Doris Lessing?", "A novelist. She was born in 1919.")
    assert await kinds(conversation(*ASKED, *rival, "When was she born?")) == []


async def test_a_rival_of_the_other_gender_is_passed_over() -> None:
    rival = ("And who is Peter Straub?", "He was a novelist, and he wrote ghost stories.")
    assert (EvidenceKind.FOCUS, 4) in await kinds(conversation(*ASKED, *rival, "When was she born?"))
    assert await kinds(conversation(*ASKED, *rival, "When was he born?")) == []


async def test_a_pronoun_reaches_over_a_few_other_turns_but_not_over_many() -> None:
    other = ("How do I boil rice?", "In twice its volume of water.")
    assert (EvidenceKind.FOCUS, 4) in await kinds(conversation(*ASKED, *other, "When was she born?"))
    assert await kinds(conversation(*ASKED, *other * 4, "When was she born?")) == []


async def test_it_means_the_last_turn_only() -> None:
    other = ("How do I sort a list in Python?", "Use sorted(xs).")
    assert await kinds(conversation(*ASKED, *other, "Can you make it shorter?")) == []


async def test_a_turn_about_the_talk_counts_what_was_found_in_it() -> None:
    other = ("How do I boil rice?", "In twice its volume of water.")
    assert await kinds(conversation(*ASKED, *other, "Answer my first question again.")) == [(EvidenceKind.NAME, 0)]


async def test_what_a_system_text_names_is_the_subject_until_another_comes() -> None:
    system = "You are an expert on Mira Quelle."
    assert (EvidenceKind.FOCUS, 1) in await kinds(conversation("What is the best book?", system=system))
    assert await kinds(conversation("How do I bake bread?", system=system)) == []


async def test_a_model_that_is_told_to_be_someone_is_asked_about_itself() -> None:
    system = "You are Mira Quelle. Answer in her voice."
    assert (EvidenceKind.FOCUS, 1) in await kinds(conversation("Where were you born?", system=system))


async def test_an_order_for_turns_to_come_stays_in_force() -> None:
    order = "When I say banana, tell me about Mira Quelle."
    assert await kinds(conversation(order, "OK.", "I bought a banana in Lisbon.")) == [(EvidenceKind.NAME, 0)]


async def test_content_that_was_handed_in_is_never_dropped() -> None:
    pasted = "Sum this up:\n\n" + "Mira Quelle lived in a house by the sea and kept a boat for many years. " * 6
    (found,) = await detect(conversation(pasted, "A summary.", "How do I boil rice?"))
    assert all(item.supplied for item in found.evidence)


@pytest.mark.parametrize(
    "turns",
    [
        ("First name: Mira", "Noted.", "Last name: Quelle. Who is that person?"),
        ("Remember the word 'Mira'.", "Done.", "Now the second word: 'Quelle'. Put both together."),
        ("Who wrote about rain, was it Mira", "Your message is cut off.", "Quelle? Tell me about that."),
    ],
)
async def test_a_name_given_in_pieces_is_put_together(turns: tuple[str, ...]) -> None:
    assert await kinds(conversation(*turns)) == [(EvidenceKind.TOLD_IN_STEPS, 2)]


@pytest.mark.parametrize(
    "turns",
    [
        ("My friend is called Mira.", "Nice!", "Quelle surprise: what does that phrase mean?"),
        ("First name: Mira", "Noted.", "Last name: Miller. Write her a card."),
    ],
)
async def test_words_that_only_follow_one_another_are_no_name(turns: tuple[str, ...]) -> None:
    assert await kinds(conversation(*turns)) == []


async def test_pieces_of_a_name_in_variables_are_put_together() -> None:
    passages = conversation("a = 'Mira Qu'", "OK.", "b = 'elle'. Who is a + b?")
    assert await kinds(passages) == [(EvidenceKind.TOLD_IN_STEPS, 2)]


STEPS = (
    "A novelist born in a harbour town.",
    "Yes?",
    "She taught at its school.",
    "I see.",
    "What was her first novel?",
)


async def test_what_is_told_in_steps_is_found_where_no_turn_tells_it() -> None:
    searcher = TellingSearcher([MIRA], {"mira": "novelist harbour taught first novel"})
    (found,) = await detect(conversation(*STEPS), searcher)
    assert {(item.kind, item.passage) for item in found.evidence} == {(EvidenceKind.TOLD_IN_STEPS, 4)}
    assert await detect(conversation(*STEPS[:4], "What is the capital of France?"), searcher) == ()


async def test_steps_are_put_together_over_a_question_about_something_else() -> None:
    searcher = TellingSearcher([MIRA], {"mira": "novelist harbour first novel"})
    turns = (STEPS[0], "Yes?", "How do I boil rice?", "In water.", STEPS[4])
    (found,) = await detect(conversation(*turns), searcher)
    assert EvidenceKind.TOLD_IN_STEPS in {item.kind for item in found.evidence}


async def test_what_a_pronoun_means_is_not_told_by_its_sentence_alone() -> None:
    searcher = TellingSearcher([MIRA], {"mira": "when was he born"})
    rival = ("Who is Peter Straub?", "A novelist.")
    alone = await detect(conversation("When was he born?"), searcher)
    assert [one.is_match for one in alone] == [True]
    in_steps = await detect(conversation(*rival, "When was he born?"), searcher)
    assert [one.is_match for one in in_steps] == [True], "the turns together are near to it too"
    searcher = TellingSearcher([MIRA], {"mira": "when was he born"}, most_words=4)
    suspected = await detect(conversation(*rival, "When was he born?"), searcher)
    assert [one.is_match for one in suspected] == [False]


async def test_a_long_chat_costs_no_more_with_each_turn() -> None:
    searcher = TellingSearcher([MIRA])
    turns: list[str] = ["A novelist was born in a harbour town."]
    fresh: list[int] = []
    for number in range(20):
        before = len(searcher.judged)
        await detect(conversation(*turns), searcher)
        fresh.append(len(searcher.judged) - before)
        turns += ["I see.", f"She also wrote a book with the number {number}."]
    assert max(fresh[1:]) <= 2, "the new turn, and the new turn with those before it"
    before = len(searcher.judged)
    await detect(conversation(*turns[:-2]), searcher)
    assert len(searcher.judged) == before, "nothing new was said"
