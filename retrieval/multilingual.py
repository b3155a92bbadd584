"""Nearness for texts that are not in the default embedder's language: candidates across languages.

    text -> not English? (retrieval.text.language) -> multilingual embedder, as a question -> entries, best first

An embedder of this family gives every pair of texts a cosine of .7 and more, so question and rows are moved to the mean
of a background of passages that tell of no entry; centred, what has nothing to do with an entry lies near .3. An entry's
score weighs its best row, its second best and its name:

    score = (best + second / 4 + name / 4) / 1.5

A score finds, it does not decide: neighbours of an entry score like the entry (see `MATCH_SCORE`), a judge must look. The
tier does not know phrases, requests or the registry; rows are kept by whoever calls `encode`, and come back by `put`.
Everything here is for threads. Shapes: N rows, D dimensions.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from retrieval.text.language import is_english

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from retrieval.embedders.protocol import TwoSidedEmbedder, Vectors
    from retrieval.indexes.protocol import Found

TEXTS_LIMIT = 24
"""Most rows of an entry: a text costs tens of milliseconds, and little is gained. By cosine alone the first 12 sentences of
a page brought the right one of 100 people up first in 94.7 % of 419 questions, 24 sentences in 95.2 %."""

MATCH_SCORE = 0.45
"""What a score must be where no judge reads the language. Of 419 Spanish, French, German and Portuguese questions about 100
people 96 % reach it, of 100 in German, Russian, Chinese, Hindi, Arabic and Japanese 54 % (without the name 48 %); of 34
about other people 26 %, of 33 ordinary ones none."""

CANDIDATE_SCORE = 0.40
"""What a score must be for a judge to be asked. A judge that learnt English is unsure of what it cannot read: an early one
took 9 of 33 ordinary questions in other languages for an entry's where it was shown all candidates, and one where only
those above this score, at no loss among 102 questions about people that it had not learnt from (97 % found)."""

_OPENING_CLAIMS = 12  # a page opens with what its subject is known for
_NAME, _CLAIM = "name", "claim"
_SECOND_WEIGHT = 0.25
_NAME_WEIGHT = 0.25
_ROWS_LOOKED_AT = 64  # the entries that own the nearest rows are scored by all of theirs
_SMALLEST = 1e-6

_BACKGROUND = (
    "She was born in a small town and began to sing in the church choir as a child.",
    "He is an American actor who became known for his role in a television series.",
    "The album was released in 2004 and reached number one on the charts.",
    "In 1987 he married an actress; the couple have two children.",
    "The novel was published in 1961 and adapted for the screen ten years later.",
    "He studied law at the university before he entered politics.",
    "She won three gold medals and retired from the sport at the age of thirty.",
    "The company was founded in a garage and is now worth billions of dollars.",
    "The painter moved to Paris, where he met other artists of his time.",
    "The philosopher taught that virtue can be learned by everyone.",
    "He was awarded the prize for best supporting actor.",
    "The band sold more than twenty million records worldwide.",
    "She served as minister of foreign affairs from 1999 to 2003.",
    "The rapper signed a contract with a record label and released a mixtape.",
    "He played twelve seasons as a quarterback and was elected to the hall of fame.",
    "The king conquered the neighbouring lands and founded a dynasty.",
    "He was arrested and sentenced to five years in prison.",
    "She hosts a morning show and writes cookbooks.",
    "The film grossed 300 million dollars and received mixed reviews.",
    "He died of a heart attack at his home; thousands attended the funeral.",
    "Water boils at one hundred degrees Celsius at sea level.",
    "Mix the flour with the eggs and bake the dough for forty minutes.",
    "The function returns a list of numbers sorted in ascending order.",
    "The river flows through four countries before it reaches the sea.",
    "Plants turn light, water and carbon dioxide into sugar and oxygen.",
    "The treaty ended the war and drew new borders.",
    "The museum is open every day except Monday.",
    "Regular exercise lowers the risk of heart disease.",
    "The virus spreads through the air and through contact with surfaces.",
    "A contract is valid once both parties have signed it.",
)


def chosen_texts(name: str, description: str, claims: Sequence[str]) -> list[str]:
    """What of an entry is worth a slow embedding: its name, its description, the first claims, and the rest thinned."""
    texts = [name, description] if description else [name]
    opening, rest = list(claims[:_OPENING_CLAIMS]), claims[_OPENING_CLAIMS:]
    room = TEXTS_LIMIT - len(texts) - len(opening)
    if len(rest) > room:
        rest = [rest[number * len(rest) // room] for number in range(room)]
    return [*texts, *opening, *rest]


class MultilingualTier:
    """See the module. Loading embeds the background, about a second. Rows of an entry: its name first."""

    def __init__(self, embedder: TwoSidedEmbedder) -> None:
        from retrieval.indexes import INDEXES

        self._embedder = embedder
        self._centre_D = embedder.embed(_BACKGROUND).mean(axis=0)
        self._index = INDEXES["faiss-flat"]()(embedder.dim)
        self._lock = threading.Lock()
        self.fingerprint = embedder.fingerprint

    def __len__(self) -> int:
        return len(self._index)

    def reads(self, text: str) -> bool:
        """Is the text one for this tier?"""
        return not is_english(text)

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Rows to be kept and given to `put`; they fit as long as `fingerprint` stays. Slow."""
        return self._embedder.embed(texts)

    def add(self, entry_id: str, texts: Sequence[str]) -> None:
        """`encode` and `put` in one."""
        self.put(entry_id, self.encode(texts))

    def put(self, entry_id: str, rows_ND: Vectors) -> None:
        """Rows in place of those that the entry had. Raises `ValueError` if their shape does not fit."""
        from retrieval.indexes.protocol import IndexRows

        centred_ND = self._centred(rows_ND)
        kinds = tuple(_CLAIM if number else _NAME for number in range(len(rows_ND)))
        with self._lock:
            self._index.put([IndexRows(entry_id=entry_id, kinds=kinds, vectors=centred_ND)])

    def remove(self, entry_ids: Collection[str]) -> None:
        """Entries that have no rows are no error."""
        with self._lock:
            self._index.remove(entry_ids)

    def nearest(self, text: str, *, limit: int = 5, floor: float = CANDIDATE_SCORE) -> list[Found]:
        """The best `limit` entries with a score of at least `floor`; the text's language is not asked again."""
        if not len(self):
            return []
        query_1D = self._centred(self._embedder.embed_queries([text]))
        with self._lock:
            near = self._index.nearest_entries(query_1D, _ROWS_LOOKED_AT)[0]
            scored = [self._weighed(found, query_1D[0]) for found in near]
        candidates = [found for found in scored if found.score >= floor]
        return sorted(candidates, key=lambda found: -found.score)[:limit]

    def _weighed(self, found: Found, query_D: NDArray[np.float32]) -> Found:
        cosines: list[float] = self._index.row_scores(found.entry_id, query_D).tolist()
        name, best = cosines[0], found.score
        second = sorted(cosines)[-2] if len(cosines) > 1 else best
        total = best + _SECOND_WEIGHT * second + _NAME_WEIGHT * name
        return replace(found, score=total / (1.0 + _SECOND_WEIGHT + _NAME_WEIGHT))

    def _centred(self, rows_ND: Vectors) -> Vectors:
        import numpy as np

        moved_ND = np.asarray(rows_ND, dtype=np.float32) - self._centre_D
        lengths_N1 = np.linalg.norm(moved_ND, axis=1, keepdims=True)
        return np.asarray(moved_ND / np.maximum(lengths_N1, _SMALLEST), dtype=np.float32)
