"""Models that are not what their files say, plans beyond sense, and folders of somebody else: told, and left alone."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from finetune.consolidation.out_folder import OutFolder
from finetune.errors import CheckpointBroken, InvalidPlan, ModelUnsuitable
from finetune.evaluation.local_model import LocalModel
from finetune.evaluation.subjects import LocalSubjects
from finetune.training.model_files import load_model, with_adapter
from tests.unit.finetune.consolidation.tiny_run import carried_out, plan, request

Weights = dict[str, Tensor]


@pytest.fixture
def odd(base: Path, tmp_path: Path) -> Path:
    """A copy of the model, to be damaged."""
    return Path(shutil.copytree(base, tmp_path / "odd"))


def changed_weights(folder: Path, change: Callable[[Weights], Weights]) -> None:
    path = folder / "model.safetensors"
    save_file(change(load_file(path)), path, metadata={"format": "pt"})


def changed_config(folder: Path, **values: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | values), encoding="utf-8")


def without_a_layers_mlp(weights: Weights) -> Weights:
    return {name: one for name, one in weights.items() if "layers.1.mlp" not in name}


def with_a_broken_layer(weights: Weights) -> Weights:
    return {name: one * (float("nan") if "layers.1.mlp" in name else 1.0) for name, one in weights.items()}


def test_weights_that_no_file_holds_are_not_made_up(odd: Path, tmp_path: Path) -> None:
    changed_weights(odd, without_a_layers_mlp)

    with pytest.raises(ModelUnsuitable, match=r"3 of the weights .* are in none of its files .*layers\.1\.mlp"):
        carried_out(request(odd, tmp_path))
    with pytest.raises(ModelUnsuitable, match="3 of the weights"):
        LocalModel.load(odd)
    assert not (tmp_path / "out").exists()


def test_a_model_with_weights_that_are_no_numbers_is_not_judged(odd: Path) -> None:
    changed_weights(odd, with_a_broken_layer)

    with pytest.raises(ModelUnsuitable, match="3 weights that are no finite numbers"):
        LocalModel.load(odd)


@pytest.mark.parametrize(
    "change", [{"hidden_size": "wide"}, {"num_attention_heads": 5}, {"hidden_size": 64}, {"num_hidden_layers": 3}]
)
def test_a_configuration_that_does_not_fit_the_weights_is_told(
    odd: Path, tmp_path: Path, change: dict[str, object]
) -> None:
    changed_config(odd, **change)

    with pytest.raises(ModelUnsuitable):
        carried_out(request(odd, tmp_path))
    with pytest.raises(ModelUnsuitable):
        LocalModel.load(odd)


@pytest.mark.parametrize("template", ["{% for one in messages %}{{ one", "{{ raise_exception(messages[0].content) }}"])
def test_a_chat_template_that_fails_is_told_without_what_was_said(odd: Path, tmp_path: Path, template: str) -> None:
    (odd / "chat_template.jinja").write_text(template, encoding="utf-8")

    with pytest.raises(ModelUnsuitable, match="chat template cannot put a question") as told:
        carried_out(request(odd, tmp_path))
    assert "Quell" not in str(told.value)
    assert "question?" not in str(told.value)


@pytest.mark.parametrize("layers", [1, 3])
def test_an_adapter_of_a_deeper_or_flatter_model_is_not_put_on_in_part(base: Path, tmp_path: Path, layers: int) -> None:
    adapter = carried_out(request(base, tmp_path)).weights
    other = Path(shutil.copytree(base, tmp_path / "other"))
    changed_config(other, num_hidden_layers=layers)
    changed_weights(other, lambda weights: _with_layers(weights, layers))

    with pytest.raises(ModelUnsuitable, match="does not fit this model"):
        with_adapter(load_model(other), adapter)
    with pytest.raises(ModelUnsuitable, match="does not fit this model"):
        LocalModel.load(other, adapter=adapter)


def test_an_adapter_of_a_wider_model_or_a_damaged_one_is_told(base: Path, tmp_path: Path) -> None:
    adapter = carried_out(request(base, tmp_path)).weights
    (adapter / "adapter_model.safetensors").write_bytes(b"cut")

    with pytest.raises(ModelUnsuitable, match=r"cannot be loaded \(SafetensorError\)"):
        LocalModel.load(base, adapter=adapter)
    with pytest.raises(ModelUnsuitable, match="cannot be put on this model"):
        with_adapter(load_model(base), adapter)


def test_a_tokenizer_of_a_larger_model_is_told_before_the_model_is_asked(odd: Path) -> None:
    def first_tokens(weights: Weights) -> Weights:
        short = ("model.embed_tokens.weight", "lm_head.weight")
        return {name: one[:6].clone() if name in short else one for name, one in weights.items()}

    changed_weights(odd, first_tokens)
    changed_config(odd, vocab_size=6)
    model = LocalModel.load(odd)

    with pytest.raises(ModelUnsuitable, match="the model knows 6 tokens"):
        model.generate(["Where does Mira Quell live?"], max_new_tokens=2)
    with pytest.raises(ModelUnsuitable, match="the model knows 6 tokens"):
        model.token_facts(["Where does Mira Quell live?"], ["in a mill"])


@pytest.mark.parametrize("change", [{"learning_rate": float("inf")}, {"learning_rate": 1e38}, {"weight_decay": 1e300}])
def test_a_plan_with_numbers_beyond_sense_is_refused_before_any_work(
    base: Path, tmp_path: Path, change: dict[str, float]
) -> None:
    with pytest.raises(InvalidPlan, match=f"{next(iter(change))} is .* give a number up to"):
        carried_out(request(base, tmp_path, plan=plan(**change)))
    assert not (tmp_path / "out").exists()


def test_a_folder_of_somebody_else_that_looks_like_a_run_keeps_its_files(base: Path, tmp_path: Path) -> None:
    (tmp_path / "out" / "model").mkdir(parents=True)
    (tmp_path / "out" / "model" / "mine.bin").write_bytes(b"precious")
    (tmp_path / "out" / "run.json").write_text('{"experiment": 5}', encoding="utf-8")

    with pytest.raises(CheckpointBroken, match=r"run\.json cannot be read as a run's"):
        carried_out(request(base, tmp_path))
    assert (tmp_path / "out" / "model" / "mine.bin").read_bytes() == b"precious"


def test_two_runs_do_not_work_in_one_folder_at_once(base: Path, tmp_path: Path) -> None:
    folder = OutFolder(path=tmp_path / "out", work={})

    with folder.held(), pytest.raises(InvalidPlan, match="Another run is at work"):
        carried_out(request(base, tmp_path))
    assert carried_out(request(base, tmp_path)).weights.is_dir()


def test_a_method_that_reads_no_retain_set_does_not_say_that_it_keeps_texts(base: Path, tmp_path: Path) -> None:
    said: list[str] = []
    carried_out(request(base, tmp_path, method="grad_ascent"), say=said.append)
    assert said[0] == "Training by grad_ascent: 3 texts to forget."


@pytest.mark.parametrize("place", ["/no/such/model", "./no-such-model", "~/no-such-model"])
def test_a_place_where_no_model_is_is_told_before_any_model_is_asked(place: str) -> None:
    with pytest.raises(InvalidPlan, match="cannot be loaded: it is no folder"):
        LocalSubjects(device="cpu").whole("edited", place)


def test_an_adapter_given_as_a_whole_model_is_told_for_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text("{}", encoding="utf-8")
    with pytest.raises(InvalidPlan, match="It holds an adapter"):
        LocalSubjects(device="cpu").whole("edited", str(tmp_path))


def _with_layers(weights: Weights, layers: int) -> Weights:
    """Of a model with two."""
    kept = {name: one for name, one in weights.items() if layers > 1 or ".layers.1." not in name}
    added = {name.replace(".layers.1.", ".layers.2."): one for name, one in weights.items() if ".layers.1." in name}
    return {name: torch.clone(one) for name, one in (kept | (added if layers > 2 else {})).items()}
