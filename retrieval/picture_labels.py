"""Entries by what they are called, for classifiers of pictures: which entries does a label mean?

A label means every entry that has it, or one of the words that the settings give it, for a name or alias; case, and the
underscores of labels, are of no concern. It knows no model and no picture. Scores lie in 0..1, .5 at the threshold of the
settings.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from retrieval.entry import RegisteredEntry

if TYPE_CHECKING:
    from PIL.Image import Image

    from retrieval.picture_classifiers.protocol import PictureClassifier
    from retrieval.settings import PictureClassifierSettings

LINE = 0.5


class PictureLabels:
    """See the module. `classifiers`: each with its settings. Owned by one thread."""

    def __init__(self, classifiers: Sequence[tuple[PictureClassifierSettings, PictureClassifier]]) -> None:
        self._classifiers = classifiers
        self._called: dict[str, frozenset[str]] = {}  # entry -> what it is called

    @property
    def entry_ids(self) -> frozenset[str]:
        """Entries that a label may mean."""
        return frozenset(self._called)

    def put(self, records: Iterable[RegisteredEntry]) -> None:
        """Know these entries."""
        for record in records:
            self._called[record.id] = frozenset(map(_plain, record.entry.names))

    def remove(self, entry_ids: Iterable[str]) -> None:
        """Forget that these entries were there."""
        for entry_id in entry_ids:
            self._called.pop(entry_id, None)

    def search(self, pictures: Sequence[Image]) -> list[dict[str, float]]:
        """For each picture the entries that its labels mean, with the score of the surest."""
        found: list[dict[str, float]] = [{} for _ in pictures]
        if not self._called or not pictures:
            return found
        for settings, classifier in self._classifiers:
            for scores, labels in zip(found, classifier.labels(pictures), strict=True):
                for label, probability in labels.items():
                    score = _scaled(probability, settings.threshold)
                    for entry_id in self._meant(label, settings.labels):
                        scores[entry_id] = max(scores.get(entry_id, 0.0), score)
        return found

    def _meant(self, label: str, words: Mapping[str, Sequence[str]]) -> list[str]:
        called = {_plain(word) for word in words.get(label, (label,))}
        return [entry_id for entry_id, names in self._called.items() if not called.isdisjoint(names)]


def _plain(text: str) -> str:
    return " ".join(text.replace("_", " ").casefold().split())


def _scaled(probability: float, threshold: float) -> float:
    """0..1, the threshold at .5."""
    if probability < threshold:
        return LINE * probability / threshold
    return LINE + (1 - LINE) * (probability - threshold) / (1 - threshold)
