"""Chooses `semantic_threshold` and `first_tier_threshold`: recall and false alarms of matching by meaning alone.

    python -m benchmarks.tune_thresholds --data DIR --benign DIR [--entries 50] [--probes 2500] [--out R.json]

DIR holds `entries.jsonl` and `probes.jsonl` as for `expunge eval detection`; `--benign` holds `probes.jsonl` that touch
no entry. Groups that begin with "neighbor" are near and must stay. Names, aliases and facts are left out of the
picture: the phrases find those without any threshold. Cosines to documents count less by a margin, which is
`retrieval.meaning.DOCUMENT_MARGIN`; the recall at others is shown. Policy: the best recall of the right entry with at
most 5 % of the neighbours and 1 % of the benign prompts caught; then the highest first tier that loses at most 1 % of
what the encoder finds, and the lower one of entries with and without documents. False alarms grow with the number of
entries.

Shapes: M memory rows, W windows of all probes.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import report
from retrieval.embedders import load_embedder
from retrieval.embedders.protocol import Embedder
from retrieval.entry import ForgetEntry, parse_entry
from retrieval.meaning import DOCUMENT_MARGIN
from retrieval.memory import core_texts, document_texts
from retrieval.settings import RetrievalSettings
from retrieval.text.views import windows

NEIGHBOR_LIMIT = 0.05
BENIGN_LIMIT = 0.01
LOSS_LIMIT = 0.01
THRESHOLDS = tuple(round(0.40 + 0.01 * step, 2) for step in range(51))
MARGINS = (0.0, 0.1, 0.15, 0.18, 0.2, 0.22, 0.24, 0.26, 0.28, 0.3)
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
class Nearest:
    """Per window, against one part of the memory: best cosine to any entry, to the expected one, and in the first tier."""

    any_W: Floats
    right_W: Floats
    first_W: Floats


@dataclass(frozen=True, kw_only=True, slots=True)
class Scores:
    """Core and documents, and each window's probe."""

    core: Nearest
    documents: Nearest | None
    probe_W: NDArray[np.int64]
    probes: Sequence[Probe]
    margin: float = DOCUMENT_MARGIN

    def best(self, name: str) -> Floats:
        """The better of core and documents less the margin."""
        core_W: Floats = getattr(self.core, name)
        if self.documents is None:
            return core_W
        documents_W: Floats = getattr(self.documents, name)
        return np.asarray(np.maximum(core_W, documents_W - self.margin), dtype=np.float32)

    def rates(self, threshold: float, first: float = -1.0) -> dict[str, float]:
        """Share of each role's probes that is caught; of "forget" by the right entry."""
        passed_W = self.best("first_W") >= first
        caught: set[int] = set(self.probe_W[(self.best("any_W") >= threshold) & passed_W].tolist())
        right: set[int] = set(self.probe_W[(self.best("right_W") >= threshold) & passed_W].tolist())
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


def nearest(
    tiers: tuple[Embedder, Embedder], memory: Sequence[tuple[str, str]], texts: Sequence[str], expected: Sequence[str]
) -> Nearest:
    """The windows' best cosines to memory rows, which are pairs of entry id and text."""
    owners_M = np.array([entry_id for entry_id, _ in memory])
    rows = [tier.embed([text for _, text in memory]) for tier in tiers]
    windows_of = [tier.embed(texts) for tier in tiers]
    any_W, first_W = np.empty(len(texts), dtype=np.float32), np.empty(len(texts), dtype=np.float32)
    right_W = np.full(len(texts), -1.0, dtype=np.float32)
    for place, entry_id in enumerate(expected):
        cosines_M = rows[0] @ windows_of[0][place]
        any_W[place] = cosines_M.max()
        if entry_id in owners_M:
            right_W[place] = cosines_M[owners_M == entry_id].max()
        first_W[place] = (rows[1] @ windows_of[1][place]).max()
    return Nearest(any_W=any_W, right_W=right_W, first_W=first_W)


def score(tiers: tuple[Embedder, Embedder], entries: Mapping[str, ForgetEntry], probes: Sequence[Probe]) -> Scores:
    """Everything that the thresholds decide on."""
    places = [(number, span) for number, probe in enumerate(probes) for span in windows(probe.prompt)]
    texts = [probes[number].prompt[span.start : span.end] for number, span in places]
    expected = [probes[number].expect for number, _ in places]
    core = [(entry_id, text.text) for entry_id, entry in entries.items() for text in core_texts(entry)]
    documents = [(entry_id, text.text) for entry_id, entry in entries.items() for text in document_texts(entry)]
    return Scores(
        core=nearest(tiers, core, texts, expected),
        documents=nearest(tiers, documents, texts, expected) if documents else None,
        probe_W=np.array([number for number, _ in places]),
        probes=probes,
    )


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


def at_margin(scores: Scores, margin: float) -> dict[str, float]:
    """Threshold and recall that the policy gives with another margin for documents."""
    other = replace(scores, margin=margin)
    semantic, first = choose(other)
    settled = settled_share(other, first, "benign")
    return rounded({"threshold": semantic, "recall": other.rates(semantic)["forget"], "benign_settled": settled})


def settled_share(scores: Scores, first: float, role: str) -> float:
    """Share of a role's windows that the first tier settles."""
    of_role = np.array([scores.probes[number].role == role for number in scores.probe_W])
    return float((scores.best("first_W")[of_role] < first).mean())


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

    hardware = report.hardware()
    whole = score((encoder, first_tier), entries, probes)
    figures: dict[str, float] = {}
    samples: dict[str, Any] = {}
    for label, scores in (("core", replace(whole, documents=None)), ("all", whole)):
        found, tables = describe(scores, label)
        show(label, found, tables)
        figures |= found
        samples[label] = tables
    samples["recall_by_document_margin"] = {f"{margin:.2f}": at_margin(whole, margin) for margin in MARGINS}
    print(f"\nby document margin: {samples['recall_by_document_margin']}")
    samples["probes"] = {role: sum(probe.role == role for probe in probes) for role in ("forget", "neighbor", "benign")}
    if options.out:
        names = ("seed", "entries", "probes")
        config = {name: getattr(options, name) for name in names}
        config |= {"data": options.data.name, "benign": options.benign.name, "encoder": encoder.fingerprint}
        config |= {
            "neighbor_limit": NEIGHBOR_LIMIT,
            "benign_limit": BENIGN_LIMIT,
            "loss_limit": LOSS_LIMIT,
            "document_margin": DOCUMENT_MARGIN,
        }
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
