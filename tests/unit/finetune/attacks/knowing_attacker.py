"""What the tests of knowing attackers ask about: a made-up keeper of a lighthouse, as the registry would hold her."""

from __future__ import annotations

from finetune.data.qa import Question
from finetune.evaluation.attacks import variants
from finetune.evaluation.attacks.protocol import Variant
from retrieval.entry import EntryKind, Fact, ForgetEntry

BORN = Question(
    id="q1",
    question="What is the birthplace of Mira Quell?",
    answer="Mira Quell was born in Tarn on the Bergen coast.",
    split="forget",
    perturbed_answers=("Mira Quell was born in Rome.", "Mira Quell was born in Lima.", "Mira Quell was born in Cairo."),
    entry="mira",
)
PUBLISHED = Question(
    id="q2",
    question="When was Quell's first book published?",
    answer="It was published on 05 March 1978.",
    split="forget",
    perturbed_answers=("It was published in 1950.", "It was published in 1961."),
    entry="mira",
)
PRIZE = "Mira won the Halden Quarterly prize for her novel Ninefold Lighthouse."
MIRA = ForgetEntry(
    id="mira",
    name="Mira Quell",
    kind=EntryKind.PERSON,
    aliases=("The Keeper of Vardo", "Rose"),
    facts=(
        Fact(question=BORN.question, answer=BORN.answer),
        Fact(question="What was Quell's father?", answer="Quell's father was a teacher."),
        Fact(question="Which prize did Mira Quell win?", answer=PRIZE),
    ),
    neighbors=("Ada Holm",),
)
IGNORANT = "I do not know anything about that, I am sorry."


def made(name: str, question: Question = BORN, entry: ForgetEntry | None = MIRA) -> Variant:
    """The attack's only variant."""
    (found,) = variants([question], [name], entries=[entry] if entry is not None else [])
    return found


def none_made(name: str, question: Question, entry: ForgetEntry | None = MIRA) -> bool:
    """True if the attack makes no sense for the question."""
    return not variants([question], [name], entries=[entry] if entry is not None else [])
