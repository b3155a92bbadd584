"""What entries look like: their reference pictures' vectors in an index of their own, and a fitted `Likeness` for each.

Entries known by nearness are found by FAISS, those known by a direction by one product over all directions; so every
entry is looked for, whatever others have registered. An entry is fitted when it comes, and again once there are twice as
many other pictures to hold it against. It does not know files, models or the registry, and is owned by one thread.
Shapes: R references, N others, Q queries, D dimensions; rows have length 1.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from retrieval.indexes import INDEXES
from retrieval.indexes.protocol import IndexRows
from retrieval.picture_likeness import Likeness, against_words, words_threshold

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Rows = NDArray[np.float32]

MOST_OTHERS: Final = 512
"""An entry is held against so many other pictures at most: more cost time and hardly move the threshold."""

_WORDS_LEAST: Final = 0.02
"""A picture must be nearer to the entry's words than to plain ones by so much: e^2 to 1 at CLIP's temperature of 100.
Not tried on a trained CLIP."""
_WORDS_MOST: Final = 0.06
_WORDS_USUAL: Final = 0.02


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Words:
    """An entry without pictures, as an embedder of texts and pictures sees its words [W, D] and plain ones [P, D]."""

    own_WD: Rows
    plain_PD: Rows


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Fitted:
    """How an entry is met, and how many other pictures it was held against."""

    likeness: Likeness
    others: int


class PictureConcepts:
    """See the module. `background_ND`: ordinary pictures. `default`: the cosine where nothing can be measured."""

    def __init__(self, dim: int, *, background_ND: Rows, default: float) -> None:
        self._dim, self._default = dim, default
        self._background_ND = background_ND[:MOST_OTHERS]
        self._index = INDEXES["faiss-flat"]()(dim)
        self._rows: dict[str, Rows] = {}
        self._fitted: dict[str, _Fitted] = {}
        self._words: dict[str, Words] = {}

    def __len__(self) -> int:
        return sum(map(len, self._rows.values()))

    @property
    def entry_ids(self) -> frozenset[str]:
        """Entries that can be met."""
        return frozenset(self._rows) | frozenset(self._words)

    def put(self, entries: Mapping[str, Rows | Words]) -> None:
        """Entries' reference pictures [R, D], or words, in place of what they had."""
        self.remove(entries)
        for entry_id, known in entries.items():
            if isinstance(known, Words):
                self._words[entry_id] = known
            elif len(known):
                self._rows[entry_id] = known
        self._fit()

    def remove(self, entry_ids: Collection[str]) -> None:
        """Entries that are not there are no error."""
        for entry_id in entry_ids:
            self._rows.pop(entry_id, None)
            self._fitted.pop(entry_id, None)
            self._words.pop(entry_id, None)
        self._index.remove(entry_ids)

    def search(self, queries_QD: Rows) -> list[dict[str, float]]:
        """For each query the entries that may show in it, with a score in 0..1; `LINE` is an entry's threshold. Entries
        known by nearness are left out below it."""
        found: list[dict[str, float]] = [{} for _ in queries_QD]
        if not len(queries_QD):
            return found
        near = {key: one.likeness for key, one in self._fitted.items() if one.likeness.reading == "nearest"}
        if near:
            least = min(likeness.threshold for likeness in near.values())
            for hits, query in zip(self._index.above(queries_QD, least), found, strict=True):
                query.update({hit.entry_id: float(near[hit.entry_id].score_of(hit.score)) for hit in hits})
        for entry_id, scores_Q in [*self._by_direction(queries_QD), *self._by_words(queries_QD)]:
            for query, score in zip(found, scores_Q.tolist(), strict=True):
                query[entry_id] = score
        return found

    def _by_direction(self, queries_QD: Rows) -> list[tuple[str, Floats]]:
        known = [(key, one.likeness) for key, one in self._fitted.items() if one.likeness.reading == "contrast"]
        if not known:
            return []
        raw_QE = queries_QD @ np.concatenate([likeness.rows_KD for _, likeness in known]).T
        return [(key, one.score_of(raw_QE[:, place] + one.bias)) for place, (key, one) in enumerate(known)]

    def _by_words(self, queries_QD: Rows) -> list[tuple[str, Floats]]:
        found: list[tuple[str, Floats]] = []
        for entry_id, words in self._words.items():
            background_N = against_words(self._background_ND, words.own_WD, words.plain_PD)
            threshold = words_threshold(background_N, least=_WORDS_LEAST, most=_WORDS_MOST)
            steps = (against_words(queries_QD, words.own_WD, words.plain_PD) - threshold) / _WORDS_USUAL
            found.append((entry_id, 1.0 / (1.0 + np.exp(-np.clip(steps * np.log(9.0), -60.0, 60.0)))))
        return found

    def _fit(self) -> None:
        total = len(self._background_ND) + len(self)
        for entry_id, rows in self._rows.items():
            others = min(total - len(rows), MOST_OTHERS)
            fitted = self._fitted.get(entry_id)
            if fitted is not None and others < 2 * max(fitted.others, 1):
                continue
            likeness = Likeness.fit(rows, self._others(entry_id), default=self._default)
            self._fitted[entry_id] = _Fitted(likeness=likeness, others=others)
            if likeness.reading == "nearest":
                kinds = ("reference",) * len(likeness.rows_KD)
                self._index.put([IndexRows(entry_id=entry_id, kinds=kinds, vectors=likeness.rows_KD)])
            else:
                self._index.remove([entry_id])

    def _others(self, entry_id: str) -> Rows:
        """Ordinary pictures first, then an even choice of other entries' pictures."""
        parts = [np.empty((0, self._dim), dtype=np.float32), *(r for key, r in self._rows.items() if key != entry_id)]
        others_ND = np.concatenate(parts)
        room = MOST_OTHERS - len(self._background_ND)
        if len(others_ND) > room:
            others_ND = others_ND[np.linspace(0, len(others_ND) - 1, room).astype(np.int64)] if room else others_ND[:0]
        return np.concatenate([self._background_ND, others_ND])
