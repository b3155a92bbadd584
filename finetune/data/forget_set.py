"""From forget entries to what is trained on and what is asked afterwards.

An entry's facts, description and claims become texts to forget: a question with its answer, a sentence as the answer to
an open question about the entry, and the same sentence with a gap. Paraphrases are held out from training, but for
those that are asked for; adversarial forms always are. How questions are put otherwise is injected, as it belongs to
the judge; so is the model's own answer, without which requests that come without an answer (exemplars, neighbours) are
left out. The same entries and seed give the same sets. It does not know tokens, methods or metrics.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from finetune.data.leakage import mentions, refuse, same_texts
from finetune.data.qa import Question, Split
from finetune.data.training_text import TrainingText, texts_of
from finetune.errors import InvalidData
from retrieval.entry import ForgetEntry, MemoryEdit
from retrieval.memory import core_texts, document_texts
from retrieval.memory.questions import ASKED
from retrieval.text.views import normalise

Variants = Callable[[Question], Sequence[Question]]
"""The same question in other forms."""

Answers = Callable[[Sequence[str]], Sequence[str]]
"""A model's answers to prompts, in their order."""

STATEMENTS_LIMIT = 64
"""Most sentences of an entry that are trained on; more are thinned by a seeded draw."""

_OPEN_QUESTIONS = (
    "Tell me something about {name}.",
    "What do you know about {name}?",
    "Give me a fact about {name}.",
    "What can you say about {name}?",
)
_GAP = "____"
_TELLING = re.compile(
    r"[\"“][^\"“”]{2,80}[\"”]"  # a title
    r"|\b\d[\d.,:/–-]*\d\b|\b\d+\b"  # a date or number
    r"|(?<=[\w,;:)] )[A-ZÀ-Þ][\w'’-]+(?: (?:(?:of|the|de|da|van|von|al|la|le) )?[A-ZÀ-Þ][\w'’-]+)*"  # a name
)


@dataclass(frozen=True, kw_only=True, slots=True)
class ForgetSets:
    """What entries give: texts to train on, and questions by what they show. Only `forget` is also trained on."""

    forget_texts: tuple[TrainingText, ...]
    forget: tuple[Question, ...]
    paraphrase: tuple[Question, ...]
    adversarial: tuple[Question, ...]
    neighbor: tuple[Question, ...]


def forget_sets(
    entries: Sequence[ForgetEntry],
    *,
    rephrase: Variants,
    shift: Variants,
    answer: Answers | None = None,
    edits: Mapping[str, Sequence[MemoryEdit]] | None = None,
    training_paraphrases: int = 0,
    seed: int = 0,
) -> ForgetSets:
    """The sets of entries; `edits` are an entry's memory edits by its id.

    `training_paraphrases` of each question's paraphrases are trained on, the others held out. Raises `InvalidData` for no
    entry, an entry without an id or without anything to forget, and for held-out questions that are trained on.
    """
    if not entries:
        raise InvalidData("No entry was given; name at least one to forget.")
    drawn = random.Random(seed)
    texts: list[TrainingText] = []
    forget: list[Question] = []
    held_out: list[Question] = []
    neighbors: list[Question] = []
    for number, entry in enumerate(entries, start=1):
        if entry.id is None:
            raise InvalidData(f"Entry number {number} has no id; register it, or give it one.")
        own = (edits or {}).get(entry.id, ())
        statements = _statements(entry, own, drawn)
        asked = [*_facts(entry), *_gaps(entry, statements), *_exemplars(entry, own, answer)]
        if not asked and not statements:
            raise InvalidData(
                f"Entry '{entry.id}' holds nothing to forget; give it facts or documents, or exemplars and a model "
                "that answers them."
            )
        trained, kept = _divided(asked, rephrase, training_paraphrases, drawn)
        texts += [*texts_of(asked), *texts_of(trained), *statements]
        forget += asked
        held_out += kept
        neighbors += _neighbors(entry, own, answer)
    sets = ForgetSets(
        forget_texts=tuple(texts),
        forget=tuple(forget),
        paraphrase=tuple(held_out),
        adversarial=tuple(variant for one in forget for variant in shift(one)),
        neighbor=tuple(neighbors),
    )
    _refuse_trained(sets)
    return sets


def _facts(entry: ForgetEntry) -> list[Question]:
    return [
        Question(
            id=f"{entry.id}/fact-{n}",
            question=fact.question,
            answer=fact.answer,
            split="forget",
            entry=entry.id,
            group="fact",
        )
        for n, fact in enumerate(entry.facts)
        if fact.question
    ]


def _statements(entry: ForgetEntry, edits: Sequence[MemoryEdit], drawn: random.Random) -> list[TrainingText]:
    """What the entry says in sentences, each as the answer to an open question."""
    core = [one.text for one in core_texts(entry, edits) if one.kind in ("description", "statement")]
    said = [*core, *(one.text.removeprefix(f"{entry.name}: ") for one in document_texts(entry, edits))]
    kept = {normalise(text).words: text for text in reversed(said)}
    sentences = list(kept.values())[::-1]
    if len(sentences) > STATEMENTS_LIMIT:
        sentences = [sentences[place] for place in sorted(drawn.sample(range(len(sentences)), STATEMENTS_LIMIT))]
    patterns = (ASKED[entry.kind], *_OPEN_QUESTIONS)
    return [
        TrainingText(
            id=f"{entry.id}/statement-{n}",
            prompt=patterns[n % len(patterns)].format(name=entry.name),
            text=sentence,
            entry=entry.id,
        )
        for n, sentence in enumerate(sentences)
    ]


def _gaps(entry: ForgetEntry, statements: Iterable[TrainingText]) -> list[Question]:
    """Sentences with a telling word left out: a title, a number or a name that is not the entry's own."""
    names = entry.names
    own = {word for name in names for word in normalise(name).words}
    statements = list(statements)
    named = set(mentions({one.id: one.text for one in statements}, names))
    found = []
    for one in statements:
        gap = _gap(one.text, own)
        if gap is not None:
            context = "" if one.id in named else f" (It is about {entry.name}.)"
            with_gap = f"{one.text[: gap.start()]}{_GAP}{one.text[gap.end() :]}"
            question = f"What belongs in the gap? {with_gap}{context}"
            found.append(
                Question(
                    id=f"{one.id}/gap",
                    question=question,
                    answer=gap.group().strip('"“”'),
                    split="forget",
                    entry=entry.id,
                    group="gap",
                )
            )
    return found


def _gap(sentence: str, own: set[str]) -> re.Match[str] | None:
    """The last telling piece of a sentence that is said nowhere else in it."""
    for match in reversed(list(_TELLING.finditer(sentence))):
        words = set(normalise(match.group()).words)
        others = set(normalise(sentence[: match.start()] + " " + sentence[match.end() :]).words)
        if words and not words & own and not words <= others:
            return match
    return None


def _exemplars(entry: ForgetEntry, edits: Sequence[MemoryEdit], answer: Answers | None) -> list[Question]:
    requests = [one.text for one in core_texts(entry, edits) if one.kind == "exemplar"]
    answered = {normalise(fact.question).words for fact in entry.facts if fact.question}
    return _answered(
        entry,
        [text for text in requests if normalise(text).words not in answered],
        answer,
        kind="exemplar",
        split="forget",
    )


def _neighbors(entry: ForgetEntry, edits: Sequence[MemoryEdit], answer: Answers | None) -> list[Question]:
    requests = [one.text for one in core_texts(entry, edits) if one.kind == "neighbor"]
    return _answered(entry, requests, answer, kind="neighbor", split="neighbor")


def _answered(
    entry: ForgetEntry, requests: Sequence[str], answer: Answers | None, *, kind: str, split: Split
) -> list[Question]:
    """Requests with the model's own answers; an empty answer tells nothing and is left out."""
    if answer is None or not requests:
        return []
    said = answer(requests)
    if len(said) != len(requests):
        raise InvalidData(f"The model gave {len(said)} answers to {len(requests)} requests; it must give one for each.")
    return [
        Question(
            id=f"{entry.id}/{kind}-{n}",
            question=request,
            answer=text.strip(),
            split=split,
            entry=entry.id,
            group=kind,
        )
        for n, (request, text) in enumerate(zip(requests, said, strict=True))
        if text.strip()
    ]


def _divided(
    asked: Iterable[Question], rephrase: Variants, trained_each: int, drawn: random.Random
) -> tuple[list[Question], list[Question]]:
    """Paraphrases that are trained on, and those held out."""
    trained: list[Question] = []
    kept: list[Question] = []
    for one in asked:
        variants = list(rephrase(one))
        chosen = set(drawn.sample(range(len(variants)), min(trained_each, len(variants))))
        for place, variant in enumerate(variants):
            if place in chosen:
                trained.append(replace(variant, split="forget"))
            else:
                kept.append(replace(variant, split="paraphrase"))
    return trained, kept


def _refuse_trained(sets: ForgetSets) -> None:
    """Held-out forms must not be trained on word by word. That they hold the question's words is their nature."""
    trained = {one.id: one.prompt for one in sets.forget_texts}
    for name, questions in (("paraphrase", sets.paraphrase), ("adversarial", sets.adversarial)):
        shared = same_texts({one.id: one.question for one in questions}, trained)
        refuse(
            shared,
            left=name,
            right="training",
            mend="Give forms that differ from the questions, and facts that differ.",
        )
