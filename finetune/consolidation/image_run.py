"""One run on a diffusion model: a method takes concepts out of its weights, in closed form or by training.

    check request, model, folder -> prompts -> states or noisy pictures -> edit or train -> write weights -> write manifest

The folder is that of `run.py`, and so is going on after a stop. What is written is an edit (`retrieval.picture_edits`) that
a proxy can put into a running pipeline and take out again, or a low-rank addition as diffusers writes it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from finetune.consolidation.base_model import BaseRecord
from finetune.consolidation.manifest import EntryRecord, Manifest, files_below
from finetune.consolidation.measures import Measures, peak_host_bytes
from finetune.consolidation.out_folder import OutFolder
from finetune.data.concept_prompts import concept_texts, single_words
from finetune.data.data_card import data_card
from finetune.data.training_text import TrainingText
from finetune.data.whole_files import content_sha256
from finetune.errors import ModelUnsuitable
from finetune.evaluation.report import library_versions
from finetune.methods.image import EDITS, LOSSES, DenoisingLoss, TextEdit, make_method
from finetune.settings import DenoisingPlan
from finetune.training.denoising.bank import fill
from finetune.training.denoising.closed_form import edit_deltas
from finetune.training.denoising.loop import DenoisingReport, DenoisingTrainer
from finetune.training.denoising.pipelines import load_pipeline, pipeline_fingerprint, save_addition
from retrieval.concept_states.samples import ConceptTexts
from retrieval.entry import ForgetEntry
from retrieval.errors import UnfitPipeline
from retrieval.picture_edits import write_differences

Say = Callable[[str], None]
Drawing = Callable[[int, int], None]
"""Hears how many pictures to train on are drawn, and of how many."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageRunRequest:
    """`base` is a pipeline's folder, `out` the run's own. `revisions` are the entries' in the registry, by id."""

    base: Path
    out: Path
    method: str
    entries: Sequence[ForgetEntry]
    hyper_parameters: Mapping[str, Any] = field(default_factory=dict)
    plan: DenoisingPlan = field(default_factory=DenoisingPlan)
    revisions: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageRunResult:
    """A finished run."""

    folder: Path
    manifest: Manifest

    @property
    def weights(self) -> Path:
        """The folder of the edit."""
        return self.folder / self.manifest.form


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckedImageRun:
    """A request that passed the checks; `finished` if it was carried out before."""

    request: ImageRunRequest
    method: DenoisingLoss | TextEdit
    texts: ConceptTexts
    fingerprint: str
    folder: OutFolder
    finished: Manifest | None

    @property
    def plan(self) -> DenoisingPlan | None:
        """With the method's own rank where the plan names none; None for a method that trains nothing."""
        if self.request.method in EDITS:
            return None
        plan, own = self.request.plan, LOSSES[self.request.method].rank
        return plan if plan.rank is not None or own is None else plan.model_copy(update={"rank": own})


def check_image_run(request: ImageRunRequest) -> CheckedImageRun:
    """Everything that needs no model in memory. Raises `InvalidPlan`, `InvalidData`, `ModelUnsuitable` or
    `CheckpointBroken`."""
    method = make_method(request.method, **request.hyper_parameters)
    texts = (
        single_words(request.entries) if getattr(method, "prompts", "") == "single" else concept_texts(request.entries)
    )
    fingerprint = pipeline_fingerprint(request.base)
    by_plan = {} if request.method in EDITS else {"plan": request.plan.model_dump_json(exclude={"save_every_steps"})}
    work = {
        "base model": fingerprint,
        "method": content_sha256(repr(method)),
        "entries": content_sha256(
            [(one.fingerprint(), request.revisions.get(one.id or "")) for one in request.entries]
        ),
        "prompts": content_sha256([texts.pairs, texts.kept]),
        **by_plan,
    }
    folder = OutFolder(path=request.out, work=work)
    return CheckedImageRun(
        request=request, method=method, texts=texts, fingerprint=fingerprint, folder=folder, finished=folder.finished()
    )


def run_on_images(
    request: ImageRunRequest,
    say: Say,
    *,
    drawing: Drawing = lambda done, of: None,
    progress: Callable[[DenoisingReport], None] | None = None,
) -> ImageRunResult:
    """Carry out the request. Raises as `check_image_run` before any work, and `TrainingDiverged` in the middle of it."""
    started = time.perf_counter()
    checked = check_image_run(request)
    folder = checked.folder
    if checked.finished is not None:
        say(f"This run is done already: {request.out}.")
        folder.tidy()
        return ImageRunResult(folder=request.out, manifest=checked.finished)
    pipeline = load_pipeline(request.base)
    count = _Count(progress, drawing)
    with folder.held():
        was_resumed = folder.claim()
        try:
            carry_out = _edited if checked.plan is None else _trained
            write = carry_out(pipeline, checked, say, count)
        except UnfitPipeline as error:
            raise ModelUnsuitable(f"{request.base}: {error}.") from None
        say("Writing the weights.")
        folder.write_weights("edit", write)
        measures = count.measures(pipeline, run_s=time.perf_counter() - started, was_resumed=was_resumed)
        manifest = _manifest(checked, measures)
        folder.finish(manifest)
    return ImageRunResult(folder=request.out, manifest=manifest)


def _edited(pipeline: Any, checked: CheckedImageRun, say: Say, count: _Count) -> Callable[[Path], None]:
    method: Any = checked.method
    say(f"Editing by {method.name}: {len(checked.texts.pairs)} pairs of prompts, {len(checked.texts.kept)} to keep.")
    started = time.perf_counter()
    deltas = edit_deltas(pipeline, checked.texts, method)
    count.computed(time.perf_counter() - started)
    return lambda place: write_differences(place, deltas)


def _trained(pipeline: Any, checked: CheckedImageRun, say: Say, count: _Count) -> Callable[[Path], None]:
    method: Any = checked.method
    plan = checked.plan or checked.request.plan
    say(f"Drawing what {method.name} is trained on: {len(checked.texts.pairs)} pairs of prompts.")
    bank = fill(pipeline, checked.texts, method.needs, plan, tell=count.drawn)
    say(f"Training by {method.name}: {plan.steps} steps.")
    trainer = DenoisingTrainer(
        pipeline,
        bank,
        plan,
        where=method.where,
        checkpoints=checked.folder.checkpoints,
        work=dict(checked.folder.work),
        progress=count,
    )
    trainer.train(method)
    if plan.rank is not None:
        return lambda place: save_addition(pipeline, place)
    return lambda place: write_differences(place, trainer.deltas())


class _Count:
    """Counts steps as they are reported, and passes the reports on."""

    def __init__(self, progress: Callable[[DenoisingReport], None] | None, drawing: Drawing) -> None:
        self._progress, self.drawn = progress, drawing
        self._steps, self._seconds = 0, 0.0

    def __call__(self, report: DenoisingReport) -> None:
        self._steps += 1
        self._seconds += report.step_s
        if self._progress is not None:
            self._progress(report)

    def computed(self, seconds: float) -> None:
        """An edit in closed form, which has no steps."""
        self._seconds += seconds

    def measures(self, pipeline: Any, *, run_s: float, was_resumed: bool) -> Measures:
        device = torch.device(pipeline.device)
        on_gpu = device.type == "cuda"
        return Measures(
            device=torch.cuda.get_device_name(device) if on_gpu else device.type,
            run_s=run_s,
            training_s=self._seconds,
            training_steps=self._steps,
            training_tokens=None,
            tokens_per_s=None,
            peak_host_bytes=peak_host_bytes(),
            peak_device_bytes=torch.cuda.max_memory_allocated(device) if on_gpu else None,
            was_resumed=was_resumed,
        )


def _manifest(checked: CheckedImageRun, measures: Measures) -> Manifest:
    request, plan = checked.request, checked.plan
    method: Any = checked.method  # a protocol does not say that it is a dataclass
    pairs = [TrainingText(id=f"p{n}", prompt=one, text=other) for n, (one, other) in enumerate(checked.texts.pairs)]
    kept = [TrainingText(id=f"k{n}", text=one) for n, one in enumerate(checked.texts.kept)]
    seed = plan.seed if plan is not None else 0
    return Manifest(
        form="edit",
        method=method.name,
        paper=method.paper,
        hyper_parameters=asdict(method),
        plan=plan,
        seed=seed,
        base=BaseRecord(name=str(request.base), fingerprint=checked.fingerprint, known_by="content"),
        entries={
            entry.id: EntryRecord(revision=request.revisions.get(entry.id), fingerprint=entry.fingerprint())
            for entry in request.entries
            if entry.id is not None
        },
        data=data_card(
            seed=seed,
            training={"forget": pairs, "retain": kept},
            evaluation=(),
            entries=request.entries,
            sources={"forget": "entries"},
        ),
        work=dict(checked.folder.work),
        measures=measures,
        versions=library_versions(),
        files=files_below(request.out, "edit"),
    )


__all__ = ["CheckedImageRun", "ImageRunRequest", "ImageRunResult", "check_image_run", "run_on_images"]
