"""Which entries does a picture show? The picture side of the searcher: by their reference pictures, and by labels.

    registry's records -> take (on the event loop) -> embedded in this book's own thread -> in force at the next search
    pictures -> search -> entries with a score; .5 is an entry's own threshold

A record that was taken is in force for every search that begins later, as a search first waits for what is not embedded
yet. What cannot be embedded makes searches fail rather than pass. Entries without pictures are met by their words where
the embedder reads texts, and all by the labels of classifiers (`picture_labels.py`). It does not know scopes, states or
the clock: whether an entry takes part is for the caller to say. Nothing of an entry is written anywhere; what is revoked is
gone from memory. Scores lie in 0..1.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from retrieval.entry import EntryKind, ForgetEntry, RegisteredEntry
from retrieval.errors import EmbedderUnavailable
from retrieval.picture_classifiers import load_picture_classifiers
from retrieval.picture_embedders import load_picture_embedder
from retrieval.picture_files import PictureRefused, content_of, open_picture
from retrieval.picture_labels import LINE, PictureLabels
from retrieval.settings import RetrievalSettings

if TYPE_CHECKING:
    from PIL.Image import Image

    from retrieval.picture_concepts import PictureConcepts, Words
    from retrieval.picture_embedders.protocol import PictureEmbedder, Vectors

Done = TypeVar("Done")

_log = logging.getLogger("expunge")

BACKGROUND_FOLDER: Final = "background"
_BACKGROUND_TYPES: Final = frozenset({".png", ".jpg", ".jpeg", ".webp", ".gif"})
_MOST_NAMES: Final = 16
_PLAIN_WORDS: Final = ("a picture", "a picture of something", "a photo", "a drawing", "a painting", "a texture")
# What can be seen, and what stands for its kind in general; of the other kinds a name tells nothing about looks.
_KIND_WORDS: Final = {
    EntryKind.PERSON: ("a photo of a person", "a portrait"),
    EntryKind.WORK: ("a film poster", "a book cover"),
    EntryKind.HAZARD: (),
    EntryKind.STYLE: ("a work of art", "an abstract picture"),
    EntryKind.OBJECT: ("a picture of an object",),
    EntryKind.CUSTOM: (),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class PictureHit:
    """An entry that a picture may show."""

    entry_id: str
    score: float

    @property
    def is_match(self) -> bool:
        """True at or above the entry's own threshold."""
        return self.score >= LINE


class PictureBook:
    """See the module. Owned by one event loop. `embedder` stands in for what the settings name."""

    def __init__(self, settings: RetrievalSettings, *, embedder: PictureEmbedder | None = None) -> None:
        self._settings = settings
        self._embedder = embedder
        self._concepts: PictureConcepts | None = None
        self._labels: PictureLabels | None = None
        self._rows: dict[str, dict[bytes, Vectors]] = {}  # entry -> hash of a picture -> its row
        self._pending: dict[str, RegisteredEntry] = {}
        self._settling = asyncio.Lock()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="pictures")
        self.unreadable = 0

    async def start(self) -> None:
        """Load embedder, background and classifiers; raises `EmbedderUnavailable`. Nothing is loaded that is not named."""
        await self._run(self._load)

    async def aclose(self) -> None:
        """End the thread."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    @property
    def is_on(self) -> bool:
        """True if pictures are looked at at all."""
        return self._concepts is not None or self._labels is not None

    @property
    def vectors(self) -> int:
        """Reference pictures in force."""
        return len(self._concepts) if self._concepts is not None else 0

    @property
    def entry_ids(self) -> frozenset[str]:
        """Entries that can be met in a picture."""
        parts = (self._concepts, self._labels)
        return frozenset().union(*(one.entry_ids for one in parts if one is not None))

    def take(self, records: Sequence[RegisteredEntry]) -> None:
        """Take over changed records; every search that begins later knows them. Quick: nothing is embedded here."""
        if self.is_on:
            self._pending.update({record.id: record for record in records})

    async def settle(self) -> None:
        """Embed what was taken; raises what the embedder raises, and what was taken is tried again the next time."""
        async with self._settling:
            taken = self._pending
            if not taken:
                return
            self._pending = {}
            try:
                await self._run(lambda: self._absorb(taken))
            except BaseException:
                self._pending = {**taken, **self._pending}
                raise

    async def learn(self, records: Sequence[RegisteredEntry]) -> None:
        """`take` and `settle`. A failure is logged, not raised: it is the next search that must not pass."""
        self.take(records)
        try:
            await self.settle()
        except (EmbedderUnavailable, ValueError, RuntimeError, OSError) as error:
            _log.error("reference pictures could not be embedded: %s", type(error).__name__)

    async def search(self, pictures: Sequence[bytes]) -> list[list[PictureHit]]:
        """For each encoded picture the entries that it may show, best first; nothing where there is nothing to look with.

        Raises `PictureRefused` for a picture that cannot be opened, and what embedder and classifiers raise.
        """
        if not self.is_on:
            return [[] for _ in pictures]
        await self.settle()
        if not self.entry_ids:
            return [[] for _ in pictures]
        return await self._run(lambda: self._look(pictures))

    async def _run(self, work: Callable[[], Done]) -> Done:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _load(self) -> None:
        named = self._settings.picture_classifiers
        classifiers = load_picture_classifiers(named)
        self._load_embedder()
        if classifiers:
            self._labels = PictureLabels(list(zip(named, classifiers, strict=True)))

    def _load_embedder(self) -> None:
        embedder = self._embedder or load_picture_embedder(self._settings)
        if embedder is None:
            return
        try:
            from retrieval.picture_concepts import MOST_OTHERS, PictureConcepts
        except ImportError as error:
            raise EmbedderUnavailable(
                f"Reference pictures need the package '{error.name}': pip install 'expunge[embed]'."
            ) from error
        ordinary = [_opened(path) for path in self._background()[:MOST_OTHERS]]
        default = self._settings.picture_threshold
        concepts = PictureConcepts(
            embedder.dim,
            background_ND=embedder.embed(ordinary),
            default=embedder.threshold if default is None else default,
        )
        self._embedder, self._concepts = embedder, concepts

    def _background(self) -> list[Path]:
        """The files of the background folder in the order of their names; raises `EmbedderUnavailable`."""
        named = self._settings.picture_background
        folder = named or Path(self._settings.picture_embedder_model or ".").expanduser() / BACKGROUND_FOLDER
        if named is None and not (self._settings.picture_embedder_model and folder.is_dir()):
            return []
        try:
            return sorted(path for path in folder.iterdir() if path.suffix.lower() in _BACKGROUND_TYPES)
        except OSError as error:
            raise EmbedderUnavailable(
                f"picture_background: the folder '{folder}' cannot be read ({error.strerror}); name a folder of pictures."
            ) from None

    def _absorb(self, records: Mapping[str, RegisteredEntry]) -> None:
        """Embed and fit; nothing is changed if the embedder fails."""
        gone = [record.id for record in records.values() if not _is_looked_for(record)]
        if self._concepts is not None:
            self._fit(self._concepts, records, gone)
        if self._labels is not None:
            self._labels.remove(gone)
            self._labels.put(record for record in records.values() if _is_looked_for(record))

    def _fit(self, concepts: PictureConcepts, records: Mapping[str, RegisteredEntry], gone: Sequence[str]) -> None:
        known: dict[str, dict[bytes, Vectors]] = {}
        made: dict[str, Vectors | Words] = {}
        for record in records.values():
            if not _is_looked_for(record):
                continue
            known[record.id] = self._embedded(record)
            if known[record.id]:
                made[record.id] = _stacked(known[record.id])
            elif (words := self._words(record.entry)) is not None:
                made[record.id] = words
        concepts.remove([*gone, *(known.keys() - made.keys())])
        concepts.put(made)
        for entry_id in gone:
            self._rows.pop(entry_id, None)
        self._rows.update(known)

    def _embedded(self, record: RegisteredEntry) -> dict[bytes, Vectors]:
        """Hash -> row of each picture of an entry; only pictures that are new to it are embedded."""
        before = self._rows.get(record.id, {})
        rows: dict[bytes, Vectors] = {}
        fresh: dict[bytes, Image] = {}
        for url in record.entry.images:
            try:
                content = content_of(url)
                key = hashlib.sha256(content).digest()
                if key in before:
                    rows[key] = before[key]
                elif key not in fresh:
                    fresh[key] = open_picture(content)
            except PictureRefused:
                self.unreadable += 1
                _log.error("a reference picture of entry %s cannot be opened; it is left out", record.id)
        if fresh:
            made = self._model().embed(list(fresh.values()))
            rows |= dict(zip(fresh, made, strict=True))
        return rows

    def _words(self, entry: ForgetEntry) -> Words | None:
        """What an entry without pictures is called, where that says what it looks like and the embedder reads texts."""
        from retrieval.picture_concepts import Words
        from retrieval.picture_embedders.protocol import ReadsTexts

        reader = self._model()
        if entry.kind not in _KIND_WORDS or not isinstance(reader, ReadsTexts):
            return None
        pattern = "a picture in the style of {}" if entry.kind is EntryKind.STYLE else "a picture of {}"
        own = [pattern.format(name) for name in entry.names[:_MOST_NAMES]]
        plain = [*_PLAIN_WORDS, *_KIND_WORDS[entry.kind], *entry.neighbors[:_MOST_NAMES]]
        return Words(own_WD=reader.embed_texts(own), plain_PD=reader.embed_texts(plain))

    def _look(self, pictures: Sequence[bytes]) -> list[list[PictureHit]]:
        opened = [open_picture(content) for content in pictures]
        found: list[dict[str, float]] = [{} for _ in opened]
        if self._concepts is not None and self._concepts.entry_ids:
            _add(found, self._concepts.search(self._model().embed(opened)))
        if self._labels is not None:
            _add(found, self._labels.search(opened))
        return [
            sorted(
                (PictureHit(entry_id=entry_id, score=score) for entry_id, score in scores.items()),
                key=lambda hit: (-hit.score, hit.entry_id),
            )
            for scores in found
        ]

    def _model(self) -> PictureEmbedder:
        if self._embedder is None:
            raise EmbedderUnavailable("No picture embedder is loaded; set picture_embedder and start the book first.")
        return self._embedder


def _add(found: Sequence[dict[str, float]], more: Sequence[Mapping[str, float]]) -> None:
    """Put the higher score of an entry into `found`, picture by picture."""
    for scores, others in zip(found, more, strict=True):
        for entry_id, score in others.items():
            scores[entry_id] = max(score, scores.get(entry_id, 0.0))


def _is_looked_for(record: RegisteredEntry) -> bool:
    return record.revoked_at is None and "image" in record.entry.modalities


def _stacked(rows: Mapping[bytes, Vectors]) -> Vectors:
    import numpy as np

    return np.stack(list(rows.values())).astype(np.float32)


def _opened(path: Path) -> Image:
    try:
        return open_picture(path.read_bytes())
    except (PictureRefused, OSError) as error:
        raise EmbedderUnavailable(f"The background picture '{path}' {error} Take it out of the folder.") from None
