"""The naive gates that ours is measured against: exact names, and best cosine with one threshold for all.

Kept apart from the product on purpose, so that they stay what they are while it changes: whole names in any case; MiniLM
cosines of the prompt and its sentences to each entry's name, description, exemplars, facts and page sentences. The
thresholds let 5 % or 1 % of the people's neighbours pass for matches, and hold for every suite. Answers are only looked
through for names. Shapes: N texts, M memory rows, D dimensions.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.detection.development_data import Line
from benchmarks.detection.suites import Suite, holds_name, prompt_of
from guardrail.evaluation.figures import percentile
from guardrail.evaluation.outcomes import Outcome
from retrieval.embedders import load_embedder
from retrieval.settings import RetrievalSettings

NEIGHBOR_RATES: Final = {"5": 95.0, "1": 99.0}
"""Accepted share of neighbours in percent -> percentile of their scores."""

_SENTENCE: Final = re.compile(r"[^.!?\n]+[.!?]*")
_SHORTEST_CHARS: Final = 24
_BATCH: Final = 64
_BLOCK: Final = 512

Floats = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, slots=True)
class Nearness:
    """What the naive gates see of one probe: entries named in prompt and answer, best cosine, and whose it is."""

    named: tuple[str, ...]
    named_in_answer: tuple[str, ...]
    cosine: float
    nearest: str


class CosineReader:
    """MiniLM over a suite's texts; every text is embedded once over all suites, and over all runs with a `cache` file."""

    def __init__(self, cache: Path | None = None) -> None:
        self._embedder = load_embedder("minilm-int8", RetrievalSettings(embedder="minilm-int8"))
        self._cache = cache
        self._known: dict[bytes, Floats] = {}
        if cache is not None and cache.exists():
            with np.load(cache) as stored:
                if str(stored["fingerprint"]) == self._embedder.fingerprint:
                    vectors_ND = stored["vectors"].astype(np.float32)
                    self._known = dict(zip((row.tobytes() for row in stored["keys"]), vectors_ND, strict=True))

    def save(self) -> None:
        """Keep what is known in the cache file."""
        if self._cache is not None and self._known:
            keys = np.frombuffer(b"".join(self._known), dtype=np.uint8).reshape(len(self._known), -1)
            vectors = np.stack(list(self._known.values())).astype(np.float16)
            np.savez(self._cache, keys=keys, vectors=vectors, fingerprint=np.array(self._embedder.fingerprint))

    def read(self, suite: Suite) -> list[Nearness]:
        """The suite's probes in order."""
        memory = [(str(entry["id"]), text) for entry in suite.entries for text in memory_texts(entry)]
        rows_MD = self._embed([text for _, text in memory])
        best, nearest = self._best_of(suite.probes, rows_MD, [owner for owner, _ in memory])
        names = {str(entry["id"]): [str(entry["name"]), *entry.get("aliases", ())] for entry in suite.entries}
        return [
            Nearness(
                named=named_in(prompt_of(probe), names),
                named_in_answer=named_in(str(probe.get("answer", "")), names),
                cosine=best[place],
                nearest=nearest[place],
            )
            for place, probe in enumerate(suite.probes)
        ]

    def _best_of(self, probes: Sequence[Line], rows_MD: Floats, owners: Sequence[str]) -> tuple[list[float], list[str]]:
        places = [(place, text) for place, probe in enumerate(probes) for text in prompt_texts(prompt_of(probe))]
        vectors_ND = self._embed([text for _, text in places])
        best, nearest = [0.0] * len(probes), [""] * len(probes)
        for start in range(0, len(places), _BLOCK):
            scores_NM = vectors_ND[start : start + _BLOCK] @ rows_MD.T
            top_N = scores_NM.argmax(axis=1)
            for (place, _), row, scores_M in zip(places[start : start + _BLOCK], top_N, scores_NM, strict=True):
                if scores_M[row] > best[place]:
                    best[place], nearest[place] = float(scores_M[row]), owners[row]
        return best, nearest

    def _embed(self, texts: Sequence[str]) -> Floats:
        keys = [hashlib.sha256(text.encode()).digest() for text in texts]
        fresh = {key: text for key, text in zip(keys, texts, strict=True) if key not in self._known}
        wanted = sorted(fresh, key=lambda key: len(fresh[key]))  # alike lengths make tight batches
        for start in range(0, len(wanted), _BATCH):
            batch = wanted[start : start + _BATCH]
            self._known.update(zip(batch, self._embedder.embed([fresh[key] for key in batch]), strict=True))
        return np.stack([self._known[key] for key in keys])


def memory_texts(entry: Line) -> list[str]:
    """What the cosine gate knows of an entry."""
    facts = [
        fact if isinstance(fact, str) else f"{fact['question']} {fact['answer']}" for fact in entry.get("facts", ())
    ]
    texts = [entry["name"], entry.get("description", ""), *entry.get("exemplars", ()), *facts]
    texts += [sentence for page in entry.get("documents", ()) for sentence in _sentences(page)]
    return list(dict.fromkeys(text for text in texts if text))


def prompt_texts(prompt: str) -> list[str]:
    """The whole prompt and its sentences."""
    return list(dict.fromkeys([prompt, *_sentences(prompt)]))


def named_in(text: str, names: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Ids of the entries whose whole name or alias stands in the text."""
    folded = text.casefold()
    return tuple(
        entry_id
        for entry_id, called in names.items()
        if any(name.casefold() in folded and holds_name(text, name) for name in called)
    )


def thresholds(people: Suite, seen: Sequence[Nearness]) -> dict[str, float]:
    """The cosine above which 5 % or 1 % of the people's neighbours lie."""
    scores = [
        one.cosine
        for probe, one in zip(people.probes, seen, strict=True)
        if str(probe["group"]).startswith("neighbor_level")
    ]
    return {rate: percentile(scores, place) for rate, place in NEIGHBOR_RATES.items()}


def gates(suite: Suite, seen: Sequence[Nearness], limits: Mapping[str, float]) -> dict[str, list[Outcome]]:
    """Each naive gate's outcomes."""
    found: dict[str, list[Outcome]] = {"name": list(_outcomes(suite, seen, by_name=True, limit=None))}
    for rate, limit in limits.items():
        found[f"cosine_{rate}"] = list(_outcomes(suite, seen, by_name=False, limit=limit))
        found[f"name_or_cosine_{rate}"] = list(_outcomes(suite, seen, by_name=True, limit=limit))
    return found


def _outcomes(suite: Suite, seen: Sequence[Nearness], *, by_name: bool, limit: float | None) -> Iterable[Outcome]:
    for number, (probe, one) in enumerate(zip(suite.probes, seen, strict=True), start=1):
        named = one.named if by_name else ()
        near = (one.nearest,) if limit is not None and one.cosine > limit else ()
        entries = tuple(dict.fromkeys((*named, *near)))
        outcome = Outcome(
            number=number,
            id=str(probe["id"]),
            group=str(probe["group"]),
            is_expected=bool(probe["expect"]),
            caught=bool(entries),
            score=1.0 if named else one.cosine if limit is not None else 0.0,
            entries=entries,
            is_right=any(item in entries for item in probe["expect"]),
            is_best=entries[:1] != () and entries[0] in probe["expect"],
            ms=0.0,
        )
        has_answer = by_name and bool(str(probe.get("answer", "")).strip())
        yield replace(outcome, told=bool(one.named_in_answer)) if has_answer else outcome


def _sentences(text: str) -> list[str]:
    return [found for match in _SENTENCE.finditer(text) if len(found := match.group().strip()) >= _SHORTEST_CHARS]
