"""What is to be forgotten, ready to be met: phrases and meanings of every entry that is not revoked.

    text -> find_phrases, find_hidden                          (names, aliases, facts; on the event loop)
    texts -> nearest: first tier -> encoder -> candidates -> judge -> entries  (meaning; in threads)

The live snapshot of the registry in this process. `start`, `apply` and both searches belong to one event loop;
`embed_memory` and `embed_documents` are for threads. It does not know requests, policies, scopes or the clock: whether
an entry takes part in a decision is for the caller to say. Scores are the judge's.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from retrieval.entry import ForgetEntry, MemoryEdit, RegisteredEntry
from retrieval.errors import EmbedderUnavailable
from retrieval.memory import MemoryText, core_texts, document_texts, unmistakable_names
from retrieval.pair_finder import Near
from retrieval.recital import RecitalBook, can_be_recited
from retrieval.registry import Change, MemoryRows
from retrieval.settings import RetrievalSettings
from retrieval.text.automaton import PhraseAutomaton, PhraseHit
from retrieval.text.hidden_names import HiddenHits, HiddenNames
from retrieval.text.phrases import Phrase, PhraseTag, phrases_of

if TYPE_CHECKING:
    from retrieval.embedders.protocol import Embedder
    from retrieval.evidence import EvidenceBook
    from retrieval.judges.protocol import Judge
    from retrieval.meaning import MeaningIndex
    from retrieval.multilingual import MultilingualTier

__all__ = ["Near", "Searcher"]

SNAPSHOT_FILE = "index.snapshot"


class Searcher:
    """See the module. `embedder` and `first_tier` stand in for what the settings name."""

    def __init__(
        self,
        settings: RetrievalSettings,
        *,
        embedder: Embedder | None = None,
        first_tier: Embedder | None = None,
        judge: Judge | None = None,
    ) -> None:
        self._settings = settings
        self._embedder = embedder
        self._first_tier = first_tier
        self._judge = judge
        self._book: EvidenceBook | None = None
        self._meaning: MeaningIndex | None = None
        self._entries: dict[str, RegisteredEntry] = {}
        self._recitals = RecitalBook()
        self._recitable: set[str] = set()  # entries that an answer can recite
        self.automaton: PhraseAutomaton[PhraseTag] = PhraseAutomaton()
        self._hidden = HiddenNames(self.automaton, cap_chars=settings.readings_cap_chars)
        self.seq = 0
        self.texts_seen = 0

    async def start(self) -> None:
        """Load the embedder and its first tier; raises `EmbedderUnavailable`. With `none` nothing is loaded."""
        is_own = self._embedder is None and self._settings.embedder != "none"
        if is_own:
            self._embedder, self._first_tier = await asyncio.to_thread(self._load)
        if self._embedder is None:
            return
        from retrieval.evidence import EvidenceBook
        from retrieval.judges import load_judge
        from retrieval.meaning import MeaningIndex

        if self._judge is None:
            self._judge = await asyncio.to_thread(load_judge, self._settings)
        self._book = EvidenceBook()
        tier = await asyncio.to_thread(self._load_multilingual)
        self._meaning = MeaningIndex(
            self._settings,
            embedder=self._embedder,
            first_tier=self._first_tier,
            judge=self._judge,
            book=self._book,
            multilingual=tier,
        )
        if is_own:
            await asyncio.to_thread(self._meaning.topics.prepare)

    def _load(self) -> tuple[Embedder, Embedder | None]:
        from retrieval.embedders import FIRST_TIERS, load_embedder

        name = self._settings.embedder
        first_tier = FIRST_TIERS.get(name) if self._settings.first_tier_threshold > 0 else None
        embedder = load_embedder(name, self._settings)
        return embedder, load_embedder(first_tier, self._settings) if first_tier else None

    def _load_multilingual(self) -> MultilingualTier | None:
        from retrieval.embedders import load_multilingual
        from retrieval.multilingual import MultilingualTier

        embedder = load_multilingual(self._settings)
        return MultilingualTier(embedder) if embedder is not None else None

    async def aclose(self) -> None:
        """End the threads."""
        if self._meaning is not None:
            await self._meaning.aclose()

    @property
    def entries(self) -> Mapping[str, RegisteredEntry]:
        """Every entry that is not revoked, scheduled and expired ones too."""
        return self._entries

    @property
    def fingerprint(self) -> str:
        """Tells whose vectors fit; empty without an embedder. Known once `start` is done."""
        if self._embedder is None:
            return ""
        parts = [self._embedder.fingerprint]
        if self._first_tier is not None:
            parts.append(self._first_tier.fingerprint)
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:24]

    def embed_memory(self, entry: ForgetEntry, edits: Sequence[MemoryEdit] = ()) -> list[MemoryRows]:
        """The vectors of an entry's core; empty without an embedder. Slow, for threads."""
        rows = self._embed("core", core_texts(entry, edits))
        return [rows] if rows is not None else []

    def embed_documents(self, entry: ForgetEntry, edits: Sequence[MemoryEdit] = ()) -> MemoryRows | None:
        """The vectors of an entry's documents; None without documents or embedder. Slow, for threads."""
        has_texts = bool(entry.documents) or any(edit.kind == "claim" for edit in edits)
        return self._embed("documents", document_texts(entry, edits)) if has_texts else None

    def _embed(self, part: str, texts: Sequence[MemoryText]) -> MemoryRows | None:
        """A row holds the encoder's vector and then the first tier's, so that neither is ever without the other."""
        if self._embedder is None:
            return None
        import numpy as np

        plain = [text.text for text in texts]
        tiers = [self._embedder, *([self._first_tier] if self._first_tier is not None else [])]
        joined = np.concatenate([tier.embed(plain) for tier in tiers], axis=1)
        return MemoryRows(
            part=part,
            fingerprint=self.fingerprint,
            kinds=tuple(text.kind for text in texts),
            vectors=joined.astype(np.float16).tobytes(),
            dim=int(joined.shape[1]),
        )

    def apply(self, changes: Sequence[Change], memory: Mapping[str, Sequence[MemoryRows]]) -> None:
        """Take over changes of the registry; in force when it returns.

        `memory` holds all rows of the changed entries, as `Registry.memory_of` gives them; they replace what was known.
        An entry without a key in `memory` keeps the rows it has (from a snapshot). Raises `EmbedderUnavailable` for
        rows of another embedder, before anything is changed.
        """
        for rows in (row for parts in memory.values() for row in parts):
            if rows.fingerprint != self.fingerprint:
                raise EmbedderUnavailable("Memory rows were made by another embedder; embed the entries again.")
        gone: set[str] = set()
        for change in changes:
            self.seq = max(self.seq, change.seq)
            self._take(change.record)
            if change.record.revoked_at is not None:
                gone.add(change.record.id)
        if self._meaning is not None:
            kept = {entry_id: rows for entry_id, rows in memory.items() if entry_id in self._entries}
            self._meaning.replace(kept, gone - self._entries.keys())
            self._learn({change.record.id for change in changes})
            self._meaning.forget_words(gone - self._entries.keys())

    def _take(self, record: RegisteredEntry) -> None:
        """Phrases of the newest record in place of the older one's."""
        old = self._entries.pop(record.id, None)
        before = _phrases_of(old) if old is not None else []
        after = _phrases_of(record) if record.revoked_at is None else []
        if before != after:
            for phrase in before:
                self.automaton.remove(phrase.text, phrase.tag)
            for phrase in after:
                self.automaton.add(phrase.text, phrase.tag)
            self._hidden.remove(before)
            self._hidden.add(after)
        self._recitable.discard(record.id)
        if record.revoked_at is None:
            self._entries[record.id] = record
            if can_be_recited(record.entry):
                self._recitable.add(record.id)

    def _learn(self, entry_ids: Collection[str]) -> None:
        """Words and probes of changed entries, once their vectors are there."""
        if self._meaning is None or self._book is None:
            return
        for entry_id in sorted(entry_ids):
            record = self._entries.get(entry_id)
            if record is None:
                self._book.drop(entry_id)
            else:
                self._book.take(record)
                self._meaning.learn(entry_id)

    def find_hidden(self, text: str) -> HiddenHits:
        """The same where they are not written as plain words: misspelt, spread, encoded, in another script."""
        return self._hidden.find(text)

    def find_phrases(self, text: str) -> list[PhraseHit[PhraseTag]]:
        """Names, aliases and facts in a text; hits keep only the tags whose exact case fits."""
        hits: list[PhraseHit[PhraseTag]] = []
        for hit in self.automaton.find(text):
            tags = tuple(tag for tag in hit.tags if tag.fits(text[hit.start : hit.end]))
            if len(tags) == len(hit.tags):
                hits.append(hit)
            elif tags:
                hits.append(replace(hit, tags=tags))
        return hits

    async def nearest(self, texts: Sequence[str], *, in_parts: bool = False) -> list[list[Near]]:
        """For each text the entries that it touches by meaning, best first; nothing without an embedder.

        `in_parts` looks at its sentences too; an entry may then come more than once, with different spans. Raises what the
        embedder raises.
        """
        self.texts_seen += len(texts)
        if self._meaning is None:
            return [[] for _ in texts]
        found = await self._meaning.nearest(texts, in_parts=in_parts)
        # A snapshot may hold rows of entries that have since gone from the registry.
        return [[near for near in nears if near.entry_id in self._entries] for nears in found]

    @property
    def judges_answers(self) -> bool:
        """True if `told` can say anything; else answers need not wait for it."""
        return self._meaning is not None or bool(self._recitable)

    async def told(self, request: str, answer: str, entry_ids: Sequence[str]) -> list[Near]:
        """Which of these entries an answer to that request tells of, best first; `is_match` says whether surely enough.
        Entries whose own texts the answer recites need no judge.

        Raises what the judge raises.
        """
        if recited := await self.recited(request, answer, entry_ids):
            return recited
        known = [entry_id for entry_id in entry_ids if entry_id in self._entries]
        return await self._meaning.told(request, answer, known) if self._meaning is not None else []

    async def recited(self, request: str, answer: str, entry_ids: Sequence[str]) -> list[Near]:
        """Those of these entries whose own texts an answer recites, beyond what the request holds."""
        known = [self._entries[entry_id] for entry_id in entry_ids if entry_id in self._entries]
        reciting = await self._recitals.reciting(known, request, answer)
        return [Near(entry_id=entry_id, score=1.0, kind="claim") for entry_id in reciting]

    @property
    def settled_by_first_tier(self) -> int:
        """Texts that the first tier alone decided."""
        return self._meaning.settled if self._meaning is not None else 0

    @property
    def texts_encoded(self) -> int:
        """Texts that the encoder was asked for."""
        return self._meaning.batcher.encoded if self._meaning is not None else 0

    @property
    def pairs_judged(self) -> int:
        """Pairs of text and entry that the judge was asked for."""
        return self._meaning.judged if self._meaning is not None else 0

    @property
    def cache_hits(self) -> int:
        """Texts answered from what was known of them by hash."""
        return self._meaning.cache_hits if self._meaning is not None else 0

    @property
    def vectors(self) -> int:
        """Rows in the encoder's index."""
        return len(self._meaning) if self._meaning is not None else 0

    def save_snapshot(self, data_dir: Path) -> None:
        """Write the indexes; raises `OSError`. Without an embedder there is nothing to write."""
        if self._meaning is not None:
            self._meaning.save(data_dir / SNAPSHOT_FILE, fingerprint=self.fingerprint, seq=self.seq)

    def load_snapshot(self, data_dir: Path, *, registry_seq: int) -> int | None:
        """Take the vectors of a snapshot that fits, before the first `apply`; None where there is none.

        Returns its `seq`: the following `apply` of all records needs `memory` only for those changed after it.
        """
        if self._meaning is None:
            return None
        return self._meaning.load(data_dir / SNAPSHOT_FILE, fingerprint=self.fingerprint, registry_seq=registry_seq)


def _phrases_of(record: RegisteredEntry) -> list[Phrase]:
    return phrases_of(record.id, record.entry, unmistakable_names(record.entry, record.edits))
