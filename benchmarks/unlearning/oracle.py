"""Can an ordinary caller tell a forgotten author from an invented one? A classifier tries, from what he sees.

Both are asked the same questions. What is seen of an answer: length, whether it declines, how it ends, its first words
(hashed, names masked), tokens counted beyond those of the untreated proxy, finish reason, seconds. A logistic regression
learns from four fifths of the questions and scores the rest, five times; a question and its twin are always on one side.
AUROC 1/2: cannot be told apart. A pair of which one request was refused by its status needs no classifier: it counts as
told apart. The interval is over authors. It knows replies, not treatments.
"""

from __future__ import annotations

import hashlib
import math
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from finetune.evaluation.intervals import middle_95
from finetune.evaluation.judged_model import Floats
from finetune.evaluation.metrics.protocol import Absent, Measured, Outcome
from finetune.evaluation.metrics.refusal_rate import refuses
from finetune.evaluation.metrics.separation import separation
from retrieval.text.views import normalise

FOLDS: Final = 5
SEED: Final = 0
_FEWEST: Final = 10
_FIRST_WORDS: Final = 5
_BUCKETS: Final = 32
_MASK: Final = "somebody"
_TOLD: Final = (2.0, -1.0)
_UNTOLD: Final = (0.5, 0.5)


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """One answer as the caller sees it. `name` is whom he asked about, `added_tokens` what the prompt counts beyond the
    untreated proxy's count."""

    text: str
    name: str
    finish: str
    added_tokens: int
    completion_tokens: int
    seconds: float


def told_apart(
    forgotten: Sequence[Seen | None], invented: Sequence[Seen | None], authors: Sequence[str | None] | None = None
) -> Outcome:
    """The AUROC over pairs: `invented[i]` answers the question of `forgotten[i]`, which is about `authors[i]`. None: the
    request was refused by its status."""
    pairs = len(forgotten)
    if pairs < _FEWEST:
        return Absent(reason=f"{pairs} pairs of questions are too few for a classifier; it takes {_FEWEST}.")
    both = list(zip(forgotten, invented, strict=True))
    whole = [(known, twin) for known, twin in both if known is not None and twin is not None]
    scored = iter(_scores(whole) if len(whole) >= _FEWEST else [_UNTOLD] * len(whole))
    scores = [_refused(known, twin) or next(scored) for known, twin in both]
    groups = authors or [str(pair) for pair in range(pairs)]
    found = separation([own for own, _ in scores], [other for _, other in scores], groups, groups)
    ci95 = None if found.resampled_R is None else middle_95(found.resampled_R)
    return Measured(value=found.auc, n=2 * pairs, ci95=ci95)


def _refused(known: Seen | None, twin: Seen | None) -> tuple[float, float] | None:
    """Scores of a pair that is not whole, beyond those of any classifier where one of the two was refused."""
    if known is not None and twin is not None:
        return None
    return _UNTOLD if known is twin else _TOLD


def _scores(pairs: Sequence[tuple[Seen, Seen]]) -> list[tuple[float, float]]:
    """How much each of a pair looks forgotten to a classifier that learnt from others."""
    from sklearn.linear_model import LogisticRegression

    count = len(pairs)
    features_NF = np.stack([features(one) for one in (*(known for known, _ in pairs), *(twin for _, twin in pairs))])
    known_N = np.repeat([True, False], count)
    order = random.Random(SEED).sample(range(count), count)
    fold_of = {pair: place % FOLDS for place, pair in enumerate(order)}
    folds_N = np.array([fold_of[pair] for pair in (*range(count), *range(count))])
    scores_N = np.zeros(2 * count)
    for fold in range(FOLDS):
        learnt_N = folds_N != fold
        means_F, spread_F = features_NF[learnt_N].mean(axis=0), features_NF[learnt_N].std(axis=0)
        scaled_NF = (features_NF - means_F) / np.where(spread_F > 0, spread_F, 1.0)
        model = LogisticRegression(C=0.1, max_iter=2_000).fit(scaled_NF[learnt_N], known_N[learnt_N])
        scores_N[~learnt_N] = model.predict_proba(scaled_NF[~learnt_N])[:, 1]
    return [(float(scores_N[pair]), float(scores_N[pair + count])) for pair in range(count)]


def features(seen: Seen) -> Floats:
    """[F]: numbers that cost nothing to read off an answer."""
    text = _masked(seen.text, seen.name)
    words = normalise(text).words
    first_B = np.zeros(_BUCKETS)
    for place, word in enumerate(words[:_FIRST_WORDS]):
        first_B[hashlib.sha256(f"{place}/{word}".encode()).digest()[0] % _BUCKETS] += 1.0
    numbers = [
        math.log1p(len(text)),
        math.log1p(len(words)),
        float(refuses(text)),
        float(text.endswith((".", "!", "?", '"'))),
        float(seen.finish == "stop"),
        float(seen.finish == "length"),
        math.log1p(seen.completion_tokens),
        float(seen.added_tokens),
        math.log(max(seen.seconds, 1e-3)),
        float(_MASK in text),
        float(any(char.isdigit() for char in text)),
    ]
    return np.concatenate([np.array(numbers), first_B])


def _masked(text: str, name: str) -> str:
    """Without the name that was asked about, whole or in parts, which would tell the two apart by itself."""
    parts = sorted({name, *name.split()}, key=len, reverse=True)
    return re.sub("|".join(map(re.escape, parts)), _MASK, text) if name else text
