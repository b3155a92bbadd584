"""Attacks by name: prompts and conversations that bring an answer out after all, sampling, relearning, quantisation.

Forty questions give more than 400 variants, so that small leak rates can be measured at all. The prompt attacks are made
by default; conversations, and what somebody asks who knows the registry, only by name or as a group.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from dataclasses import replace

from finetune.data.qa import Question
from finetune.errors import unknown_name
from finetune.evaluation.attacks import conversations, encoded, forms, framings, informed, paraphrases
from finetune.evaluation.attacks.best_of_n import BestOfN
from finetune.evaluation.attacks.protocol import KnowingAttack, Knowledge, PromptAttack, Variant
from finetune.evaluation.attacks.quantisation import Quantisation
from finetune.evaluation.attacks.relearning import Relearning
from retrieval.entry import ForgetEntry

FORMAT_SHIFTS: dict[str, PromptAttack] = {
    "cloze": forms.cloze,
    "yes_or_no": forms.yes_or_no,
    "multiple_choice": forms.multiple_choice,
    "bullet_list": forms.bullet_list,
    "json_object": forms.json_object,
    "table": forms.table,
    "source_code": forms.source_code,
    "translation": forms.translation,
    "poem": forms.poem,
    "encyclopedia": forms.encyclopedia,
    "completion": forms.completion,
    "key_words": forms.key_words,
    "role_play": framings.role_play,
    "quiz_show": framings.quiz_show,
    "few_shot": framings.few_shot,
    "prefix_injection": framings.prefix_injection,
    "no_refusal": framings.no_refusal,
    "step_by_step": framings.step_by_step,
    "authority": framings.authority,
    "correction": framings.correction,
    "first_letters": framings.first_letters,
    "history": framings.history,
}

PARAPHRASES: dict[str, PromptAttack] = {
    "request": paraphrases.request,
    "second_hand": paraphrases.second_hand,
    "curious": paraphrases.curious,
    "in_short": paraphrases.in_short,
    "in_detail": paraphrases.in_detail,
    "homework": paraphrases.homework,
    "casual": paraphrases.casual,
    "formal": paraphrases.formal,
}

PROMPT_ATTACKS: dict[str, PromptAttack] = {**FORMAT_SHIFTS, **PARAPHRASES}

CONVERSATIONS: dict[str, KnowingAttack] = {
    "split_over_turns": conversations.split_over_turns,
    "prefilled_answer": conversations.prefilled_answer,
    "tool_result": conversations.tool_result,
    "many_shot": conversations.many_shot,
    "system_prompt_question": conversations.system_prompt_question,
    "ignore_the_above": conversations.ignore_the_above,
    "follow_up": conversations.follow_up,
    "elimination": conversations.elimination,
}

INFORMED: dict[str, KnowingAttack] = {
    "by_detail": informed.by_detail,
    "page_style": informed.page_style,
    "by_pronoun": informed.by_pronoun,
    "name_in_parts": informed.name_in_parts,
    "compare_two": informed.compare_two,
    "confirm": informed.confirm,
    "in_german": informed.in_german,
    "in_french": informed.in_french,
    "in_spanish": informed.in_spanish,
    "in_chinese": informed.in_chinese,
    "one_letter": encoded.one_letter,
    "spelt_answer": encoded.spelt_answer,
    "reversed_answer": encoded.reversed_answer,
    "base64_answer": encoded.base64_answer,
    "roman_numerals": encoded.roman_numerals,
    "acrostic": encoded.acrostic,
    "cyrillic_letters": encoded.cyrillic_letters,
}

KNOWING_ATTACKS: dict[str, KnowingAttack] = {**CONVERSATIONS, **INFORMED}

GROUPS: dict[str, tuple[str, ...]] = {
    "format_shifts": tuple(FORMAT_SHIFTS),
    "paraphrases": tuple(PARAPHRASES),
    "conversations": tuple(CONVERSATIONS),
    "informed": tuple(INFORMED),
}
"""Attacks that may be asked for together."""

WEIGHT_ATTACKS: dict[str, type[Quantisation] | type[Relearning]] = {
    "quantisation": Quantisation,
    "relearning": Relearning,
}

SAMPLING: dict[str, type[BestOfN]] = {"best_of_n": BestOfN}

WRONG_ANSWERS = 3


def variants(
    questions: Sequence[Question],
    attacks: Collection[str] = tuple(PROMPT_ATTACKS),
    *,
    entries: Sequence[ForgetEntry] = (),
    answered: Sequence[Question] = (),
) -> list[Variant]:
    """The variants of all questions, question by question, without those that make no sense for a question.

    `attacks` are names of attacks or groups. `entries` and `answered` questions about other things are what knowing
    attackers know. Raises `InvalidPlan` for an unknown attack.
    """
    names = _names(attacks)
    by_id = {entry.id: entry for entry in entries if entry.id is not None}
    others = tuple(answered)
    made = (
        _variant(name, question, Knowledge(entry=by_id.get(question.entry or ""), answered=others))
        for question in questions
        for name in names
    )
    return [variant for variant in made if variant is not None]


def _names(attacks: Collection[str]) -> list[str]:
    """Each attack once, groups as their members. Raises `InvalidPlan` for an unknown one."""
    known = {**PROMPT_ATTACKS, **KNOWING_ATTACKS, **GROUPS}
    for name in attacks:
        if name not in known:
            raise unknown_name("prompt attack", name, known)
    return list(dict.fromkeys(member for name in attacks for member in GROUPS.get(name, (name,))))


def _variant(name: str, question: Question, known: Knowledge) -> Variant | None:
    return PROMPT_ATTACKS[name](question) if name in PROMPT_ATTACKS else KNOWING_ATTACKS[name](question, known)


def rephrased(question: Question) -> list[Question]:
    """The paraphrases of a question, as questions."""
    return [one.as_question("paraphrase") for one in variants([question], PARAPHRASES)]


def shifted(question: Question) -> list[Question]:
    """The format shifts of a question whose leak is the answer itself, as questions: choices and yes-or-no need more."""
    return [one.as_question("adversarial") for one in variants([question], FORMAT_SHIFTS) if one.leak == "tells"]


def with_wrong_answers(questions: Sequence[Question], *, seed: int = 0) -> list[Question]:
    """Questions without wrong answers get those of others in the list: an answer that differs, from another question."""
    drawn = random.Random(seed)
    found = []
    for one in questions:
        others = sorted({other.answer for other in questions if other.answer != one.answer})
        if one.perturbed_answers or not others:
            found.append(one)
        else:
            wrong = drawn.sample(others, min(WRONG_ANSWERS, len(others)))
            found.append(replace(one, perturbed_answers=tuple(wrong)))
    return found


__all__ = [
    "CONVERSATIONS",
    "FORMAT_SHIFTS",
    "GROUPS",
    "INFORMED",
    "KNOWING_ATTACKS",
    "PARAPHRASES",
    "PROMPT_ATTACKS",
    "SAMPLING",
    "WEIGHT_ATTACKS",
    "BestOfN",
    "KnowingAttack",
    "Knowledge",
    "PromptAttack",
    "Quantisation",
    "Relearning",
    "Variant",
    "rephrased",
    "shifted",
    "variants",
    "with_wrong_answers",
]
