"""`expunge eval detection`, read first: entries -> registered in a folder of its own -> probes judged -> report.

    read both files -> register -> build memory -> judge each probe -> figures

Resumable: a `RunFolder` beside the result keeps the registry and the outcomes so far; it serves again only the same
inputs, settings and program. It knows no terminal; `Progress` is told how far it is. Times are in milliseconds (`_ms`)
or seconds (`_s`).
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib.metadata
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any, Final, Protocol

import guardrail
import retrieval
from guardrail.evaluation.figures import DetectionReport, groups_of, overall_of, spread_of
from guardrail.evaluation.inputs import KnownEntry, Probe, read_entries, read_probes
from guardrail.evaluation.outcomes import Outcome
from guardrail.evaluation.proxy_under_test import ProxyUnderTest
from guardrail.evaluation.run_folder import RunFolder
from guardrail.evaluation.workers import judge_in_processes
from guardrail.settings import Settings

_LIBRARIES: Final = ("expunge", "onnxruntime", "faiss-cpu", "numpy", "tokenizers", "torch", "sentence-transformers")
_DECIDING_FILES: Final = (".py", ".onnx", ".npz", ".npy", ".json", ".txt")


class Progress(Protocol):
    """Told how far a stage is."""

    def __call__(self, stage: str, done: int, total: int) -> None: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """What is to be judged, and where the result goes. `details`: also a file of the outcomes, one probe a line."""

    entries: Path
    probes: Path
    out: Path
    settings: Settings
    workers: int = 1
    details: Path | None = None


def evaluate(job: Job, progress: Progress) -> DetectionReport:
    """Judge and write `job.out`. Raises `InvalidInput`, `EvaluationFailed` and what the embedder raises."""
    entries = read_entries(job.entries)
    probes = read_probes(job.probes, entries)
    folder = RunFolder(job.out, _key(job))
    report = asyncio.run(_Run(job, entries, probes, folder, progress)())
    job.out.write_text(report.model_dump_json(indent=2, exclude_none=True) + "\n", encoding="utf-8")
    folder.remove(details=job.details, order=[probe.number for probe in probes])
    return report


class _Run:
    """One run from registration to report."""

    def __init__(
        self, job: Job, entries: Sequence[KnownEntry], probes: Sequence[Probe], folder: RunFolder, progress: Progress
    ) -> None:
        self._job = job
        self._entries = entries
        self._probes = probes
        self._folder = folder
        self._progress = progress

    async def __call__(self) -> DetectionReport:
        subject = ProxyUnderTest(self._job.settings, self._entries, self._folder.data_dir, keeps_memory=True)
        await subject.start()
        try:
            memory_ready_s = await self._register(subject)
            index_bytes = subject.index_bytes()
            outcomes = await self._judge(subject)
        finally:
            await subject.stop()
        registered_ms = self._folder.registered_ms()
        return DetectionReport(
            config=_config(self._job, subject.fingerprint),
            versions=_versions(),
            entries=len(self._entries),
            probes=len(self._probes),
            overall=overall_of(outcomes),
            groups=groups_of(outcomes),
            register_ms=spread_of(registered_ms) if registered_ms else None,
            match_ms=spread_of([one.ms for one in outcomes]),
            memory_ready_s=memory_ready_s,
            index_bytes=index_bytes,
        )

    async def _register(self, subject: ProxyUnderTest) -> float | None:
        """Seconds until everything was in force; None where an earlier run had done a part."""
        started, total = perf_counter(), len(self._entries)
        earlier = done = len(self._folder.registered_ms())

        def added(took_ms: float) -> None:
            nonlocal done
            self._folder.add_registered(took_ms)
            done += 1
            self._progress("Registering entries", done, total)

        await subject.register(added)
        await subject.build_memory(lambda left: self._progress("Reading documents", total - left, total))
        return None if earlier else round(perf_counter() - started, 2)

    async def _judge(self, subject: ProxyUnderTest) -> list[Outcome]:
        known = {one.number: one for one in self._folder.outcomes()}
        left = [probe for probe in self._probes if probe.number not in known]
        with self._folder.outcome_file() as file:

            def keep(outcome: Outcome) -> None:
                file.add(outcome)
                known[outcome.number] = outcome
                self._progress("Judging probes", len(known), len(self._probes))

            if self._job.workers == 1:
                for probe in left:
                    keep(await subject.judge(probe))
            else:
                job, data_dir = self._job, self._folder.data_dir
                for outcome in judge_in_processes(job.settings, self._entries, data_dir, left, workers=job.workers):
                    keep(outcome)
        return [known[probe.number] for probe in self._probes]


def _config(job: Job, fingerprint: str) -> dict[str, Any]:
    """What decides the figures. No folders of this machine."""
    return {
        "entries_sha256": _digest(job.entries),
        "probes_sha256": _digest(job.probes),
        "workers": job.workers,
        "memory_fingerprint": fingerprint,
        "retrieval": job.settings.retrieval.model_dump(mode="json", exclude={"data_dir", "cache_dir"}),
        "policy": job.settings.policy.model_dump(mode="json"),
    }


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _key(job: Job) -> str:
    """Tells runs apart that may give other outcomes: inputs, settings, libraries and the program itself."""
    parts = [_digest(job.entries), _digest(job.probes), job.settings.model_dump_json(), repr(_versions())]
    for package in (guardrail, retrieval):
        folder = Path(package.__path__[0])
        parts += [_digest(path) for path in sorted(folder.rglob("*")) if path.suffix in _DECIDING_FILES]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
