"""Result files: one JSON with config, versions, hardware, figures and samples, and a plot drawn from it.

A figure is the median over runs; `samples` keeps each run's value. What was not measured is absent, never 0. Names
carry their unit (`_ms`, `_us_per_chunk`, `_mb`, `_rps`). It knows nothing of what is measured.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import psutil
from pydantic import BaseModel, ConfigDict, Field

MEASURED_LIBRARIES = ("expunge", "aiohttp", "uvicorn", "uvloop", "httptools", "orjson", "onnxruntime", "faiss-cpu")


class BenchResult(BaseModel):
    """A result file's content."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    config: dict[str, Any]
    versions: dict[str, str]
    hardware: dict[str, Any]
    figures: dict[str, float] = Field(min_length=1)
    samples: dict[str, Any]


class Runs:
    """Collects each figure's value run by run."""

    def __init__(self) -> None:
        self._values: dict[str, list[float]] = {}

    def add(self, **values: float) -> None:
        """One run's values of some figures."""
        for name, value in values.items():
            self._values.setdefault(name, []).append(value)

    def figures(self) -> dict[str, float]:
        """Median of each figure over the runs, to four decimals."""
        return {name: round(statistics.median(values), 4) for name, values in self._values.items()}

    def samples(self) -> dict[str, Any]:
        """Every value, with the range that the runs span."""
        return {
            name: {"runs": [round(value, 4) for value in values], "min": min(values), "max": max(values)}
            for name, values in self._values.items()
        }


def versions(libraries: Sequence[str] = MEASURED_LIBRARIES) -> dict[str, str]:
    """Python and the libraries that are installed."""
    found = {"python": platform.python_version()}
    for name in libraries:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def hardware() -> dict[str, Any]:
    """The machine, and how busy it already was."""
    return {
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "load_1min_before": round(os.getloadavg()[0], 2),
    }


def dated(config: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration with the time of the measurement."""
    return {**config, "measured_at": datetime.now(UTC).isoformat(timespec="seconds")}


def write(result: BenchResult, path: Path) -> None:
    """Write the JSON file; its folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(orjson.dumps(result.model_dump(), option=orjson.OPT_INDENT_2) + b"\n")


def read(path: Path) -> BenchResult:
    """Read a JSON file; raises `pydantic.ValidationError` where it is none of ours."""
    return BenchResult.model_validate(orjson.loads(path.read_bytes()))


def plot(result: BenchResult, path: Path, *, panels: Mapping[str, Sequence[str]], title: str) -> None:
    """Bars with the runs' range: one panel per title, one bar per figure; figures that were not measured are left out."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    drawn = {
        panel: present for panel, names in panels.items() if (present := [n for n in names if n in result.figures])
    }
    height = sum(0.45 * len(names) + 0.9 for names in drawn.values())
    ratios = [len(names) + 1 for names in drawn.values()]
    figure, axes = pyplot.subplots(len(drawn), 1, figsize=(8, height), squeeze=False, height_ratios=ratios)
    for axis, (panel, names) in zip(axes[:, 0], drawn.items(), strict=True):
        values = [result.figures[name] for name in names]
        below = [value - result.samples[name]["min"] for name, value in zip(names, values, strict=True)]
        above = [result.samples[name]["max"] - value for name, value in zip(names, values, strict=True)]
        bars = axis.barh(names, values, xerr=[[max(0.0, b) for b in below], [max(0.0, a) for a in above]], height=0.6)
        axis.bar_label(bars, fmt="{:,.4g}", padding=6)
        axis.set_title(panel, loc="left", fontsize=10)
        axis.invert_yaxis()
        axis.margins(x=0.2)
    figure.suptitle(title, fontsize=11)
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def _cpu_name() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or "unknown"
