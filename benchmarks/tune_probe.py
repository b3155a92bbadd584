"""Shows what probes find: recall of a topic's unseen questions against near subjects, far subjects and benign prompts.

    python -m benchmarks.tune_probe --topics DIR --benign DIR [--exemplars 20] [--neighbors 0] [--out R.json]

DIR of topics holds `entries.jsonl` and `probes.jsonl` with groups "topic/ID", "near/SUBJECT" (each stands right after its
topic's group) and "far/SUBJECT"; DIR of benign prompts holds `probes.jsonl`. `--neighbors` gives each entry so many
questions of its near subject as `neighbors`, which then do not count. Questions of exams among the benign prompts are left
out, since some are on the topics, and so is every prompt that stands in the background.

Three ways are compared, each at 1 % of the negatives by a threshold picked on them (`oracle`, so all flatter alike): the
nearest exemplar, the probe against everyday text alone (one field, as a plain linear probe), and the probe. Then the
probe by itself, as it decides in service, by accepted false-positive rate. Rates "any" count a text once for all entries.

Shapes: N texts, D dimensions, P entries.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import report
from retrieval.background import load_texts, load_vectors
from retrieval.calibration import score_of
from retrieval.embedders import load_embedder
from retrieval.entry import ForgetEntry, parse_entry
from retrieval.memory import core_texts
from retrieval.probe import Background, Probe, fit_probe
from retrieval.settings import RetrievalSettings

if TYPE_CHECKING:
    from retrieval.embedders.protocol import Embedder, Vectors

RATES = (0.02, 0.01, 0.005, 0.002, 0.001, 0.0005, 0.0002, 0.0001)
ORACLE_SHARE = 0.01
_EXAMS = "benign/retain_mmlu"

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Topic:
    """An entry with the texts that must be found, its near subject's, and the vectors of its own texts."""

    entry: ForgetEntry
    found_ND: Vectors
    near_ND: Vectors
    exemplars_ND: Vectors
    described_ND: Vectors
    neighbors_ND: Vectors


def read_lines(path: Path) -> list[dict[str, Any]]:
    """A JSON Lines file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]


def words(text: str) -> str:
    """What two spellings of one prompt share; the background's texts are cut, so only the beginning counts."""
    return re.sub(r"\W+", " ", text.lower()).strip()[:200]


def load_topics(folder: Path, embedder: Embedder, exemplars: int, neighbors: int) -> tuple[list[Topic], Vectors]:
    """The topics and the far texts."""
    groups: dict[str, list[str]] = {}
    for line in read_lines(folder / "probes.jsonl"):
        groups.setdefault(line["group"], []).append(line["prompt"])
    order = list(groups)
    vectors = {group: embedder.embed(list(dict.fromkeys(texts))) for group, texts in groups.items()}
    topics = []
    for line in read_lines(folder / "entries.jsonl"):
        entry = parse_entry({**line, "id": None, "exemplars": line["exemplars"][:exemplars]})
        near_ND = vectors[order[order.index(f"topic/{line['id']}") + 1]]
        described = [text.text for text in core_texts(entry) if text.kind in ("name", "description")]
        topics.append(
            Topic(
                entry=entry,
                found_ND=vectors[f"topic/{line['id']}"],
                near_ND=near_ND[neighbors:],
                exemplars_ND=embedder.embed(list(entry.exemplars)),
                described_ND=embedder.embed(described),
                neighbors_ND=near_ND[:neighbors],
            )
        )
    return topics, np.concatenate([vectors[group] for group in order if group.startswith("far/")])


def at_share(negatives_N: Floats, positives_N: Floats) -> float:
    """Recall where `ORACLE_SHARE` of the negatives score higher than the threshold."""
    threshold = np.sort(negatives_N)[::-1][int(ORACLE_SHARE * len(negatives_N))]
    return float((positives_N > threshold).mean())


def nearest(topic: Topic, vectors_ND: Vectors) -> Floats:
    """Cosine of the nearest exemplar or description."""
    own_ND = np.concatenate([topic.exemplars_ND, topic.described_ND])
    return np.asarray((vectors_ND @ own_ND.T).max(axis=1), dtype=np.float64)


def oracle(topics: Sequence[Topic], probes: Sequence[Probe], far_ND: Vectors) -> dict[str, float]:
    """Mean recall of the three ways at 1 % of the topic's own near subject, all near subjects, and far ones too."""
    all_near_ND = np.concatenate([topic.near_ND for topic in topics])
    sets = {"near_and_far": np.concatenate([all_near_ND, far_ND]), "all_near": all_near_ND}
    figures: dict[str, list[float]] = {}
    for topic, probe in zip(topics, probes, strict=True):
        for against, negatives_ND in {**sets, "own_near": topic.near_ND}.items():
            ways = {
                "nearest": (nearest(topic, negatives_ND), nearest(topic, topic.found_ND)),
                "linear": (linear(probe, negatives_ND), linear(probe, topic.found_ND)),
                "probe": (probe.raw(negatives_ND), probe.raw(topic.found_ND)),
            }
            for way, (negatives_N, positives_N) in ways.items():
                figures.setdefault(f"{way}_recall_at_1_percent_of_{against}", []).append(
                    at_share(negatives_N, positives_N)
                )
    return {name: float(np.mean(values)) for name, values in figures.items()}


def linear(probe: Probe, vectors_ND: Vectors) -> Floats:
    """The topic's evidence alone, without the other fields."""
    return np.asarray(vectors_ND.astype(np.float64) @ probe.weights_D, dtype=np.float64)


def in_service(
    topics: Sequence[Topic], probes: Sequence[Probe], far_ND: Vectors, benign_ND: Vectors
) -> dict[str, dict[str, float]]:
    """By accepted false-positive rate: what is caught."""
    near_ND = np.concatenate([topic.near_ND for topic in topics])
    scores = {
        name: np.stack([probe.scores(rows_ND) for probe in probes], axis=1)
        for name, rows_ND in (("near", near_ND), ("far", far_ND), ("benign", benign_ND))
    }
    found = [probe.scores(topic.found_ND) for topic, probe in zip(topics, probes, strict=True)]
    rows: dict[str, dict[str, float]] = {}
    for rate in RATES:
        threshold = float(score_of(rate))
        row = {"recall": float(np.mean([(own_N >= threshold).mean() for own_N in found]))}
        for name, scores_NP in scores.items():
            row[f"{name}_any"] = float((scores_NP.max(axis=1) >= threshold).mean())
            row[f"{name}_per_entry"] = float((scores_NP >= threshold).mean())
        rows[f"{rate:g}"] = row
    return rows


def show(figures: Mapping[str, float], rows: Mapping[str, Mapping[str, float]]) -> None:
    """Print both tables."""
    for name, value in figures.items():
        print(f"{name}: {value:.3f}")
    columns = list(next(iter(rows.values())))
    print("accepted".rjust(10) + "".join(column.rjust(18) for column in columns))
    for rate, row in rows.items():
        print(rate.rjust(10) + "".join(f"{row[column]:18.4f}" for column in columns))


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--topics", type=Path, required=True, help="folder with entries.jsonl and probes.jsonl")
    parser.add_argument("--benign", type=Path, required=True, help="folder with probes.jsonl that touch no entry")
    parser.add_argument("--exemplars", type=int, default=20, help="how many exemplars each entry keeps")
    parser.add_argument("--neighbors", type=int, default=0, help="how many near questions each entry is given")
    parser.add_argument("--out", type=Path, help="result file")
    options = parser.parse_args()

    hardware = report.hardware()
    settings = RetrievalSettings(embedder="minilm-int8")
    embedder = load_embedder("minilm-int8", settings)
    texts = load_texts()
    vectors_ND = load_vectors(embedder, texts, cache_dir=settings.cache_dir)
    background = Background.build(vectors_ND, [text.field for text in texts])
    topics, far_ND = load_topics(options.topics, embedder, options.exemplars, options.neighbors)
    known = {words(text.text) for text in texts}
    benign = [
        line["prompt"]
        for line in read_lines(options.benign / "probes.jsonl")
        if line["group"] != _EXAMS and words(line["prompt"]) not in known
    ]
    probes = [
        fit_probe(topic.exemplars_ND, topic.neighbors_ND, background, described_ND=topic.described_ND)
        for topic in topics
    ]
    figures = oracle(topics, probes, far_ND)
    rows = in_service(topics, probes, far_ND, embedder.embed(benign))
    show(figures, rows)
    if options.out:
        config = {"exemplars": options.exemplars, "neighbors": options.neighbors, "benign_prompts": len(benign)}
        config |= {"topics": options.topics.name, "encoder": embedder.fingerprint}
        result = report.BenchResult(
            config=report.dated(config),
            versions=report.versions(),
            hardware=hardware,
            figures={name: round(value, 4) for name, value in figures.items()},
            samples={"by_accepted_false_positive_rate": rows},
        )
        report.write(result, options.out)


if __name__ == "__main__":
    main()
