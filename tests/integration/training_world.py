"""What each of several processes does in the tests of training under a launcher; one process does it for comparison.

    python training_world.py one OUT
    python -m torch.distributed.run --nproc-per-node 2 training_world.py plain OUT
    accelerate launch --config_file FSDP.yaml training_world.py cut OUT

There is no GPU: processes are CPU processes with gloo. accelerate gives those no FSDP, so `cut` makes it take them for
GPUs; everything from there on (FSDP 2 as the launcher's environment says, cutting, gathering) is the real thing.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from accelerate.utils import DistributedType, FullyShardedDataParallelPlugin
from torch.distributed.fsdp import FSDPModule

from finetune.consolidation.run import run
from finetune.errors import FinetuneError
from finetune.methods.language import make_method
from finetune.methods.language.fine_tuning import FineTuning
from finetune.methods.language.task_vector import TaskVector
from finetune.training.loop import StepReport, Trainer
from finetune.training.model_files import save_adapter, save_merged
from finetune.training.processes import launched
from tests.unit.finetune.consolidation import tiny_run
from tests.unit.finetune.training.tiny_training import logits_of, tiny_data, tiny_model, tiny_plan

WHERE: dict[str, dict[str, Any]] = {
    "full": {"kind": "full"},
    "modules": {"kind": "modules", "patterns": [r"model\.layers\.\d\.mlp\.down_proj", r"model\.norm"]},
    "lora": {"kind": "lora", "rank": 4, "alpha": 8},
}
TRIED = {
    "full": ("grad_diff", "npo", "rmu"),
    "modules": ("fine_tuning", "npo"),
    "lora": ("fine_tuning", "npo", "rmu"),
}
METHODS: dict[str, Callable[[], Any]] = {
    "fine_tuning": FineTuning,
    "grad_diff": lambda: make_method("grad_diff"),
    "npo": lambda: make_method("npo"),
    "rmu": lambda: make_method("rmu", layer=0, retain_weight=1.0),  # leaves what lies above without gradients
}
SEQUENCES = 17
"""In steps of 8: the last step of an epoch has one, and the second process nothing."""


class Interruption(Exception):
    """Stands for a machine that goes away, in all processes at once."""


def plan_of(where: str, **changes: Any) -> Any:
    """The same steps of 8 sequences for every number of processes, in two micro-batches each."""
    share = 4 // PartialState().num_processes
    how = {"where": WHERE[where], "batch_size": share, "accumulation": 2, "epochs": 1, "max_grad_norm": 0.01}
    return tiny_plan(**(how | changes))


def trained(where: str, method: Any, **options: Any) -> tuple[Trainer, list[StepReport]]:
    """After three steps, all cut by clipping."""
    changes, reports = options.pop("changes", {}), []

    def note(report: StepReport) -> bool:
        reports.append(report)
        return False

    trainer = Trainer(
        tiny_model(),
        tiny_data(forget=SEQUENCES),
        plan_of(where, **changes),
        **({"needs": method.needs, "on_step": note} | options),
    )
    trainer.train(method)
    return trainer, reports


def every_way(out: Path) -> dict[str, Any]:
    """Weights and reports of every method in every way to train, and files of what was trained."""
    found: dict[str, Any] = {}
    for where, names in TRIED.items():
        for name in names:
            trainer, reports = trained(where, METHODS[name]())
            weights = trainer.weights()
            found[f"{where} {name}"] = {
                "weights": weights,
                "losses": [report.loss for report in reports],
                "norms": [report.grad_norm for report in reports],
                "logits": logits_of(trainer.model),
                "cut": sum(isinstance(module, FSDPModule) for module in trainer.model.modules()),
            }
            trainer.reset()
            found[f"{where} {name}"]["logits after reset"] = logits_of(trainer.model)
            trainer.add({key: value - trainer.weights()[key] for key, value in weights.items()})
            if name == "npo":
                whole = trainer.whole_model()
                if whole is not None and where == "lora":
                    save_adapter(whole, out / "adapter", base="tiny")
                if whole is not None:
                    save_merged(whole, out / f"merged-{where}")
    return found


def recipe() -> dict[str, Any]:
    """Two trainings and vectors between them."""
    method = TaskVector()
    trainer = Trainer(tiny_model(), tiny_data(forget=SEQUENCES), plan_of("full"), needs=method.needs)
    method.run(trainer)
    return {"weights": trainer.weights()}


def resumed(out: Path, where: str, *, interrupted: bool) -> dict[str, Any]:
    """Six steps; if `interrupted`, a run that was broken off in its third step and began anew."""
    folder, method = out / f"checkpoints-{where}", make_method("npo")
    changes = {"save_every_steps": 1, "epochs": 2}

    def break_off(report: StepReport) -> bool:
        if report.step == 3:
            raise Interruption
        return False

    if interrupted:
        try:
            trained(where, method, changes=changes, checkpoints=folder, on_step=break_off)
        except Interruption:
            PartialState().wait_for_everyone()
    trainer, reports = trained(where, method, changes=changes, checkpoints=folder)
    return {"steps": [report.step for report in reports], "weights": trainer.weights()}


def consolidated(out: Path) -> dict[str, Any]:
    """A whole run, then the same request once more."""
    base, state = out.parent / "base", PartialState()
    said: list[str] = []
    # The tiny model knows little but what is to be forgotten: its own answers are left out, but each process must get them.
    wanted = replace(
        tiny_run.request(base, out.parent, out=out / "run", retain_generated=4),
        plan=tiny_run.plan(epochs=1, batch_size=2 // state.num_processes),
    )
    result = run(wanted, said.append)
    again = run(wanted, said.append)
    heard: list[Any] = [None] * state.num_processes
    if state.num_processes > 1:
        torch.distributed.all_gather_object(heard, said)
    else:
        heard = [said]
    assert again.manifest == result.manifest
    return {"heard": heard, "files": sorted(result.manifest.files), "work": result.manifest.work}


def refused(how: str) -> dict[str, str]:
    """Processes that were not given the same, and launches that would not do what the plan says."""
    place = PartialState().process_index
    told = {}
    for what, model, forget in (("model", tiny_model(seed=place), 5), ("data", tiny_model(), 5 + place)):
        try:
            Trainer(model, tiny_data(forget=forget), plan_of("full"))
        except FinetuneError as error:
            told[what] = str(error)
    if how != "cut":
        return told
    for option in ("cpu_ram_efficient_loading", "activation_checkpointing", "cpu_offload"):
        plugin = FullyShardedDataParallelPlugin(fsdp_version=2, **{option: True})
        accelerator = launched()
        proper, accelerator.state.fsdp_plugin = accelerator.state.fsdp_plugin, plugin
        try:
            Trainer(tiny_model(), tiny_data(forget=5), plan_of("full"), accelerator=accelerator)
        except FinetuneError as error:
            told[option] = str(error)
        accelerator.state.fsdp_plugin = proper
    return told


def main() -> None:
    """As the first argument says."""
    torch.set_num_threads(1)
    how, out = sys.argv[1], Path(sys.argv[2])
    state = PartialState(cpu=True)
    if how == "cut":
        state._shared_state["distributed_type"] = DistributedType.MULTI_GPU
    if how == "broken" and state.is_main_process:  # the other one waits for it
        consolidated(out)
    if how == "broken":
        state.wait_for_everyone()
    found: dict[str, Any] = {"processes": state.num_processes, "every way": every_way(out), "recipe": recipe()}
    found |= {where: resumed(out, where, interrupted=how != "one") for where in ("full", "lora")}
    if how != "one":
        found |= {"refused": refused(how)}
    found["run"] = consolidated(out)
    if state.is_main_process:
        torch.save(found, out / "found.pt")
    state.destroy_process_group()


if __name__ == "__main__":
    main()
