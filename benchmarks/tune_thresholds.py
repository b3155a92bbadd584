"""Chooses `semantic_threshold` and `first_tier_threshold`: recall and false alarms of matching by meaning alone.

    python -m benchmarks.tune_thresholds --data DIR --benign DIR [--entries 50] [--probes 2500] [--out R.json]

DIR holds `entries.jsonl` and `probes.jsonl` as for `expunge eval detection`; `--benign` holds `probes.jsonl` that touch
no entry. Groups that begin with "neighbor" are near and must stay. Names, aliases and facts are left out of the
picture: the phrases find those without any threshold. Policy: the best recall of the right entry with at most 5 % of
the neighbours and 1 % of the benign prompts caught; then the highest first tier that loses at most 1 % of what the
encoder finds. Both thresholds are lowest values to the hundredth. False alarms grow with the number of entries.

Shapes: M memory rows, W windows of all probes.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import report
from retrieval.embedders import load_embedder
from retrieval.embedders.protocol import Embedder
from retrieval.entry import parse_entry
from retrieval.memory import core_texts, document_texts
from retrieval.settings import RetrievalSettings
from retrieval.text.views import windows

NEIGHBOR_LIMIT = 0.05
BENIGN_LIMIT = 0.01
LOSS_LIMIT = 0.01
THRESHOLDS = tuple(round(0.40 + 0.01 * step, 2) for step in range(51))
FIRST_THRESHOLDS = tuple(round(0.01 * step, 2) for step in range(5, 91))

Floats = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, slots=True)
class Probe:
    """A prompt, the entry it touches ("" for none) and how it counts."""

    prompt: str
    expect: str
    group: str

    @property
    def role(self) -> str:
        """forget, neighbor or benign."""
        if self.expect:
            return "forget"
        return "neighbor" if self.group.startswith("neighbor") else "benign"


@dataclass(frozen=True, kw_only=True, slots=True)
class Scores:
    """Per window: best cosine to any entry and to the expected one, best of the first tier, and the probe's number."""

    any_W: Floats
    right_W: Floats
    first_W: Floats
    probe_W: NDArray[np.int64]
    probes: Sequence[Probe]

    def rates(self, threshold: float, first: float = -1.0) -> dict[str, float]:
        """Share of each role's probes that is caught; of "forget" by the right entry."""
        passed_W = self.first_W >= first
        caught: set[int] = set(self.probe_W[(self.any_W >= threshold) & passed_W].tolist())
        right: set[int] = set(self.probe_W[(self.right_W >= threshold) & passed_W].tolist())
        rates: dict[str, float] = {}
        for role in ("forget", "neighbor", "benign"):
            of_role = {number for number, probe in enumerate(self.probes) if probe.role == role}
            rates[role] = len(of_role & (right if role == "forget" else caught)) / max(1, len(of_role))
        return rates


def read_lines(path: Path) -> list[dict[str, Any]]:
    """A JSON Lines file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]


def load_probes(path: Path, entry_ids: set[str], limit: int, chance: random.Random) -> list[Probe]:
    """A sample of the probes that concern these entries; neighbours by their `subject`."""
    found = [
        Probe(prompt=line["prompt"], expect=(line["expect"] or [""])[0], group=line["group"])
        for line in read_lines(path)
        if (line["expect"] and line["expect"][0] in entry_ids)
        or (not line["expect"] and line.get("subject", "") in {*entry_ids, ""})
    ]
    return chance.sample(found, min(limit, len(found)))


def score(
    encoder: Embedder, first_tier: Embedder, memory: Mapping[str, Sequence[str]], probes: Sequence[Probe]
) -> Scores:
    """Everything that the thresholds decide on."""
    texts: list[str] = []
    probe_W: list[int] = []
    for number, probe in enumerate(probes):
        for start, end in windows(probe.prompt):
            texts.append(probe.prompt[start:end])
            probe_W.append(number)
    owners_M = np.array([entry_id for entry_id, rows in memory.items() for _ in rows])
    flat = [text for rows in memory.values() for text in rows]
    encoded_M, encoded_W = encoder.embed(flat), encoder.embed(texts)
    first_M, first_W = first_tier.embed(flat), first_tier.embed(texts)
    any_W = np.empty(len(texts), dtype=np.float32)
    right_W = np.full(len(texts), -1.0, dtype=np.float32)
    best_first_W = np.empty(len(texts), dtype=np.float32)
    for place, number in enumerate(probe_W):
        cosines_M = encoded_M @ encoded_W[place]
        any_W[place] = cosines_M.max()
        if probes[number].expect:
            right_W[place] = cosines_M[owners_M == probes[number].expect].max()
        best_first_W[place] = (first_M @ first_W[place]).max()
    return Scores(any_W=any_W, right_W=right_W, first_W=best_first_W, probe_W=np.array(probe_W), probes=probes)


def choose(scores: Scores) -> tuple[float, float]:
    """The two thresholds by the policy."""
    semantic = next(
        threshold
        for threshold in (*THRESHOLDS, 0.99)
        if threshold == 0.99
        or (scores.rates(threshold)["neighbor"] <= NEIGHBOR_LIMIT and scores.rates(threshold)["benign"] <= BENIGN_LIMIT)
    )
    whole = scores.rates(semantic)["forget"]
    fitting = [
        first for first in FIRST_THRESHOLDS if scores.rates(semantic, first)["forget"] >= (1 - LOSS_LIMIT) * whole
    ]
    return semantic, max(fitting, default=0.0)


def settled_share(scores: Scores, first: float, role: str) -> float:
    """Share of a role's windows that the first tier settles."""
    of_role = np.array([scores.probes[number].role == role for number in scores.probe_W])
    return float((scores.first_W[of_role] < first).mean())


def describe(scores: Scores, label: str) -> tuple[dict[str, float], dict[str, Any]]:
    """Figures at the chosen thresholds, and the whole table."""
    semantic, first = choose(scores)
    both = scores.rates(semantic, first)
    figures = {
        f"{label}_semantic_threshold": semantic,
        f"{label}_first_tier_threshold": first,
        f"{label}_recall_encoder_alone": scores.rates(semantic)["forget"],
        f"{label}_recall": both["forget"],
        f"{label}_neighbor_false_positive_rate": both["neighbor"],
        f"{label}_benign_false_positive_rate": both["benign"],
        f"{label}_benign_windows_settled_by_first_tier": settled_share(scores, first, "benign"),
        f"{label}_neighbor_windows_settled_by_first_tier": settled_share(scores, first, "neighbor"),
    }
    table: dict[str, Any] = {f"{threshold:.2f}": rounded(scores.rates(threshold)) for threshold in THRESHOLDS[::2]}
    tiers: dict[str, Any] = {
        f"{value:.2f}": rounded(
            {
                "recall_kept": scores.rates(semantic, value)["forget"] / max(1e-9, scores.rates(semantic)["forget"]),
                "benign_windows_settled": settled_share(scores, value, "benign"),
            }
        )
        for value in FIRST_THRESHOLDS[::5]
    }
    return rounded(figures), {"semantic": table, "first_tier": tiers}


def rounded(values: Mapping[str, float]) -> dict[str, float]:
    """Four decimals."""
    return {name: round(float(value), 4) for name, value in values.items()}


def show(label: str, figures: Mapping[str, float], tables: Mapping[str, Any]) -> None:
    """Print one memory's tables."""
    print(f"\n== memory: {label}")
    for name, rows in tables.items():
        columns = list(next(iter(rows.values())))
        print(f"{name:>12} " + " ".join(f"{column:>24}" for column in columns))
        for threshold, row in rows.items():
            print(f"{threshold:>12} " + " ".join(f"{row[column]:>24.3f}" for column in columns))
    for name, value in figures.items():
        print(f"{name}: {value}")


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with entries.jsonl and probes.jsonl")
    parser.add_argument("--benign", type=Path, required=True, help="folder with probes.jsonl that touch no entry")
    parser.add_argument("--entries", type=int, default=50, help="how many entries, drawn by the seed")
    parser.add_argument("--probes", type=int, default=2_500, help="most probes of each folder, drawn by the seed")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--models", type=Path, default=Path(".cache/embedders"), help="folder for derived model files")
    parser.add_argument("--out", type=Path, help="result file")
    options = parser.parse_args()

    chance = random.Random(options.seed)
    lines = chance.sample(
        all_entries := read_lines(options.data / "entries.jsonl"), min(options.entries, len(all_entries))
    )
    # Foreign data may have ids that the registry does not take; here an id is only a key.
    entries = {line["id"]: parse_entry({**line, "id": None}) for line in lines}
    probes = load_probes(options.data / "probes.jsonl", set(entries), options.probes, chance)
    probes += load_probes(options.benign / "probes.jsonl", set(), options.probes, chance)
    settings = RetrievalSettings(embedder="minilm-int8", data_dir=options.models)
    encoder, first_tier = load_embedder("minilm-int8", settings), load_embedder("static", settings)

    core = {entry_id: [text.text for text in core_texts(entry)] for entry_id, entry in entries.items()}
    full = {
        entry_id: core[entry_id] + [text.text for text in document_texts(entry)] for entry_id, entry in entries.items()
    }
    figures: dict[str, float] = {}
    samples: dict[str, Any] = {}
    hardware = report.hardware()
    for label, memory in (("core", core), ("documents", full)):
        found, tables = describe(score(encoder, first_tier, memory, probes), label)
        show(label, found, tables)
        figures |= found
        samples[label] = {**tables, "memory_rows": sum(map(len, memory.values()))}
    samples["probes"] = {role: sum(probe.role == role for probe in probes) for role in ("forget", "neighbor", "benign")}
    if options.out:
        names = ("seed", "entries", "probes")
        config = {name: getattr(options, name) for name in names}
        config |= {"data": options.data.name, "benign": options.benign.name, "encoder": encoder.fingerprint}
        config |= {"neighbor_limit": NEIGHBOR_LIMIT, "benign_limit": BENIGN_LIMIT, "loss_limit": LOSS_LIMIT}
        result = report.BenchResult(
            config=report.dated(config),
            versions=report.versions(),
            hardware=hardware,
            figures=figures,
            samples=samples,
        )
        report.write(result, options.out)


if __name__ == "__main__":
    main()
