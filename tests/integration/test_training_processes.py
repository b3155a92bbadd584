"""Two processes, plain or with weights cut up by FSDP 2, take the very steps that one takes, and write the same files."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LlamaForCausalLM

from finetune.consolidation.manifest import read_manifest
from finetune.training.model_files import with_adapter
from tests.architecture.source_tree import ROOT
from tests.integration.training_world import TRIED
from tests.unit.finetune.consolidation.tiny_run import save_corpus, save_knowing_model
from tests.unit.finetune.training.tiny_training import logits_of, tiny_model

pytestmark = pytest.mark.slow

PROGRAM = str(ROOT / "tests/integration/training_world.py")
PLAIN = ("-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-addr", "127.0.0.1", "--master-port")
CUT = ("-m", "accelerate.commands.launch", "--config_file", str(ROOT / "finetune/fsdp.yaml"), "--main_process_port")
WAYS = [f"{where} {name}" for where, names in TRIED.items() for name in names]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where every launch leaves what it found; a model for whole runs lies beside."""
    made = tmp_path_factory.mktemp("processes")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    save_knowing_model(made / "base")
    save_corpus(made / "corpus")
    torch.set_num_threads(threads)
    return made


@pytest.fixture(scope="module")
def one(folder: Path) -> dict[str, Any]:
    """What one process found."""
    return launched(folder / "one")


@pytest.fixture(scope="module", params=["plain", "cut"])
def two(folder: Path, request: pytest.FixtureRequest) -> dict[str, Any]:
    """What two found."""
    return launched(folder / request.param, *(PLAIN if request.param == "plain" else CUT), free_port())


def start(out: Path, *launcher: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *launcher, PROGRAM, out.name, str(out)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def launched(out: Path, *launcher: str) -> dict[str, Any]:
    """What the program found, started by a launcher."""
    out.mkdir()
    done = start(out, *launcher)
    assert done.returncode == 0, done.stderr[-4000:]
    found: dict[str, Any] = torch.load(out / "found.pt", weights_only=True)
    return found | {"how": out.name, "out": out}


def free_port() -> str:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return str(one.getsockname()[1])


def assert_close(ours: Mapping[str, torch.Tensor], theirs: Mapping[str, torch.Tensor]) -> None:
    assert ours.keys() == theirs.keys()
    for name, weight in theirs.items():
        torch.testing.assert_close(ours[name], weight, rtol=0, atol=1e-5)


@pytest.mark.parametrize("way", WAYS)
def test_two_processes_take_the_steps_of_one_though_the_last_is_short_and_gradients_are_cut(
    way: str, one: dict[str, Any], two: dict[str, Any]
) -> None:
    assert (one["processes"], two["processes"]) == (1, 2)
    ours, theirs = two["every way"][way], one["every way"][way]
    assert len(theirs["norms"]) == 3
    assert min(theirs["norms"]) > 0.01
    assert ours["losses"] == pytest.approx(theirs["losses"], abs=1e-4)
    assert ours["norms"] == pytest.approx(theirs["norms"], abs=1e-4)
    assert_close(ours["weights"], theirs["weights"])
    torch.testing.assert_close(ours["logits"], theirs["logits"], rtol=0, atol=1e-4)


@pytest.mark.parametrize("way", WAYS)
def test_weights_are_cut_up_layer_by_layer_only_as_configured(way: str, two: dict[str, Any]) -> None:
    cut = two["every way"][way]["cut"]
    layers, ends, whole = 2, 2, 1
    assert cut == 0 if two["how"] == "plain" else cut >= layers + ends + whole


@pytest.mark.parametrize("way", WAYS)
def test_going_back_to_the_start_is_seen_by_the_next_forward_pass(
    way: str, one: dict[str, Any], two: dict[str, Any]
) -> None:
    for found in (one, two):
        torch.testing.assert_close(
            found["every way"][way]["logits after reset"], logits_of(tiny_model()), rtol=0, atol=1e-5
        )


def test_a_recipe_with_vectors_of_weights_gives_the_same(one: dict[str, Any], two: dict[str, Any]) -> None:
    assert_close(two["recipe"]["weights"], one["recipe"]["weights"])


@pytest.mark.parametrize("where", ["full", "lora"])
def test_a_run_that_was_interrupted_goes_on_from_its_checkpoint(
    where: str, one: dict[str, Any], two: dict[str, Any]
) -> None:
    assert two[where]["steps"] == [3, 4, 5, 6]
    assert_close(two[where]["weights"], one[where]["weights"])


def test_what_is_written_loads_in_one_process_as_the_model_that_was_trained(two: dict[str, Any]) -> None:
    load: Any = LlamaForCausalLM
    trained = {where: two["every way"][f"{where} npo"]["logits"] for where in TRIED}
    for where, logits in trained.items():
        whole = load.from_pretrained(two["out"] / f"merged-{where}")
        torch.testing.assert_close(logits_of(whole), logits, rtol=0, atol=1e-4)
    adapted = with_adapter(tiny_model(), two["out"] / "adapter")
    torch.testing.assert_close(logits_of(adapted), trained["lora"], rtol=0, atol=1e-4)


def test_processes_that_were_not_given_the_same_are_refused(two: dict[str, Any]) -> None:
    assert "2 processes do not have the same model." in two["refused"]["model"]
    assert "2 processes do not have the same data." in two["refused"]["data"]


def test_options_of_fsdp_under_which_the_plan_would_not_hold_are_refused(two: dict[str, Any]) -> None:
    if two["how"] == "plain":
        assert two["refused"].keys() == {"model", "data"}
        return
    assert "fsdp_cpu_ram_efficient_loading is on; set it to false" in two["refused"]["cpu_ram_efficient_loading"]
    assert "fsdp_activation_checkpointing is on; set it to false" in two["refused"]["activation_checkpointing"]
    assert "fsdp_offload_params is on; set it to false" in two["refused"]["cpu_offload"]


def test_a_whole_run_is_written_and_told_once_and_found_done_by_the_same_processes(
    folder: Path, one: dict[str, Any], two: dict[str, Any]
) -> None:
    main, other = two["run"]["heard"]
    assert main[:-1] == one["run"]["heard"][0][:-1]
    assert main[-1] == f"This run is done already: {two['out'] / 'run'}."
    assert other == []
    assert read_manifest(two["out"] / "run").files.keys() == set(two["run"]["files"])
    assert two["run"]["files"] == one["run"]["files"]
    kept = {name: value for name, value in one["run"]["work"].items() if name != "plan"}  # its batch_size is half
    assert two["run"]["work"] == kept | {"plan": two["run"]["work"]["plan"], "number of processes": "2"}
    weights = [folder / how / "run/adapter" for how in ("one", two["how"])]
    load: Any = LlamaForCausalLM
    ours, theirs = (logits_of(with_adapter(load.from_pretrained(folder / "base"), place)) for place in weights)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-4)


def test_an_error_in_the_main_process_ends_all(folder: Path) -> None:
    out = folder / "broken"
    (out / "run").mkdir(parents=True)
    (out / "run/stranger.txt").write_text("not of a run", encoding="utf-8")
    done = start(out, *PLAIN, free_port())
    assert done.returncode != 0
    assert "holds what no run wrote" in done.stderr
    assert not list(out.glob("run/adapter*"))
