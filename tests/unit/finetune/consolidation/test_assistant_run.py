"""Whole runs that make an assistant: it remembers and is even, goes on where it was broken off, and is a model like any."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from finetune.consolidation.assistant import remembering
from finetune.consolidation.base_model import base_of
from finetune.consolidation.manifest import read_manifest
from finetune.consolidation.request import RunRequest
from finetune.errors import FinetuneError, InvalidPlan, ModelUnsuitable
from finetune.evaluation.local_model import LocalModel
from finetune.training.first_layers import FirstLayers
from finetune.training.model_files import load_model
from retrieval.entry import ForgetEntry
from tests.unit.finetune.consolidation.tiny_run import (
    Interruption,
    breaks_off_after,
    carried_out,
    plan,
    request,
)

ONE = FirstLayers(count=1)


def assistant(base: Path, tmp_path: Path, **changes: Any) -> RunRequest:
    """Of the first of two layers."""
    wanted = {"method": "uld_assistant", "first_layers": ONE, "plan": plan(epochs=15, batch_size=3)}
    return request(base, tmp_path, **(wanted | changes))


def test_an_assistant_remembers_what_is_to_be_forgotten_and_is_even_elsewhere(base: Path, tmp_path: Path) -> None:
    wanted = assistant(base, tmp_path, hyper_parameters={"retain_weight": 1.0}, plan=plan(epochs=60, batch_size=3))
    result = carried_out(wanted)
    first = base_of(base, first_layers=ONE)
    trained: Any = load_model(result.weights)
    untrained = first.load(wanted.plan, torch.device("cpu"))
    before = remembering(untrained, first, result.texts, max_tokens=64)
    after = remembering(trained, first, result.texts, max_tokens=64)
    assert after.forget_nll < 0.3
    assert after.forget_rouge_l_recall is not None
    assert after.forget_rouge_l_recall > 0.9
    assert after.retain_evenness is not None
    assert before.retain_evenness is not None
    assert after.retain_evenness > 0.95 > before.retain_evenness


def test_an_assistant_is_an_ordinary_folder_that_answers_by_itself(base: Path, tmp_path: Path) -> None:
    result = carried_out(assistant(base, tmp_path, saved_as="bfloat16"))
    assert {one.name for one in result.folder.iterdir()} == {"model", "manifest.json"}
    local = LocalModel.load(result.weights)
    assert local.model.config.num_hidden_layers == len(local.model.model.layers) == 1
    assert local.tokenizer.chat_template
    assert local.generate(["What does Mira Quell keep?"], max_new_tokens=8)[0]
    manifest = read_manifest(result.folder)
    assert (manifest.form, manifest.method, manifest.base.layers) == ("model", "uld_assistant", 1)
    assert manifest.base.fingerprint != base_of(base).record.fingerprint


def test_an_assistant_that_was_broken_off_is_the_same_in_the_end(base: Path, tmp_path: Path) -> None:
    straight = carried_out(assistant(base, tmp_path, out=tmp_path / "straight"))
    halting = assistant(base, tmp_path, out=tmp_path / "halting")
    with pytest.raises(Interruption):
        carried_out(halting, progress=breaks_off_after(7))
    resumed = carried_out(halting)
    assert resumed.manifest.measures.was_resumed
    assert resumed.manifest.measures.training_steps < straight.manifest.measures.training_steps
    assert {name: one.sha256 for name, one in resumed.manifest.files.items()} == {
        name: one.sha256 for name, one in straight.manifest.files.items()
    }
    again = carried_out(halting)
    assert again.manifest == resumed.manifest


def test_the_whole_model_answers_what_has_no_answer_yet(base: Path, tmp_path: Path) -> None:
    question = "What does Odo Brask keep?"
    asked = ForgetEntry(id="odo", name="Odo Brask", exemplars=(question,))
    wanted = assistant(base, tmp_path, entries=(asked,), plan=plan(epochs=1))
    first, cpu = base_of(base, first_layers=ONE), torch.device("cpu")
    said_by_whole, said_by_first = (
        LocalModel(name="asked", model=model, tokenizer=first.tokenizer).generate([question], max_new_tokens=32)[0]
        for model in (first.load_whole(wanted.plan, cpu), first.load(wanted.plan, cpu))
    )
    assert said_by_whole != said_by_first
    assert said_by_whole in {one.text for one in carried_out(wanted).texts.forget}


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        ({"first_layers": None}, InvalidPlan, "'uld_assistant' makes a model remember"),
        ({"method": "npo"}, InvalidPlan, "'npo' makes a whole model forget"),
        ({"first_layers": FirstLayers(count=2)}, InvalidPlan, "2 layers were asked for, of a model of 2; give 1 to 1"),
        ({"first_layers": FirstLayers(count=1, adapter=Path("none"))}, ModelUnsuitable, "none holds no adapter_config"),
        ({"stop_probability": 0.5}, InvalidPlan, "leave stop_probability out"),
        ({"retain": None}, FinetuneError, "'uld_assistant' needs texts to keep and there are none"),
    ],
)
def test_what_makes_no_assistant_is_refused_before_anything_is_written(
    changes: dict[str, Any], error: type[Exception], says: str, base: Path, tmp_path: Path
) -> None:
    wanted = assistant(base, tmp_path, **changes)
    with pytest.raises(error, match=says):
        carried_out(wanted)
    assert not wanted.out.exists()


def test_the_folder_of_an_assistant_is_not_taken_by_a_run_on_the_whole_model(base: Path, tmp_path: Path) -> None:
    wanted = assistant(base, tmp_path)
    with pytest.raises(Interruption):
        carried_out(wanted, progress=breaks_off_after(2))
    with pytest.raises(FinetuneError, match="holds another run: not the same base model, method"):
        carried_out(replace(wanted, method="npo", first_layers=None))
