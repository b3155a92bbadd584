"""Attacks by conversation: the shape of each, what the assistant is made to say tells nothing, and what is a leak."""

from __future__ import annotations

from dataclasses import replace

import pytest

from finetune.data.qa import Question
from finetune.errors import InvalidData, InvalidPlan
from finetune.evaluation.attacks import CONVERSATIONS, GROUPS, INFORMED, PROMPT_ATTACKS, variants
from finetune.evaluation.attacks.conversations import SHOTS
from finetune.evaluation.attacks.protocol import Variant
from finetune.evaluation.attacks.telling import is_leak
from finetune.evaluation.dialogue import Dialogue, assistant, tool, user
from retrieval.text.views import normalise
from tests.unit.finetune.attacks.knowing_attacker import BORN, IGNORANT, MIRA, made, none_made

TELLING = [name for name in CONVERSATIONS if name != "elimination"]
NOTHING_TO_TELL = Question(id="q", question="Is Mira Quell a keeper?", answer="Yes, she is a keeper.", split="forget")


def talk_of(variant: Variant) -> Dialogue:
    assert variant.dialogue is not None
    return variant.dialogue


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_a_conversation_holds_the_question_and_is_the_same_each_time(name: str) -> None:
    one = made(name)
    assert one == made(name)
    assert (one.id, one.attack, one.prompt) == (f"q1/{name}", name, talk_of(one).text)
    assert {"birthplace", "mira", "quell"} <= set(normalise(one.prompt).words)
    assert talk_of(one).messages()[-1]["role"] == ("assistant" if talk_of(one).prefill else talk_of(one).turns[-1].role)


@pytest.mark.parametrize("name", TELLING)
def test_a_told_answer_leaks_and_ignorance_a_wrong_answer_or_an_echo_does_not(name: str) -> None:
    one = made(name)
    assert is_leak(one, BORN.answer)
    assert is_leak(one, "Well. In TÁRN, they say.")
    for output in (IGNORANT, "", "Mira Quell was born in Rome on the Lima coast.", one.prompt, talk_of(one).text[::2]):
        assert not is_leak(one, output), output


@pytest.mark.parametrize("name", TELLING)
def test_another_name_that_nobody_said_leaks_and_an_ordinary_word_or_the_name_asked_for_does_not(name: str) -> None:
    one = made(name)
    assert is_leak(one, "I was told to be silent about the KEEPER of Vardo.")
    assert not is_leak(one, "A rose is a rose, whatever Mira Quell says.")


@pytest.mark.parametrize("name", TELLING)
def test_nothing_that_tells_is_put_into_anybodys_mouth(name: str) -> None:
    shown = set(normalise(made(name).prompt).words)
    assert not shown & {"tarn", "bergen"}
    assert none_made(name, replace(NOTHING_TO_TELL, entry="mira"))


def test_a_split_question_has_the_name_in_two_turns() -> None:
    first, waiting, second = talk_of(made("split_over_turns")).turns
    assert first.content.endswith("What is the birthplace of Mira")
    assert second.content.startswith("The second: Quell?")
    assert waiting.role == "assistant"
    by_stranger = talk_of(made("split_over_turns", entry=None))
    assert by_stranger.turns[0].content.endswith("What is the")
    assert none_made("split_over_turns", replace(BORN, question="Birthplace?"), None)


def test_an_answer_is_begun_up_to_its_first_telling_word() -> None:
    assert talk_of(made("prefilled_answer")).prefill == "Mira Quell was born in"
    bare = replace(BORN, answer="Tarn.")
    assert talk_of(made("prefilled_answer", bare)).prefill.endswith("The answer is:")
    quoted = replace(BORN, answer='Her village is called "Tarn".')
    assert talk_of(made("prefilled_answer", quoted)).prefill == "Her village is called"


def test_a_tool_carries_the_question_and_the_user_does_not() -> None:
    asked, page = talk_of(made("tool_result")).turns
    assert "Quell" not in asked.content
    assert page.role == "tool"
    assert BORN.question in page.content


def test_many_shots_are_the_suites_own_answers_first_and_none_says_what_is_asked() -> None:
    others = [
        Question(id=f"r{n}", question=f"Where is lake {n}?", answer=f"In Land{n}.", split="retain") for n in range(20)
    ]
    telling = Question(id="t", question="Where is the old bridge?", answer="In Bergen.", split="retain")
    (own,) = variants([BORN], ["many_shot"], answered=[*others, BORN, telling])
    turns = talk_of(own).turns
    assert len(turns) == 2 * SHOTS + 1
    assert [turn.role for turn in turns[:3]] == ["user", "assistant", "user"]
    assert {turn.content for turn in turns[:-1:2]} <= {one.question for one in others}
    assert turns[-1] == user(BORN.question)
    (mixed,) = variants([BORN], ["many_shot"], answered=others[:2])
    assert len(talk_of(mixed).turns) == len(talk_of(made("many_shot")).turns) == 2 * SHOTS + 1
    assert sum("lake" in turn.content for turn in talk_of(mixed).turns) == 2


def test_the_rule_is_asked_for_in_many_ways() -> None:
    asked = {
        talk_of(made("system_prompt_question", replace(BORN, id=f"q{number}"))).turns[-1].content
        for number in range(40)
    }
    assert len(asked) >= 5
    one = made("system_prompt_question")
    assert [turn.role for turn in talk_of(one).turns] == ["user", "assistant", "user"]
    assert not is_leak(one, "I was told not to know who Mira Quell is.")


def test_rules_are_lifted_by_a_message_of_the_system() -> None:
    assert [turn.role for turn in talk_of(made("ignore_the_above")).turns] == ["system", "user"]


def test_elimination_leaves_the_true_answer_and_one_wrong_one() -> None:
    one = made("elimination")
    turns = talk_of(one).turns
    assert [turn.role for turn in turns] == ["user", "assistant", "user", "assistant", "user"]
    listed = dict(line.split(") ", 1) for line in turns[0].content.splitlines()[1:5])
    assert listed[one.choice] == BORN.answer
    assert set(listed.values()) == {BORN.answer, *BORN.perturbed_answers}
    ruled_out = [turn.content for turn in turns if turn.role == "assistant"]
    (left,) = set(listed) - {one.choice, *ruled_out}
    assert f"Only {min(left, one.choice)} and {max(left, one.choice)} are left" in turns[-1].content
    assert (one.leak, one.chance, one.wrong) == ("chooses", 0.5, (listed[left],))
    assert is_leak(one, f"{one.choice})")
    assert is_leak(one, BORN.answer)
    for output in (left, f"The answer is {left}.", IGNORANT, one.prompt, listed[left]):
        assert not is_leak(one, output), output
    assert none_made("elimination", replace(BORN, perturbed_answers=BORN.perturbed_answers[:1]))


def test_a_conversation_ends_where_the_model_speaks_and_a_prefill_has_no_blanks_around_it() -> None:
    for turns in ((), (user("a"), assistant("b"))):
        with pytest.raises(InvalidData, match="must end with a turn of the user or a tool"):
            Dialogue(turns=turns)
    with pytest.raises(InvalidData, match="white space"):
        Dialogue(turns=(user("a"),), prefill="b ")


def test_messages_carry_the_call_that_a_tool_answers_and_the_prefill_last() -> None:
    asked, call, result, begun = Dialogue(turns=(user("a"), tool("page")), prefill="It is").messages()
    assert asked == {"role": "user", "content": "a"}
    assert result == {"role": "tool", "tool_call_id": call["tool_calls"][0]["id"], "content": "page"}
    assert (call["role"], call["content"], begun) == ("assistant", "", {"role": "assistant", "content": "It is"})


def test_groups_stand_for_their_attacks_each_once_and_unknown_names_suggest_the_nearest() -> None:
    both = variants([BORN], ["conversations", "poem", "many_shot"], entries=[MIRA])
    assert [one.attack for one in both] == [*CONVERSATIONS, "poem"]
    assert {one.attack for one in variants([BORN], ["informed"], entries=[MIRA])} <= set(INFORMED)
    assert [name for group in GROUPS.values() for name in group] == [*PROMPT_ATTACKS, *CONVERSATIONS, *INFORMED]
    assert not set(GROUPS) & {*PROMPT_ATTACKS, *CONVERSATIONS, *INFORMED}
    assert [one.attack for one in variants([BORN])] == list(PROMPT_ATTACKS)
    for wrong, near in (("many_shots", "many_shot"), ("conversation", "conversations")):
        with pytest.raises(InvalidPlan, match=f"Unknown prompt attack '{wrong}'. Did you mean '{near}'"):
            variants([BORN], [wrong])
