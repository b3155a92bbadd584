"""The whole training of the shapes model with a recipe that learns nothing: its files, and going on where it stopped."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result

from benchmarks.shapes import networks, rendering
from benchmarks.shapes.captions import every_word
from benchmarks.shapes.judge_network import Judge
from benchmarks.shapes.recipe import FULL, PARTS, TINY, Part, world_digest
from benchmarks.shapes.steps import OnStep
from benchmarks.shapes.train import main
from benchmarks.shapes.train_text import TextLearner
from benchmarks.shapes.vocabulary import ATTRIBUTES, held_out_words, names
from benchmarks.shapes.workshop import Workshop
from guardrail.errors import InvalidInput
from retrieval.picture_embedders.small_encoder import SmallPictureEncoder

MOST_BYTES = 10_000_000


class Stopped(Exception):
    """Somebody ended the run."""


def weights_in(folder: Path) -> dict[str, str]:
    """Every file of weights and its digest."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*.safetensors"))
    }


def quiet(_: Part) -> OnStep:
    return lambda done, steps, loss: None


def stopping_at(step: int) -> OnStep:
    def on_step(done: int, steps: int, loss: float) -> None:
        if done == step:
            raise Stopped

    return on_step


def trained(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["--tiny", *arguments])


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Trained in one go, by the command."""
    folder = tmp_path_factory.mktemp("shapes")
    done = trained("--out", str(folder / "model"), "--work", str(folder / "work"))
    assert done.exit_code == 0, done.output
    return folder / "model"


def test_the_command_leaves_a_pipeline_that_draws(model: Path) -> None:
    pipeline = networks.load_pipeline(model)
    assert type(pipeline).__name__ == "StableDiffusionPipeline"

    def drawn() -> bytes:
        made = pipeline("a red star", num_inference_steps=2, generator=torch.Generator().manual_seed(3)).images[0]
        assert made.size == (32, 32)
        content: bytes = made.tobytes()
        return content

    assert drawn() == drawn()


def test_the_weights_are_in_half_precision(model: Path) -> None:
    from safetensors.torch import load_file

    files = weights_in(model)
    assert set(files) == {
        "inspector/model.safetensors",
        "judge/model.safetensors",
        "text_encoder/model.safetensors",
        "unet/diffusion_pytorch_model.safetensors",
        "vae/diffusion_pytorch_model.safetensors",
    }
    for name in files:
        kinds = {weight.dtype for weight in load_file(model / name).values() if weight.is_floating_point()}
        assert kinds == {torch.float16}, name


def test_judge_and_inspector_can_be_loaded_and_look(model: Path) -> None:
    pictures = np.zeros((2, 32, 32, 3), dtype=np.uint8)
    seen = Judge.load(model / "judge").seen(pictures)
    assert [set(one) for one in seen] == [set(ATTRIBUTES)] * 2
    from PIL import Image

    rows = SmallPictureEncoder.load(model / "inspector").embed([Image.fromarray(picture) for picture in pictures])
    assert rows.shape == (2, TINY.encoder_dim)


def test_the_recipe_lies_beside_the_weights(model: Path) -> None:
    noted = json.loads((model / "recipe.json").read_bytes())
    assert noted["recipe"] == json.loads(json.dumps(dataclasses.asdict(TINY)))
    assert set(noted["seconds"]) == set(PARTS)
    assert noted["draw_with"] == {"num_inference_steps": networks.STEPS, "guidance_scale": networks.GUIDANCE}
    assert {"torch", "diffusers", "transformers"} <= set(noted["versions"])


def test_a_run_that_is_stopped_in_every_part_leaves_the_same_weights(model: Path, tmp_path: Path) -> None:
    out, work = tmp_path / "model", tmp_path / "work"
    for part in PARTS:
        # The last checkpoint is from step 2; step 3 is done twice.
        with pytest.raises(Stopped):
            Workshop(TINY, out=out, work=work, on_part=lambda _: stopping_at(3)).make(part)
        Workshop(TINY, out=out, work=work, on_part=quiet).make(part)
    assert weights_in(out) == weights_in(model)


def test_another_seed_gives_other_weights(model: Path, tmp_path: Path) -> None:
    done = trained("--out", str(tmp_path / "model"), "--work", str(tmp_path / "work"), "--part", "vae", "--seed", "1")
    assert done.exit_code == 0, done.output
    other = torch.load(tmp_path / "work" / "vae.pt", weights_only=True)["state"]["vae"]
    same = torch.load(model.parent / "work" / "vae.pt", weights_only=True)["state"]["vae"]
    assert any(not torch.equal(other[name], same[name]) for name in same)


def test_a_finished_run_is_not_done_again(model: Path) -> None:
    before = weights_in(model)
    done = trained("--out", str(model), "--work", str(model.parent / "work"))
    assert done.exit_code == 0, done.output
    assert "step" not in done.output
    assert weights_in(model) == before


def test_progress_is_told_by_part_where_there_is_no_terminal(tmp_path: Path) -> None:
    done = trained("--out", str(tmp_path / "model"), "--work", str(tmp_path / "work"), "--part", "text")
    assert "text step 1/4, loss" in done.output
    assert "text step 4/4, loss" in done.output


def test_a_part_whose_needs_are_missing_says_what_to_train_first(tmp_path: Path) -> None:
    done = trained("--out", str(tmp_path / "model"), "--work", str(tmp_path / "work"), "--part", "judge")
    assert done.exit_code == 2
    assert "--part vae" in done.output


def test_a_checkpoint_of_another_recipe_is_told(model: Path) -> None:
    work = model.parent / "work"
    other = dataclasses.replace(TINY, vae_rate=1e-3)
    with pytest.raises(InvalidInput, match="begun with another recipe"):
        Workshop(other, out=model, work=work, on_part=quiet).make("vae")


def test_a_part_depends_on_its_own_numbers_and_on_those_of_the_parts_before() -> None:
    slower = dataclasses.replace(FULL, vae_rate=1e-3)
    changed = {part for part in PARTS if slower.fingerprint(part) != FULL.fingerprint(part)}
    assert changed == {"vae", "unet", "judge", "encoder"}
    longer = dataclasses.replace(FULL, unet_steps=FULL.unet_steps + 1)
    assert {part for part in PARTS if longer.fingerprint(part) != FULL.fingerprint(part)} == {"unet"}


def test_another_way_of_drawing_makes_older_pictures_and_weights_stale(monkeypatch: pytest.MonkeyPatch) -> None:
    before = world_digest.__wrapped__()
    assert before == world_digest()
    monkeypatch.setattr(rendering, "_STRIPES", 5.0)
    assert world_digest.__wrapped__() != before


def test_help_tells_what_every_option_is_for_and_the_steps_of_every_part() -> None:
    assert [option.name for option in main.params if not getattr(option, "help", None)] == []
    shown = " ".join(CliRunner().invoke(main, ["--help"], terminal_width=200).output.split())
    for part in PARTS:
        steps = getattr(FULL, f"{part}_steps")
        assert f"--{part}-steps" in shown
        assert f"{steps} unless told" in shown


def test_the_text_pre_training_never_reads_a_word_that_is_held_out() -> None:
    import random

    learner = TextLearner(dataclasses.replace(TINY, text_batch=64))
    spelling = networks.tokenizer()
    read = {
        word
        for number in range(30)
        for ids in learner.batch(random.Random(number))[0]
        for word in spelling.decode(ids, skip_special_tokens=True).split()
    }
    assert not read & held_out_words()
    assert {"star", "pentagram", "valentine", "strypov", "striped"} <= read


def test_the_text_pre_training_has_a_class_of_its_own_for_what_is_left_open() -> None:
    import random

    _, wanted = TextLearner(dataclasses.replace(TINY, text_batch=64)).batch(random.Random(0))
    for attribute in ATTRIBUTES:
        known = len(names(attribute))
        assert set(wanted[attribute].tolist()) == set(range(known + 1)), attribute


def test_every_word_of_the_captions_is_one_token_and_other_words_are_spelt() -> None:
    spelling = networks.tokenizer()
    for word in every_word():
        assert len(spelling(word).input_ids) == 3, word
    assert len(spelling("zebra").input_ids) > 3
    assert networks.tokens_of(spelling, ["a red star", "star " * 90]).shape == (2, networks.TOKENS)


def test_the_full_model_is_small_enough_to_ship() -> None:
    spelling = networks.tokenizer()
    parts = (networks.vae(FULL), networks.text_encoder(FULL, spelling), networks.unet(FULL))
    looking = 900_000
    assert 2 * sum(weight.numel() for part in parts for weight in part.parameters()) + looking < MOST_BYTES


def test_a_pipeline_of_the_full_sizes_saves_and_loads(tmp_path: Path) -> None:
    spelling = networks.tokenizer()
    vae, text_encoder, unet = networks.vae(FULL), networks.text_encoder(FULL, spelling), networks.unet(FULL)
    before = unet.state_dict()["conv_in.weight"].half().float()
    networks.save_pipeline(tmp_path, vae=vae, text_encoder=text_encoder, unet=unet)
    pipeline = networks.load_pipeline(tmp_path)
    assert torch.equal(pipeline.unet.state_dict()["conv_in.weight"], before)
    assert pipeline.scheduler.config.prediction_type == "v_prediction"
    assert pipeline.tokenizer.model_max_length == networks.TOKENS
    picture = pipeline("a red star", num_inference_steps=1, generator=torch.Generator().manual_seed(0)).images[0]
    assert picture.size == (32, 32)
