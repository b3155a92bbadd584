"""A launcher whose processes write what a job's process writes, at once: weights, a manifest, figures of a judge."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from finetune.consolidation.base_model import BaseRecord
from finetune.consolidation.manifest import EntryRecord, Manifest, files_below, write_manifest
from finetune.consolidation.measures import Measures
from finetune.consolidation.order import JobFolder, JudgedWeights, Order
from finetune.data.data_card import DataCard
from finetune.evaluation.report import Figure, SplitFigures
from finetune.evaluation.run import JudgedFigures


def judged_figures(leak: float = 0.02) -> JudgedFigures:
    """Of weights that leak so much and have lost nothing."""

    def split(**values: float) -> SplitFigures:
        return SplitFigures(
            measured={name: Figure(value=value, n=40, ci95=None, version=1) for name, value in values.items()}
        )

    return JudgedFigures(
        identity={},
        accuracy={"forget": split(leak_rate=leak, gibberish_rate=0.0)},
        generalizability={"paraphrase": split(leak_rate=leak), "adversarial": split(leak_rate=leak)},
        locality={name: split(rouge_l_recall=0.8) for name in ("neighbor", "retain", "utility")},
    )


def write_run(folder: JobFolder, order: Order) -> None:
    """An adapter of a few bytes, and its manifest."""
    (folder.run / "adapter").mkdir(parents=True, exist_ok=True)
    (folder.run / "adapter" / "adapter_model.safetensors").write_bytes(order.method.encode())
    card = DataCard(seed=0, training={}, evaluation={}, entries={}, sources={}, left_out={})
    manifest = Manifest(
        form="adapter",
        method=order.method,
        paper="none",
        hyper_parameters={},
        plan=None,
        seed=order.seed,
        base=BaseRecord(name=order.base, fingerprint="ab" * 32, known_by="content"),
        entries={
            str(one.entry.id): EntryRecord(revision=one.revision, fingerprint=one.entry.fingerprint())
            for one in order.entries
        },
        data=card,
        work={},
        measures=Measures(
            device="cpu",
            run_s=1,
            training_s=1,
            training_steps=2,
            training_tokens=None,
            tokens_per_s=None,
            peak_host_bytes=None,
            peak_device_bytes=None,
            was_resumed=False,
        ),
        versions={},
        files=files_below(folder.run, "adapter"),
    )
    write_manifest(folder.run, manifest)


@dataclass
class FakeLauncher:
    """`leaks` of the weights that are made, one a launch (the last one stays); `codes` the same for exit codes; `during` is
    called in the middle of every process."""

    name: ClassVar[str] = "fake"

    leaks: Sequence[float] = (0.02,)
    codes: Sequence[int] = (0,)
    during: Callable[[], None] = lambda: None
    orders: list[Order] = field(default_factory=list)
    stopped: int = 0

    def launch(self, command: Sequence[str], *, log: Path, environment: Mapping[str, str]) -> FakeProcess:
        """Started when its lines are read."""
        log.write_text("it said so\n")
        return FakeProcess(self, JobFolder(Path(command[-1])), len(self.orders))


@dataclass
class FakeProcess:
    """One of its processes."""

    launcher: FakeLauncher
    folder: JobFolder
    number: int

    def lines(self) -> Iterator[str]:
        """Training, judging, and everything written in between."""
        order = self.folder.read_order()
        self.launcher.orders.append(order)
        yield '{"stage":"train","done":1,"total":2,"loss":0.5,"left_s":1.0}'
        self.launcher.during()
        yield ""
        if self.wait() != 0:
            return
        write_run(self.folder, order)
        yield '{"stage":"evaluate","of":"edited: forget","done":40,"total":40}'
        leak = self.launcher.leaks[min(self.number, len(self.launcher.leaks) - 1)]
        models = {"none": judged_figures(0.9), "edited": judged_figures(leak)}
        models |= {f"edited+{attack}": judged_figures(leak) for attack in order.attacks}
        self.folder.write_judged(JudgedWeights(models=models, seconds=1.0))

    def wait(self) -> int:
        """The exit code of this launch."""
        return self.launcher.codes[min(self.number, len(self.launcher.codes) - 1)]

    def error(self) -> str:
        """The last line of stderr."""
        return "it said so"

    def stop(self) -> None:
        """Counted."""
        self.launcher.stopped += 1
