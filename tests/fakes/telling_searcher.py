"""A searcher without a model: a text is near to the entries of whose telling words it holds all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from retrieval.entry import RegisteredEntry
from retrieval.registry import Change
from retrieval.searcher import Near, Searcher
from retrieval.settings import RetrievalSettings
from retrieval.text.views import normalise


class TellingSearcher(Searcher):
    """Names, aliases and facts as in the product; `judged` keeps every text that it had not seen before.

    A text of more than `most_words` words is near to nothing.
    """

    def __init__(
        self, records: Sequence[RegisteredEntry], telling: Mapping[str, str] | None = None, *, most_words: int = 1_000
    ) -> None:
        super().__init__(RetrievalSettings())
        self.apply([Change(seq=number, record=record) for number, record in enumerate(records, 1)], {})
        self._telling = {key: set(normalise(words).words) for key, words in (telling or {}).items()}
        self._most_words = most_words
        self.judged: list[str] = []

    async def nearest(self, texts: Sequence[str]) -> list[list[Near]]:
        """See the module."""
        self.judged += [text for text in dict.fromkeys(texts) if text not in self.judged]
        return [self._near(set(normalise(text).words)) for text in texts]

    def _near(self, words: set[str]) -> list[Near]:
        if len(words) > self._most_words:
            return []
        return [
            Near(entry_id=key, score=0.9, kind="exemplar") for key, telling in self._telling.items() if telling <= words
        ]
