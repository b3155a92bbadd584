"""Refuses data sets that share what they must not share, before any work is done with them.

Texts are compared by their folded words: the same words are the same text, whatever case, accents and marks. Two texts
are near duplicates if their word trigrams overlap by `NEAR` (Jaccard); a text is contained in another if the other
holds `CONTAINED` of its trigrams. Forms that are made from a question hold its words by nature, so paraphrases and
attacks must only not be the same as what is trained on. Questions of the splits forget and retain are meant to be
trained on, and are not looked at. Errors give ids and counts, never texts.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from finetune.data.qa import Question
from finetune.data.training_text import TrainingText
from finetune.errors import InvalidData
from retrieval.text.views import normalise

NEAR = 0.9
CONTAINED = 0.8

_FEWEST_GRAMS = 4
"""A shorter text lies in many others by chance; it is compared as a whole only."""
_SHOWN = 5

Gram = tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Overlap:
    """Two ids whose texts share too much."""

    left: str
    right: str
    kind: Literal["same", "near", "contained"]


def same_texts(left: Mapping[str, str], right: Mapping[str, str]) -> list[Overlap]:
    """Pairs of ids whose texts have the same folded words. Texts without words are left out."""
    known: dict[Gram, str] = {}
    for key, text in right.items():
        known.setdefault(normalise(text).words, key)
    found = []
    for key, text in left.items():
        words = normalise(text).words
        if words and words in known:
            found.append(Overlap(left=key, right=known[words], kind="same"))
    return found


def near_texts(left: Mapping[str, str], right: Mapping[str, str], *, share: float = NEAR) -> list[Overlap]:
    """The same, and for every other id of `left` the first id of `right` that is a near duplicate."""
    return _overlaps(left, right, "near", lambda own, other, shared: shared >= share * (own + other - shared))


def contained_texts(inner: Mapping[str, str], outer: Mapping[str, str], *, share: float = CONTAINED) -> list[Overlap]:
    """The same, and for every other id of `inner` the first id of `outer` that holds most of it."""
    return _overlaps(inner, outer, "contained", lambda own, _, shared: shared >= share * own)


def _overlaps(
    left: Mapping[str, str],
    right: Mapping[str, str],
    kind: Literal["near", "contained"],
    is_enough: Callable[[int, int, int], bool],
) -> list[Overlap]:
    """`is_enough` is told how many trigrams the text of `left` has, how many that of `right`, and how many they share."""
    found = same_texts(left, right)
    same = {one.left for one in found}
    index = _Index(right)
    for key in (key for key in left if key not in same):
        grams = _grams(left[key])
        for other, shared in index.shared(grams).items():
            if len(grams) >= _FEWEST_GRAMS and is_enough(len(grams), index.sizes[other], shared):
                found.append(Overlap(left=key, right=other, kind=kind))
                break
    return found


def mentions(texts: Mapping[str, str], names: Iterable[str]) -> list[str]:
    """Ids of texts that hold one of the names, word by word."""
    wanted = {words for name in names if (words := normalise(name).words)}
    lengths = sorted({len(words) for words in wanted})
    found = []
    for key, text in texts.items():
        words = normalise(text).words
        runs = (words[start : start + length] for length in lengths for start in range(len(words) - length + 1))
        if any(run in wanted for run in runs):
            found.append(key)
    return found


def check_run(forget: Sequence[TrainingText], retain: Sequence[TrainingText], questions: Iterable[Question]) -> None:
    """What must hold before a run: nothing to forget is kept, and no held-out question is trained on.

    Raises `InvalidData` for an empty forget set too; an empty retain set is the caller's to judge, as methods differ.
    """
    refuse_empty(forget=forget)
    forgotten, kept = {one.id: one.whole for one in forget}, {one.id: one.whole for one in retain}
    mend = "Take these texts out of the retain set: they would be learnt and forgotten at once."
    refuse(contained_texts(forgotten, kept), left="forget", right="retain", mend=mend)
    asked = {one.id: one.prompt for one in forget if one.prompt}
    told = {one.id: one.prompt for one in retain if one.prompt}
    refuse(near_texts(asked, told), left="forget", right="retain", mend=mend)
    made: dict[str, str] = {}
    others: dict[str, str] = {}
    for one in questions:
        if one.split in ("paraphrase", "adversarial"):
            made[one.id] = one.question
        elif one.split in ("neighbor", "utility"):
            others[one.id] = one.question
    mend = "Hold these questions out of training, or they show nothing."
    refuse(same_texts(made, {**asked, **told}), left="held-out", right="training", mend=mend)
    refuse(near_texts(others, {**asked, **told}), left="held-out", right="training", mend=mend)


def refuse_empty(**sets: Sequence[object]) -> None:
    """Raises `InvalidData` naming the sets that hold nothing."""
    empty = [name for name, items in sets.items() if not items]
    if empty:
        raise InvalidData(f"Nothing is in the {' and the '.join(empty)} set; give texts, or leave out what needs them.")


def refuse(overlaps: Sequence[Overlap], *, left: str, right: str, mend: str) -> None:
    """Raises `InvalidData` if there is any overlap, with how many, some ids, and how to mend it."""
    if not overlaps:
        return
    kinds = Counter(one.kind for one in overlaps)
    counted = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
    shown = ", ".join(f"{one.left} ~ {one.right}" for one in overlaps[:_SHOWN])
    more = f" and {len(overlaps) - _SHOWN} more" if len(overlaps) > _SHOWN else ""
    raise InvalidData(f"The {left} set overlaps with the {right} set ({counted}): {shown}{more}. {mend}")


class _Index:
    """Trigrams of texts, so that only texts that share one are compared."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self._holders: defaultdict[Gram, list[str]] = defaultdict(list)
        self.sizes: dict[str, int] = {}
        for key, text in texts.items():
            grams = _grams(text)
            self.sizes[key] = len(grams)
            for gram in grams:
                self._holders[gram].append(key)

    def shared(self, grams: Iterable[Gram]) -> Counter[str]:
        """How many of the trigrams each text holds, in order of appearance."""
        return Counter(key for gram in sorted(grams) for key in self._holders.get(gram, ()))


def _grams(text: str) -> set[Gram]:
    words = normalise(text).words
    return {words[start : start + 3] for start in range(len(words) - 2)}
