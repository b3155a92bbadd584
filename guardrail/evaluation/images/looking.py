"""Looks at everything that was drawn: what each picture shows, its features, whether it is the untreated one to the bit.

It opens pictures in small batches and keeps none. Shapes: N pictures, D features.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from guardrail.errors import EvaluationFailed
from guardrail.evaluation.detection import Progress
from guardrail.evaluation.images.drawing import Ask
from guardrail.evaluation.images.judges import PictureJudge, Seen
from guardrail.evaluation.images.work_folder import WorkFolder

if TYPE_CHECKING:
    from PIL.Image import Image

    from guardrail.evaluation.images.quality import Rows
    from retrieval.picture_embedders.protocol import PictureEmbedder

_BATCH = 64


@dataclass(frozen=True, kw_only=True, slots=True)
class Judged:
    """One picture. `seen` is None where it was refused or nobody looked; `features` [D]; `words`: cosine to its prompt."""

    ask: Ask
    seconds: float
    sha256: str | None
    seen: Mapping[str, Seen] | None = None
    features: Rows | None = None
    words: float | None = None

    @property
    def is_refused(self) -> bool:
        """There is no picture."""
        return self.sha256 is None


@dataclass(frozen=True, kw_only=True, slots=True)
class Onlookers:
    """Who looks. `embedder` gives the features instead of the judge, and is who reads prompts."""

    judge: PictureJudge | None = None
    embedder: PictureEmbedder | None = None

    @property
    def sees_features(self) -> bool:
        """Whether sets of pictures can be compared."""
        return self.judge is not None or self.embedder is not None


def judged(
    asked: Sequence[Ask], condition: str, folder: WorkFolder, who: Onlookers, *, stage: str, progress: Progress
) -> list[Judged]:
    """The pictures of a condition in the order in which they were asked."""
    drawn = folder.drawn(condition)
    found = list[Judged]()
    for first in range(0, len(asked), _BATCH):
        batch = asked[first : first + _BATCH]
        there = [one for one in batch if drawn[one.name].sha256 is not None]
        looked = dict(_looked(there, condition, folder, who))
        for ask in batch:
            one = drawn[ask.name]
            blank = Judged(ask=ask, seconds=one.seconds, sha256=one.sha256)
            found.append(blank if one.sha256 is None else _with(blank, looked[ask.name]))
        progress(f"Judging: {stage}", len(found), len(asked))
    return found


_Look = tuple[Mapping[str, Seen] | None, "Rows | None", float | None]


def _with(blank: Judged, look: _Look) -> Judged:
    return Judged(
        ask=blank.ask, seconds=blank.seconds, sha256=blank.sha256, seen=look[0], features=look[1], words=look[2]
    )


def _looked(asked: Sequence[Ask], condition: str, folder: WorkFolder, who: Onlookers) -> Iterator[tuple[str, _Look]]:
    from retrieval.picture_embedders.protocol import ReadsTexts

    if not asked or not who.sees_features:
        yield from ((one.name, (None, None, None)) for one in asked)
        return
    pictures = [_opened(condition, one, folder) for one in asked]
    told = who.judge.look(pictures) if who.judge else None
    rows = who.embedder.embed(pictures) if who.embedder else told.features if told else None
    reader = who.embedder if who.embedder else getattr(who.judge, "embedder", None)
    words = reader.embed_texts([one.prompt.text for one in asked]) if isinstance(reader, ReadsTexts) else None
    for place, one in enumerate(asked):
        row = rows[place] if rows is not None else None
        near = float(row @ words[place]) if row is not None and words is not None else None
        yield one.name, (told.seen[place] if told else None, row, near)


def _opened(condition: str, ask: Ask, folder: WorkFolder) -> Image:
    from retrieval.picture_files import PictureRefused, open_picture

    try:
        return open_picture(folder.content(condition, ask.name))
    except PictureRefused as error:
        raise EvaluationFailed(f"A picture of the prompt '{ask.prompt.id}' {error}") from None
