"""Where a request names its entries or holds clues to them, and the request that asks about strangers instead.

    Who is Stephen King, and who wrote 'Carrie'?   ->   Who is Dravel Pronis, and who wrote 'Lantern'?

A clue (see `clues`) gives way as a title of its own, beside the entry's names. It knows no treatment.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from guardrail.decision import Detection, Passage
from guardrail.treatments.names.clues import clues_in
from guardrail.treatments.names.stand_in import Place, Renamed, StandIn, renamed, stand_in_for
from retrieval.entry import EntryKind, ForgetEntry, RegisteredEntry
from retrieval.memory.once_per_revision import OncePerRevision

_BEFORE_CLUE = "\n"
"""Stands between an entry's id and a clue to it: no id holds white space."""
_KEPT = 512  # entries, and clues; drawing a long list of aliases anew for each request would keep all callers waiting


def about_strangers(passages: Sequence[Passage], detections: Sequence[Detection], *, key: bytes) -> Renamed | None:
    """The request with stand-ins that hang on `key`; None if an entry that is asked for is neither named nor clued at, or
    none is at all."""
    places = _Places(passages, detections)
    if not all(places.found(one) for one in detections if one.is_asked):
        return None
    made = places.renamed(key)
    return made if made.swaps else None


class _Places:
    """The places of names and clues."""

    def __init__(self, passages: Sequence[Passage], detections: Sequence[Detection]) -> None:
        self._passages = passages
        self._named: dict[str, RegisteredEntry] = {}
        self._clues: dict[str, str] = {}
        self._entries: set[str] = set()  # ids of the entries of which anything was found
        self._places: dict[int, list[Place]] = {}
        for one in detections:
            for item in one.evidence:
                if item.is_name:
                    self._entries.add(one.entry.id)
                    self._named[one.entry.id] = one.entry
                    self._add(item.passage, item.start, item.end, one.entry.id)
        for one in detections:
            for index, passage in enumerate(passages):
                for start, end in clues_in(passage.text, one.entry.entry):
                    self._add_clue(index, start, end, one)

    def found(self, detection: Detection) -> bool:
        """True if there is anything to be replaced for an entry."""
        return detection.entry.id in self._entries

    def renamed(self, key: bytes) -> Renamed:
        """The request with stand-ins."""
        stand_ins = {name: _STAND_INS.of(record, key) for name, record in self._named.items()}
        stand_ins |= {name: _for_clue(clue, key) for name, clue in self._clues.items()}
        return renamed(self._passages, self._places, stand_ins)

    def _add(self, passage: int, start: int, end: int, name: str) -> None:
        self._places.setdefault(passage, []).append(Place(start=start, end=end, entry_id=name))

    def _add_clue(self, passage: int, start: int, end: int, detection: Detection) -> None:
        if any(place.start < end and place.end > start for place in self._places.get(passage, ())):
            return
        clue = self._passages[passage].text[start:end]
        name = f"{detection.entry.id}{_BEFORE_CLUE}{clue.casefold()}"
        self._entries.add(detection.entry.id)
        self._clues[name] = clue
        self._add(passage, start, end, name)


_STAND_INS = OncePerRevision(lambda record, key: stand_in_for(record.entry, key=key), most=_KEPT)


@lru_cache(maxsize=_KEPT)
def _for_clue(clue: str, key: bytes) -> StandIn:
    return stand_in_for(ForgetEntry(name=clue, kind=EntryKind.WORK), key=key)
