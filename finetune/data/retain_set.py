"""What a model must keep: texts of the operator's own, or the model's own answers to ordinary prompts.

Texts that name what is to be forgotten, or tell a fact of it, would teach it anew; they are left out and counted. A part is
held out to be asked afterwards and never trained on. It does not know models: one that answers prompts is injected.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from pathlib import Path

from finetune.data.leakage import mentions, near_texts, refuse, refuse_empty
from finetune.data.qa import Question
from finetune.data.rows import READABLE, Row, rows_of
from finetune.data.training_text import TrainingText
from finetune.errors import InvalidData
from retrieval.entry import ForgetEntry

_FEWEST_WORDS = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class RetainSet:
    """Texts to keep, where they come from, and how many were left out: those that name or tell what is to be
    forgotten, stand twice or say nothing. `telling` are those of them that tell a fact without a name: such a text may
    be what is to be forgotten itself, which is refused and not only left out."""

    texts: tuple[TrainingText, ...]
    source: str
    left_out: int = 0
    telling: tuple[TrainingText, ...] = ()


def telling_answers(entries: Iterable[ForgetEntry]) -> list[str]:
    """The answers of the entries' facts that no text to keep may hold: those of three words and more."""
    answers = (fact.answer for entry in entries for fact in entry.facts)
    return [answer for answer in answers if len(answer.split()) >= _FEWEST_WORDS]


@cache
def ordinary_prompts() -> tuple[str, ...]:
    """The shipped prompts about everyday things, each once."""
    text = (files("finetune.data") / "ordinary_prompts.txt").read_text(encoding="utf-8")
    return tuple(line for line in text.splitlines() if line.strip())


def corpus_retain(path: Path, *, names: Iterable[str] = (), answers: Iterable[str] = ()) -> RetainSet:
    """The texts of a file or of all readable files in a folder: rows with `text`, `prompt` and `text`, or `question` and
    `answer`; a `.txt` file is one text. Raises `InvalidData` if nothing is left."""
    if not path.exists():
        raise InvalidData(f"{path} does not exist; name a file or a folder with {', '.join(READABLE)} files.")
    paths = sorted(one for one in path.rglob("*") if one.suffix in READABLE) if path.is_dir() else [path]
    # Files in different folders may have one name, but ids must differ: texts are looked up by them.
    named = {one: (one.relative_to(path).as_posix() if path.is_dir() else one.name) for one in paths}
    texts = [
        _text(row, f"{name}:{number}")
        for one, name in named.items()
        for number, row in enumerate(rows_of(one), start=1)
    ]
    return _kept(texts, names, answers, source=f"corpus {path.name}")


def generated_retain(
    generate: Callable[[Sequence[str]], Sequence[str]],
    *,
    count: int,
    seed: int,
    names: Iterable[str] = (),
    answers: Iterable[str] = (),
) -> RetainSet:
    """The model's own answers to `count` of the shipped prompts. Empty answers are left out too."""
    prompts = ordinary_prompts()
    if not 0 < count <= len(prompts):
        raise InvalidData(
            f"{count} retain texts were asked for; the shipped prompts give 1 to {len(prompts)}, or give a corpus."
        )
    places = sorted(random.Random(seed).sample(range(len(prompts)), count))
    chosen = [prompts[place] for place in places]
    said = generate(chosen)
    if len(said) != count:
        raise InvalidData(f"The model gave {len(said)} answers to {count} prompts; it must give one for each.")
    texts = [
        TrainingText(id=f"ordinary-{place}", prompt=prompt, text=answer.strip())
        for place, prompt, answer in zip(places, chosen, said, strict=True)
        if len(answer.split()) >= _FEWEST_WORDS
    ]
    kept = _kept(texts, names, answers, source="the model's own answers to ordinary prompts")
    return replace(kept, left_out=count - len(kept.texts), telling=())  # nobody gave these


def held_out(retain: RetainSet, *, share: float, seed: int) -> tuple[list[TrainingText], list[Question]]:
    """Texts to train on, and a seeded share of them as questions instead: at least one of each.

    Of a text without a prompt the first half is given and the second asked for. Raises `InvalidData` for fewer than two
    texts, and where a held-out text is trained on under another id.
    """
    if not 0 < share < 1 or len(retain.texts) < 2:
        raise InvalidData(
            f"A share of {share} of {len(retain.texts)} retain texts cannot be held out; give at least two texts."
        )
    count = min(max(1, round(share * len(retain.texts))), len(retain.texts) - 1)
    chosen = set(random.Random(seed).sample(range(len(retain.texts)), count))
    training = [one for place, one in enumerate(retain.texts) if place not in chosen]
    asked = [one for place, one in enumerate(retain.texts) if place in chosen]
    shared = near_texts({one.id: one.whole for one in asked}, {one.id: one.whole for one in training})
    refuse(shared, left="held-out retain", right="training retain", mend="Remove duplicates from the corpus.")
    return training, [question for one in asked if (question := _question(one)) is not None]


def _text(row: Row, name: str) -> TrainingText:
    if "question" in row.value:
        return TrainingText(id=name, prompt=row.text("question"), text=row.text("answer"))
    return TrainingText(id=name, prompt=row.optional_text("prompt") or "", text=row.text("text"))


def _kept(texts: Sequence[TrainingText], names: Iterable[str], answers: Iterable[str], *, source: str) -> RetainSet:
    """Each text once, without those that hold one of the names or answers."""
    once: dict[tuple[str, str], TrainingText] = {}
    for one in texts:
        once.setdefault((one.prompt, one.text), one)
    naming = set(mentions({one.id: one.whole for one in once.values()}, names))
    nameless = [one for one in once.values() if one.id not in naming]
    found = set(mentions({one.id: one.whole for one in nameless}, answers))
    kept = tuple(one for one in nameless if one.id not in found)
    telling = tuple(one for one in nameless if one.id in found)
    refuse_empty(retain=kept or telling)
    return RetainSet(texts=kept, source=source, left_out=len(texts) - len(kept), telling=telling)


def _question(text: TrainingText) -> Question | None:
    if text.prompt:
        return Question(id=text.id, question=text.prompt, answer=text.text, split="retain", entry=text.entry)
    words = text.text.split()
    if len(words) < 2 * _FEWEST_WORDS:
        return None
    middle = len(words) // 2
    return Question(
        id=text.id,
        question=f"Continue this text:\n\n{' '.join(words[:middle])}",
        answer=" ".join(words[middle:]),
        split="retain",
        group="continuation",
    )
