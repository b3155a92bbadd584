"""How well entries are found: ours and naive gates over public suites, as a table, a result file and a picture.

    python -m benchmarks.detection_quality --out R.json [--plot P.png] [--sample 1500] [--suite people --suite tofu]

Each suite's entries and probes are written to files and judged by `expunge eval detection`, as a user would; the naive
gates see the same probes. `--sample N` draws about N probes a suite. The development data comes packed with the
benchmarks; another folder of the same shape is named by `--data`. What was left out is absent, never 0.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import orjson
from rich.console import Console
from rich.table import Table

from benchmarks import report
from benchmarks.detection import instructive, naive, pictures
from benchmarks.detection.development_data import DevelopmentData
from benchmarks.detection.measures import Gate, Judged, recall_at
from benchmarks.detection.suites import SUITES, Draw, Suite
from benchmarks.detection.table import ROWS
from guardrail import settings as settings_module
from guardrail.errors import GuardrailError
from guardrail.evaluation.detection import Job, evaluate
from guardrail.evaluation.figures import DetectionReport
from guardrail.evaluation.outcomes import read_outcomes
from guardrail.settings import Settings
from retrieval.errors import RetrievalError
from retrieval.settings import RetrievalSettings

OURS: Final = "expunge"
PACKED: Final = Path(__file__).parent / "data"
BASELINES: Final = ("name", "cosine_5", "cosine_1", "name_or_cosine_5", "name_or_cosine_1")


def judge(
    suite: Suite, settings: Settings, folder: Path, workers: int, console: Console
) -> tuple[Judged, DetectionReport]:
    """Our gate on one suite. Raises what `expunge eval detection` raises."""
    entries, probes = folder / f"{suite.name}_entries.jsonl", folder / f"{suite.name}_probes.jsonl"
    entries.write_bytes(b"\n".join(map(orjson.dumps, suite.entries)))
    probes.write_bytes(b"\n".join(map(orjson.dumps, suite.probes)))
    details = folder / f"{suite.name}_details.jsonl"
    job = Job(
        entries=entries,
        probes=probes,
        out=folder / f"{suite.name}.json",
        settings=settings,
        workers=workers,
        details=details,
    )
    with console.status(suite.name) as status:
        measured = evaluate(job, lambda stage, done, total: status.update(f"{suite.name}: {stage} {done}/{total}"))
    return Judged(probes=suite.probes, outcomes=read_outcomes(details)), measured


def judge_naively(suites: Mapping[str, Suite], cache: Path | None, console: Console) -> dict[str, dict[str, Judged]]:
    """The naive gates; their thresholds come from the people's neighbours."""
    found: dict[str, dict[str, Judged]] = {gate: {} for gate in BASELINES}
    if "people" not in suites:
        return found
    reader = naive.CosineReader(cache)
    with console.status("naive gates") as status:
        seen = {}
        for name, suite in suites.items():
            status.update(f"naive gates: {name}")
            seen[name] = reader.read(suite)
            reader.save()
    limits = naive.thresholds(suites["people"], seen["people"])
    for name, suite in suites.items():
        for gate, outcomes in naive.gates(suite, seen[name], limits).items():
            found[gate][name] = Judged(probes=suite.probes, outcomes=outcomes)
    return found


def result_of(
    gates: Mapping[str, Gate],
    reports: Mapping[str, DetectionReport],
    config: Mapping[str, Any],
    hardware: dict[str, Any],
) -> report.BenchResult:
    """The result file: our figures by name, everybody's in `samples`."""
    figures: dict[str, float] = {}
    rows: dict[str, Any] = {}
    for row in ROWS:
        for gate, judged in gates.items():
            share = row.measure(judged)
            if share is None:
                continue
            shown = {"value": round(share.value, 4), "ci95": share.interval, "n": share.total, "group": share.group}
            rows.setdefault(row.key, {"floor": row.floor, "aim": row.aim})[gate] = shown
            if gate == OURS:
                figures[row.key] = round(share.value, 4)
    ours = gates[OURS]
    for key, suite, match, none, rate in (
        ("tofu_recall_at_half_percent", "tofu", "tofu/forget10", "tofu/retain90", 0.005),
        ("topics_recall_at_one_percent", "topics", "topic/", "near/", 0.01),
        ("people_input_recall_at_one_percent", "people", "forget", "neighbor_level", 0.01),
    ):
        if suite in ours and (value := recall_at(ours[suite], match, none, rate)) is not None:
            figures[key] = round(value, 4)
    samples = {
        "rows": rows,
        "suites": {name: one.model_dump(mode="json", exclude_none=True) for name, one in reports.items()},
        "errors": {name: instructive.errors_of(judged) for name, judged in ours.items()},
    }
    return report.BenchResult(
        config=report.dated(config), versions=report.versions(), hardware=hardware, figures=figures, samples=samples
    )


def show(result: report.BenchResult, gates: Sequence[str], console: Console) -> None:
    """The table, with floors and aims."""
    table = Table(title="Shares in per cent; [bold]bold[/bold]: the floor is reached")
    for column in ("figure", "floor", "aim", "95 %", *gates):
        table.add_column(column, justify="left" if column == "figure" else "right")
    for row in ROWS:
        told = result.samples["rows"].get(row.key)
        if told is None:
            continue
        sign, own = "<=" if row.at_most else ">=", told.get(OURS)
        spread = f"{own['ci95'][0] * 100:.1f}-{own['ci95'][1] * 100:.1f}" if own else ""
        cells = [_cell(told[gate]["value"], row.holds(told[gate]["value"])) if gate in told else "" for gate in gates]
        group = f" ({own['group'].rpartition('/')[2]})" if own and own["group"] else ""
        table.add_row(row.label + group, f"{sign} {row.floor:.2%}", f"{sign} {row.aim:.2%}", spread, *cells)
    console.print(table)


def _cell(value: float, holds: bool) -> str:
    return f"[bold]{value * 100:.2f}[/bold]" if holds else f"{value * 100:.2f}"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="result file (JSON)")
    parser.add_argument("--plot", type=Path, help="picture (PNG)")
    parser.add_argument("--data", type=Path, default=PACKED, help="folder of the development data")
    parser.add_argument("--suite", action="append", choices=list(SUITES), help="only these; may be said several times")
    parser.add_argument("--sample", type=int, help="about this many probes a suite")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1, help="processes that judge")
    parser.add_argument("--config", type=Path, help="configuration to judge; embedder minilm-int8 by default")
    parser.add_argument("--no-naive", action="store_true", help="leave the naive gates out")
    parser.add_argument("--work", type=Path, help="keep each suite's files here; a broken-off run goes on from them")
    return parser.parse_args()


def main() -> None:
    """Measure, print, write, draw."""
    options, console = _options(), Console(stderr=True)
    default = Settings(retrieval=RetrievalSettings(embedder="minilm-int8"))
    hardware, draw = report.hardware(), Draw(sample=options.sample, seed=options.seed)
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.work or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        try:
            settings = settings_module.load(options.config) if options.config else default
            data = DevelopmentData(options.data)
            suites = {name: SUITES[name](data, draw) for name in options.suite or SUITES}
            ours, reports = {}, {}
            for name, suite in suites.items():
                ours[name], reports[name] = judge(suite, settings, folder, options.workers, console)
        except (GuardrailError, RetrievalError) as error:
            sys.exit(f"Error: {error}")
    gates: dict[str, Gate] = {OURS: ours}
    if not options.no_naive:
        gates |= judge_naively(suites, options.work / "cosines.npz" if options.work else None, console)
    config = {
        "sample": options.sample,
        "seed": options.seed,
        "suites": list(suites),
        "quick": options.sample is not None,
    }
    result = result_of(gates, reports, config, hardware)
    report.write(result, options.out)
    show(result, list(gates), Console())
    if options.plot:
        pictures.draw(gates, options.plot)


if __name__ == "__main__":
    main()
