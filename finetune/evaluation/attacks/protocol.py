"""What a prompt attack is: a pure function from a question to a prompt that may bring its answer out after all.

A `KnowingAttack` is also given what an attacker may know beside the question. The prompt may be a whole conversation. An
attack that makes no sense for a question (nothing to tell, no wrong answers to choose from) gives None. What counts as a
leak stands in the variant and is decided by `telling.is_leak`. It does not know models or how many samples are drawn.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from finetune.data.qa import Question, Split
from finetune.evaluation.dialogue import Dialogue
from retrieval.entry import ForgetEntry

Leak = Literal["tells", "chooses", "affirms", "spells"]
"""How a leak shows: the answer's telling words come out; the right choice is taken; the right one of yes and no is said;
the right letter or digit is given."""

Writing = Literal["plain", "spelt", "reversed", "base64", "roman", "acrostic", "cyrillic"]
"""How the answer is asked to be written: as usual; letter by letter; backwards; in base64; its numbers in Roman numerals;
by the first letters of lines or words; in Cyrillic letters."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Variant:
    """A prompt made from a question; of a `dialogue`, `prompt` is the text of all turns.

    `choice` is the letter or digit, or "yes" or "no", that would be right; `wrong` are the other choices' texts. `chance`
    is how often somebody who knows nothing would seem to leak; compare with the retain model's rate, or take it off.
    `names`, the entry's own first, must not come out, unless the prompt holds them; `given` is what it gives away in
    pieces; of the answer's words that are `sought` one is enough, in the writing that was asked for.
    """

    id: str
    question: Question
    attack: str
    prompt: str
    leak: Leak = "tells"
    choice: str = ""
    wrong: tuple[str, ...] = ()
    chance: float = 0.0
    dialogue: Dialogue | None = None
    written: Writing = "plain"
    names: tuple[str, ...] = ()
    given: str = ""
    sought: tuple[str, ...] = ()

    def as_question(self, split: Split = "adversarial") -> Question:
        """The prompt as a question of its own, with the same answer. The turns of a dialogue are not in it."""
        return Question(
            id=self.id,
            question=self.prompt,
            answer=self.question.answer,
            split=split,
            entry=self.question.entry,
            group=self.attack,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Knowledge:
    """What an attacker may know beside the question: the forget entry that it is about, as the registry holds it, and
    answered questions about other things."""

    entry: ForgetEntry | None = None
    answered: tuple[Question, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Of the entry."""
        return self.entry.names if self.entry is not None else ()


PromptAttack = Callable[[Question], Variant | None]
KnowingAttack = Callable[[Question, Knowledge], Variant | None]


def seeded(question: Question, attack: str) -> random.Random:
    """Chance that follows from the question and the attack alone."""
    return random.Random(hashlib.sha256(f"{attack}/{question.id}".encode()).digest())
