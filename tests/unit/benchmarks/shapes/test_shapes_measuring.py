"""How prompt following is measured: what is asked, what counts, and that judge and inspector are strangers."""

from __future__ import annotations

import dataclasses
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from benchmarks import report
from benchmarks.shapes import networks
from benchmarks.shapes.asking import CONCEPTS, Ask, asks
from benchmarks.shapes.examples import NEGATIVE_SHARE, UNTOLD, Examples, examples, labels_of, negatives, none_of
from benchmarks.shapes.figures import drawn, figures_of, known_pictures, main, tiled
from benchmarks.shapes.judge_network import Judge, ShapesJudge
from benchmarks.shapes.pixels import pixels_of, through
from benchmarks.shapes.recipe import FULL, TINY, Part
from benchmarks.shapes.rendering import render_all
from benchmarks.shapes.scenes import draw_scenes
from benchmarks.shapes.train_encoder import EncoderLearner, best_parting, views
from benchmarks.shapes.train_judge import JudgeLearner, config_of
from benchmarks.shapes.train_unet import UnetLearner
from benchmarks.shapes.vocabulary import ATTRIBUTES, PLAIN, THINGS, names, value_of
from benchmarks.shapes.workshop import JUDGE, Workshop
from guardrail.errors import InvalidInput

GREY = {"shape": "star", "colour": "blue", "style": "plain", "background": "grey", "position": "left"}


@pytest.fixture(scope="module")
def vae() -> Any:
    return networks.vae(TINY).eval()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pipeline and a judge that learnt nothing."""
    folder = tmp_path_factory.mktemp("measured")
    workshop = Workshop(TINY, out=folder, work=folder / "work", on_part=lambda _: lambda done, steps, loss: None)
    needed: tuple[Part, ...] = ("vae", "text", "unet", "judge")
    for part in needed:
        workshop.make(part)
    return folder


def test_asks_are_the_same_for_a_seed_and_have_as_many_of_each_group() -> None:
    asked = asks(12, seed=1)
    assert asked == asks(12, seed=1)
    assert asked != asks(12, seed=2)
    assert set(Counter(ask.group for ask in asked).values()) == {12}


def test_an_ask_of_all_says_all_and_one_that_leaves_open_does_not_say_it() -> None:
    for ask in asks(24, seed=0):
        words = set(ask.prompt.split())
        if ask.group == "full":
            assert {ask.wanted[attribute] for attribute in ATTRIBUTES} <= words, ask.prompt
        if ask.left_open:
            assert ask.left_open not in ask.wanted
            assert not set(names(ask.left_open)) & words, ask.prompt
        if ask.group == "open_style":
            assert ask.wanted["style"] == PLAIN
            assert not set(names("style")) & words


def test_synonyms_and_things_are_asked_for_by_the_words_of_their_group() -> None:
    held_out = {thing.name for thing in THINGS if thing.is_held_out}
    for ask in asks(24, seed=0):
        words = set(ask.prompt.split())
        for attribute in ("shape", "colour", "style"):
            if ask.group in (f"synonym_{attribute}", f"held_out_{attribute}"):
                value = value_of(attribute, ask.wanted[attribute])
                assert words & set(value.synonyms if ask.group.startswith("synonym") else value.held_out)
                assert value.name not in words
        if ask.group in ("implicit", "held_out_implicit"):
            named = next(thing for thing in THINGS if thing.name in ask.prompt)
            assert (named.name in held_out) is (ask.group == "held_out_implicit")
            assert (ask.wanted["shape"], ask.wanted["colour"]) == (named.shape, named.colour)


def test_the_concepts_to_forget_are_asked_for_by_name_synonym_and_thing() -> None:
    asked = asks(6, seed=0)
    for concept, attribute in CONCEPTS.items():
        groups = {ask.group for ask in asked if ask.group.startswith(f"{concept}_")}
        kinds = {"name", "synonym", "held_out"} | ({"implicit"} if attribute != "style" else set())
        assert groups == {f"{concept}_{kind}" for kind in kinds}
        assert {ask.wanted[attribute] for ask in asked if ask.group in groups} == {concept}


def test_figures_are_shares_of_what_was_wanted_and_what_is_open_is_counted_by_value() -> None:
    asked = [
        Ask(group="full", prompt="", wanted={"shape": "star", "colour": "blue"}),
        Ask(group="full", prompt="", wanted={"shape": "star", "colour": "red"}),
        *[Ask(group="open_colour", prompt="", wanted={"shape": "star"}, left_open="colour")] * 4,
    ]
    colours = ["blue", "blue", "green", "green", "none", "none"]
    seen = [{**GREY, "colour": colour} for colour in colours]
    result = figures_of(asked, seen, seconds=0.05, config={})
    assert result.figures["full_shape"] == 1.0
    assert result.figures["full_colour"] == 0.5
    assert result.samples["full_colour"]["n"] == 2
    low, high = result.samples["full_colour"]["ci95"]
    assert low < 0.5 < high
    assert result.figures["open_colour_largest_share"] == 0.5
    assert result.samples["open_colour_largest_share"]["values"] == {"green": 2, "none": 2}
    assert result.figures["seconds_a_picture"] == 0.05


def test_the_command_measures_a_model_and_draws_its_grid(model: Path, tmp_path: Path) -> None:
    out, grid = tmp_path / "figures.json", tmp_path / "grid.png"
    told = ["--model", str(model), "--out", str(out), "--grid", str(grid), "--number", "1", "--steps", "1"]
    done = CliRunner().invoke(main, told)
    assert done.exit_code == 0, done.output
    result = report.read(out)
    for group in ("full", "drawn", "decoded"):
        assert {f"{group}_{attribute}" for attribute in ATTRIBUTES} <= result.figures.keys()
    assert all(0 <= value <= 1 for name, value in result.figures.items() if name != "seconds_a_picture")
    assert result.config["steps"] == 1
    assert grid.read_bytes().startswith(b"\x89PNG")


def test_known_pictures_are_drawn_and_decoded_with_what_they_show(vae: Any) -> None:
    known, pictures = known_pictures(vae, seed=0)
    half = len(known) // 2
    assert len(pictures) == len(known)
    assert [ask.group for ask in known] == ["drawn"] * half + ["decoded"] * half
    assert [ask.wanted for ask in known[:half]] == [ask.wanted for ask in known[half:]]
    assert np.array_equal(through(vae, pictures[:half]), pictures[half:])


def test_a_folder_without_a_model_or_a_judge_is_told_with_what_to_run(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["--model", str(tmp_path), "--out", str(tmp_path / "x.json")])
    assert done.exit_code == 2
    assert "python -m benchmarks.shapes.train" in done.output
    with pytest.raises(InvalidInput, match="holds no judge"):
        Judge.load(tmp_path)


def test_pictures_do_not_depend_on_what_is_asked_beside_them(model: Path) -> None:
    pipeline = networks.load_pipeline(model)
    asked = asks(1, seed=0)[:3]
    three = drawn(pipeline, asked, guidance=3.0, steps=1, seed=0)
    two = drawn(pipeline, asked[:2], guidance=3.0, steps=1, seed=0)
    assert np.abs(three[:2].astype(int) - two).max() <= 1
    assert tiled(three).size == (3 * 96, 96)


def test_a_judge_is_loaded_as_it_was_trained(model: Path) -> None:
    pictures = render_all(draw_scenes(8, seed="look"), seed=0)
    seen = Judge.load(model / JUDGE).seen(pictures)
    assert len(seen) == 8
    for one in seen:
        assert all(one[attribute] in (*names(attribute), "none") for attribute in ATTRIBUTES)


def test_examples_are_labelled_by_their_scene_and_negatives_by_what_is_certain(vae: Any) -> None:
    made = examples(40, seed=3, vae=vae)
    again = examples(40, seed=3, vae=vae)
    assert np.array_equal(made.pictures, again.pictures)
    assert np.array_equal(made.labels, again.labels)
    nothing = (made.labels == [none_of(attribute) for attribute in ATTRIBUTES]) | (made.labels == UNTOLD)
    assert (nothing.any(axis=1)).sum() == round(40 * NEGATIVE_SHARE)
    for place, attribute in enumerate(ATTRIBUTES):
        assert made.labels[:, place].max() <= none_of(attribute)


def test_negatives_show_no_value_that_they_claim_to_lack() -> None:
    blanks = negatives(20, seed=0)
    shape, background = ATTRIBUTES.index("shape"), ATTRIBUTES.index("background")
    assert set(blanks.labels[::5, shape]) == {none_of("shape")}
    assert set(blanks.labels[::5, background]) <= set(range(len(names("background"))))
    assert all(np.ptp(picture.astype(int)) < 30 for picture in blanks.pictures[::5])


def test_a_label_is_the_number_of_the_value() -> None:
    scene = draw_scenes(1, seed="label")[0]
    assert [names(attribute)[label] for attribute, label in zip(ATTRIBUTES, labels_of(scene), strict=True)] == [
        scene.value(attribute) for attribute in ATTRIBUTES
    ]


def test_judge_and_inspector_are_different_models_trained_on_different_pictures(vae: Any) -> None:
    judged = examples(TINY.judge_pictures, seed=200, vae=vae).pictures
    encoded = views(TINY.encoder_pictures, seed=300, vae=vae)
    shown = {picture.tobytes() for picture in judged}
    assert not shown & {picture.tobytes() for picture in (*encoded.drawn, *encoded.decoded)}
    assert not shown & {picture.tobytes() for picture in encoded.nothing.pictures}
    assert FULL.judge_channels != FULL.encoder_channels
    assert FULL.judge_pictures != FULL.encoder_pictures
    encoder = EncoderLearner(TINY, encoded).encoder
    judge = JudgeLearner(TINY, examples(8, seed=200, vae=vae)).judge
    kinds = {type(part) for part in encoder.modules()} ^ {type(part) for part in judge.modules()}
    assert {torch.nn.BatchNorm2d, torch.nn.GroupNorm} <= kinds


def test_the_judge_learns_colours_from_a_few_hundred_pictures() -> None:
    """The real rendering, a small network, whatever the style."""
    scenes = draw_scenes(500, seed="learn", with_things=False)
    pictures, labels = render_all(scenes, seed=1), np.array([labels_of(scene) for scene in scenes], dtype=np.int64)
    recipe = dataclasses.replace(TINY, judge_steps=60, judge_rate=2e-2, judge_batch=64, judge_channels=(16, 32))
    learner = JudgeLearner(recipe, Examples(pictures=pictures[:400], labels=labels[:400]))
    for number in range(60):
        learner.step(number)
    network: ShapesJudge = learner.judge.eval()
    with torch.inference_mode():
        told = network(pixels_of(pictures[400:]))["colour"].argmax(dim=1).numpy()
    assert (told == labels[400:, ATTRIBUTES.index("colour")]).mean() > 0.85
    assert config_of(recipe)["heads"]["colour"] == [*names("colour"), "none"]


def test_the_threshold_parts_what_is_alike_from_what_is_not() -> None:
    assert 0.4 < best_parting([0.8, 0.9, 0.95], [0.1, 0.2, 0.4]) <= 0.8
    assert best_parting([0.9], [0.1]) == pytest.approx(0.5, abs=0.01)


def test_the_unet_starts_from_the_words_that_are_in_force_and_empties_some() -> None:
    scenes = draw_scenes(60, seed="unet")
    spelling = networks.tokenizer()
    learner = UnetLearner(
        TINY, text_encoder=networks.text_encoder(TINY, spelling), latents=torch.zeros(60, 8, 8, 8), scenes=scenes
    )
    empty = networks.tokens_of(spelling, [""])[0]
    rows = torch.cat([learner._ids(range(60), number) for number in range(10)])
    share = float((rows == empty).all(dim=1).float().mean())
    assert share == pytest.approx(TINY.unet_caption_dropout, abs=0.04)
