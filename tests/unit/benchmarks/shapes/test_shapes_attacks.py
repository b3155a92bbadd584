"""The search for adversarial prompts: what may be written, that searches find, what losses mean, and going on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner, Result
from torch import Tensor

from benchmarks.shapes import attacks, networks
from benchmarks.shapes.attacks_denoising import pictures_denoised, teacher_followed, under_noise
from benchmarks.shapes.attacks_search import Space, genetic, greedy
from benchmarks.shapes.attacks_states import Reader, concept_moved, end_likened, states_of
from benchmarks.shapes.attacks_trial import METHODS, Attacked, Attempt, Budget, attempt
from benchmarks.shapes.attacks_words import Frame, Words, allowed_words, banned_words
from benchmarks.shapes.judge_network import Judge, ShapesJudge
from benchmarks.shapes.recipe import TINY
from benchmarks.shapes.suite import CONCEPTS, read_attacks
from benchmarks.shapes.train_judge import config_of

SMALL = Budget(
    soup=5, prefix=2, generations=2, population=8, rounds=2, tries=4, candidates=4, pairs=4, pictures=2, finalists=2,
    looks=1, seeds=2,
)  # fmt: skip
HIDDEN = frozenset({"blue", "star"})


@pytest.fixture(scope="module")
def pipeline() -> Any:
    """The true modules with random weights."""
    from diffusers import StableDiffusionPipeline

    spell = networks.tokenizer()
    make: Any = StableDiffusionPipeline
    made = make(
        vae=networks.vae(TINY).eval(),
        text_encoder=networks.text_encoder(TINY, spell).eval(),
        tokenizer=spell,
        unet=networks.unet(TINY).eval(),
        scheduler=networks.scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    made.set_progress_bar_config(disable=True)
    for part in (made.vae, made.text_encoder, made.unet):
        part.requires_grad_(requires_grad=False)
    return made


@pytest.fixture(scope="module")
def words(pipeline: Any) -> Words:
    return allowed_words(pipeline.tokenizer, banned_words(HIDDEN))


@pytest.fixture(scope="module")
def attacked(pipeline: Any, words: Words) -> Attacked:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = config_of(TINY)
        judge = Judge(ShapesJudge(config), config["heads"])
    return Attacked(pipeline=pipeline, judge=judge, words=words, concept="blue", hidden=HIDDEN)


def space(length: int, choices: int, seed: int = 0) -> Space:
    return Space(length=length, choices=choices, draw=torch.Generator().manual_seed(seed))


def test_what_other_splits_ask_with_is_banned_and_what_others_share_is_not() -> None:
    banned = banned_words({"blue"})
    assert {"blue", "azure", "cobalt", "window", "hospital"} <= banned
    # A pharmacy has a sign, too, and its cross is green.
    assert "sign" not in banned
    assert {"strypov", "striped", "pinstriped"} <= banned_words({"strypov"})


@pytest.mark.parametrize("text", ["a blue thing", "a bl ue thing", "b-l,u e", "COBALTS", "xstarx"])
def test_no_spelling_of_a_banned_word_is_clean(words: Words, text: str) -> None:
    assert not words.is_clean(text)


def test_a_short_banned_word_may_come_about_by_chance_across_words_alone() -> None:
    told = Words(words=(), tokens=torch.empty(0), banned=banned_words({"red"}))
    assert told.is_clean("a square dot")
    assert not told.is_clean("a redder dot")


def test_every_word_is_one_token_and_most_of_the_world_may_be_said(words: Words, pipeline: Any) -> None:
    assert len(set(words.words)) == len(words.words) > 400
    assert {"circle", "red", "a", "rypov"} <= set(words.words)
    assert not {"blue", "azure", "window", "star"} & set(words.words)
    for word, token in list(zip(words.words, words.tokens.tolist(), strict=True))[::7]:
        assert pipeline.tokenizer(word).input_ids[1:-1] == [token]


@pytest.mark.parametrize("text", ["", "a red circle on a grey background"])
def test_a_frame_gives_the_tokens_that_the_tokenizer_reads_from_its_texts(
    words: Words, pipeline: Any, text: str
) -> None:
    frame = Frame(pipeline.tokenizer, words, length=6, text=text)
    rows = space(6, len(words.words)).rows(40)
    tokens = frame.tokens(rows)
    assert torch.equal(tokens, networks.tokens_of(pipeline.tokenizer, frame.texts(rows)))
    assert torch.equal((tokens == pipeline.tokenizer.eos_token_id).int().argmax(dim=1), torch.full((40,), frame.end))


def test_a_frame_that_is_too_long_is_refused(words: Words, pipeline: Any) -> None:
    with pytest.raises(ValueError, match="do not fit"):
        Frame(pipeline.tokenizer, words, length=28, text="a red circle on a grey background")


def missed(goal_K: Tensor) -> Any:
    return lambda rows_NK: (rows_NK != goal_K).float().sum(dim=1)


def test_the_genetic_search_finds_a_hidden_row_and_keeps_its_best() -> None:
    goal = torch.tensor([3, 1, 4, 1, 5, 9])
    found = genetic(space(6, 12), missed(goal), generations=80, population=64)
    assert found.rows[0].tolist() == goal.tolist()
    assert found.losses.tolist() == sorted(found.losses.tolist())
    few = genetic(space(6, 12), missed(goal), generations=3, population=64)
    assert few.losses[0] >= found.losses[0]


def test_the_greedy_search_follows_the_slopes() -> None:
    goal = torch.tensor([3, 1, 4, 1, 5, 9])

    def slopes(row_K: Tensor) -> Tensor:
        return -torch.nn.functional.one_hot(goal, 400).float()

    led = greedy(space(6, 400), missed(goal), slopes, rounds=20, tries=24, candidates=2)
    misled = greedy(space(6, 400), missed(goal), lambda row: -slopes(row), rounds=20, tries=24, candidates=2)
    assert led.rows[0].tolist() == goal.tolist()
    assert misled.losses[0] > 2


@pytest.mark.parametrize("search", ["genetic", "greedy"])
def test_rows_that_may_not_be_used_are_never_given_back_nor_is_one_twice(search: str) -> None:
    def losses(rows_NK: Tensor) -> Tensor:
        sums = rows_NK.float().sum(dim=1)
        return torch.where((rows_NK == 0).any(dim=1), torch.full_like(sums, torch.inf), sums)

    if search == "genetic":
        found = genetic(space(3, 4), losses, generations=10, population=32)
    else:
        found = greedy(space(3, 4), losses, lambda _: torch.zeros(3, 4), rounds=10, tries=8, candidates=4)
    rows = [tuple(row) for row in found.rows.tolist()]
    assert rows[0] == (1, 1, 1)
    assert len(set(rows)) == len(rows)
    assert not any(0 in row for row in rows)


def test_a_row_that_spells_a_banned_word_has_no_finite_loss(pipeline: Any, words: Words) -> None:
    frame = Frame(pipeline.tokenizer, words, length=2)
    reader = Reader(pipeline.text_encoder, frame, lambda states: states.square().mean(dim=(1, 2)))
    place = {word: number for number, word in enumerate(words.words)}
    losses = reader.losses(torch.tensor([[place["s"], place["tar"]], [place["tar"], place["s"]]]))
    assert torch.isinf(losses).tolist() == [True, False]


def test_slopes_tell_which_words_lower_the_loss(pipeline: Any, words: Words) -> None:
    frame = Frame(pipeline.tokenizer, words, length=4)
    loss = end_likened(pipeline.text_encoder, pipeline.tokenizer, text="a blue circle", end=frame.end)
    reader = Reader(pipeline.text_encoder, frame, loss)
    row = space(4, len(words.words)).rows(1)[0]
    others = row.repeat(len(words.words), 1)
    others[:, 2] = torch.arange(len(words.words))
    exact = reader.losses(others)
    usable = torch.isfinite(exact)
    told = reader.slopes(row)[2]
    assert torch.corrcoef(torch.stack([told[usable], exact[usable]]))[0, 1] > 0.5


def test_the_encoder_reads_tokens_again_after_a_slope(pipeline: Any, words: Words) -> None:
    frame = Frame(pipeline.tokenizer, words, length=3)
    before = states_of(pipeline.text_encoder, pipeline.tokenizer, ["a red circle"])
    Reader(pipeline.text_encoder, frame, lambda states: states.sum(dim=(1, 2))).slopes(torch.tensor([1, 2, 3]))
    assert torch.equal(before, states_of(pipeline.text_encoder, pipeline.tokenizer, ["a red circle"]))


def test_a_moved_text_is_nearest_to_itself_without_and_to_the_concept_with_eta(pipeline: Any) -> None:
    encoder, spell = pipeline.text_encoder, pipeline.tokenizer
    pair = ("a blue circle", "a nice circle")
    blue, nice = (states_of(encoder, spell, [text]) for text in pair)
    still = concept_moved(encoder, spell, text=pair[1], pairs=[pair], eta=0.0)
    moved = concept_moved(encoder, spell, text=pair[1], pairs=[pair], eta=1.0)
    assert still(nice).item() == 0 < still(blue).item()
    assert moved(blue).item() == pytest.approx(0, abs=1e-9)
    assert moved(nice).item() > 1e-6


def test_the_teachers_own_prompt_follows_it_best_and_no_row_sees_another(pipeline: Any) -> None:
    latents = torch.randn((3, TINY.latent_channels, 8, 8), generator=torch.Generator().manual_seed(0))
    noisy = under_noise(pipeline.scheduler, latents, seed=1)
    states = states_of(pipeline.text_encoder, pipeline.tokenizer, ["a blue circle", "a red cross on black", "star"])
    follow = teacher_followed(pipeline.unet, noisy, states[:1])
    assert follow(states).argmin() == 0
    assert follow(states)[0] < 1e-9
    denoise = pictures_denoised(pipeline.unet, noisy)
    alone = torch.cat([denoise(states[place : place + 1]) for place in range(3)])
    assert torch.allclose(denoise(states), alone, atol=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_a_trial_is_clean_and_verified_under_seeds_of_its_own(attacked: Attacked, method: str) -> None:
    first, second = (attempt(attacked, method, number, seed=0, budget=SMALL) for number in (0, 1))
    assert first.prompt != second.prompt
    assert attacked.words.is_clean(first.prompt)
    assert len(first.seeds) == SMALL.seeds
    assert not set(first.seeds) & set(second.seeds)
    assert 0 <= first.untreated_rate <= 1


def test_a_trial_is_the_same_for_the_same_seed_alone(attacked: Attacked) -> None:
    first, again, other = (attempt(attacked, "unlearndiffatk", 0, seed=seed, budget=SMALL) for seed in (0, 0, 1))
    assert first == again
    assert first.prompt != other.prompt


class Trials:
    """Stands for the searches: of each method every second one works, and each takes a minute of the processor."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.minutes = 0

    def __call__(self, attacked: Attacked, method: str, number: int, *, seed: int, budget: Budget) -> Attempt:
        self.asked.append(f"{attacked.concept}-{method}-{number}")
        self.minutes += 1
        return Attempt(prompt=f"soup {number}", untreated_rate=0.75 if number % 2 else 0.5, seeds=(1, 2))


@pytest.fixture
def model(tmp_path: Path, attacked: Attacked, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with weights that nobody reads."""
    for name in ("unet/diffusion_pytorch_model.safetensors", "text_encoder/model.safetensors", "model_index.json"):
        (tmp_path / "model" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "model" / name).write_text(name)
    monkeypatch.setattr(attacks, "_loaded", lambda _: (attacked.pipeline, attacked.judge))
    return tmp_path / "model"


@pytest.fixture
def trials(monkeypatch: pytest.MonkeyPatch) -> Trials:
    told = Trials()
    monkeypatch.setattr(attacks, "attempt", told)
    monkeypatch.setattr(attacks, "process_time", lambda: 60.0 * told.minutes)
    return told


def hunt(model: Path, out: Path, *more: str) -> Result:
    # As `main` sets torch's threads, say as many as there are.
    given = ["--model", str(model), "--out", str(out), "--wanted", "2", "--trials", "6", "--minutes", "100", *more]
    return CliRunner().invoke(attacks.main, [*given, "--threads", str(torch.get_num_threads())])


def test_only_what_worked_is_written_and_the_suite_reads_it(model: Path, trials: Trials, tmp_path: Path) -> None:
    out = tmp_path / "attacks.jsonl"
    done = hunt(model, out, "--method", "mma", "--concept", "star", "--concept", "blue")
    assert done.exit_code == 0, done.output
    rows = read_attacks(out)
    assert [row["id"] for row in rows] == ["star-mma-001", "star-mma-003", "blue-mma-001", "blue-mma-003"]
    assert set(rows[0]) == {"id", "prompt", "entry", "method", "untreated_rate", "seeds"}
    assert len(trials.asked) == 8


def test_methods_take_turns_and_every_concept_of_both_sets_is_attacked(
    model: Path, trials: Trials, tmp_path: Path
) -> None:
    out = tmp_path / "attacks.jsonl"
    assert hunt(model, out, "--wanted", "4").exit_code == 0
    rows = read_attacks(out)
    every = [concept for concepts in CONCEPTS.values() for concept in concepts]
    assert [(row["entry"], row["method"]) for row in rows] == [(name, method) for name in every for method in METHODS]


def test_a_concept_takes_no_longer_than_it_may_and_goes_on_when_it_may_take_longer(
    model: Path, trials: Trials, tmp_path: Path
) -> None:
    out = tmp_path / "attacks.jsonl"
    asked = ("--method", "mma", "--method", "p4d", "--concept", "star", "--concept", "blue")
    done = hunt(model, out, *asked, "--minutes", "3.5")
    star = ["star-mma-0", "star-p4d-0", "star-mma-1"]
    assert trials.asked == [*star, *(name.replace("star", "blue") for name in star)]
    assert done.exit_code == 0
    assert "Fewer than 2: star 1, blue 1; raise --minutes" in done.stderr
    trials.asked.clear()
    assert hunt(model, out, *asked, "--minutes", "9").exit_code == 0
    assert trials.asked == ["star-p4d-1", "blue-p4d-1"]


def test_a_concept_without_any_prompt_fails_the_run(model: Path, trials: Trials, tmp_path: Path) -> None:
    done = hunt(model, tmp_path / "attacks.jsonl", "--concept", "star", "--trials", "1")
    assert done.exit_code == 1
    assert "star 0" in done.stderr


def test_a_run_that_was_stopped_goes_on_after_its_last_whole_trial(model: Path, trials: Trials, tmp_path: Path) -> None:
    out = tmp_path / "attacks.jsonl"
    hunt(model, out, "--method", "mma", "--concept", "star")
    whole, tried = out.read_bytes(), out.with_name("attacks.tried.jsonl")
    tried.write_text(tried.read_text()[:-30])
    trials.asked.clear()
    assert hunt(model, out, "--method", "mma", "--concept", "star").exit_code == 0
    assert trials.asked == ["star-mma-3"]
    assert out.read_bytes() == whole
    assert len([json.loads(line) for line in tried.read_text().splitlines()]) == 4


def test_trials_of_another_seed_are_told_in_one_line(model: Path, trials: Trials, tmp_path: Path) -> None:
    out = tmp_path / "attacks.jsonl"
    assert hunt(model, out, "--method", "mma", "--concept", "star").exit_code == 0
    done = hunt(model, out, "--method", "mma", "--seed", "1")
    assert done.exit_code == 2
    assert "begun with another model or seed" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_file_of_trials_that_is_none_is_told(model: Path, trials: Trials, tmp_path: Path) -> None:
    (tmp_path / "attacks.tried.jsonl").write_text("notes\n")
    done = hunt(model, tmp_path / "attacks.jsonl")
    assert done.exit_code == 2
    assert "is no JSON Lines file" in done.stderr


def test_a_folder_without_a_model_is_told(tmp_path: Path) -> None:
    done = hunt(tmp_path, tmp_path / "attacks.jsonl")
    assert done.exit_code == 2
    assert "benchmarks.shapes.train" in done.stderr


def test_a_model_without_its_judge_is_told(tmp_path: Path) -> None:
    (tmp_path / "model_index.json").write_text("{}")
    done = hunt(tmp_path, tmp_path / "attacks.jsonl")
    assert done.exit_code == 2
    assert "holds no judge" in done.stderr
