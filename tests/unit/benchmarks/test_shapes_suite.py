"""The shapes world's suite: what each split says and hides, and that the product's own reader takes it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.shapes.suite import CONCEPTS, Plan, main, prompts_of, write_suite
from benchmarks.shapes.vocabulary import THINGS, names, value_of
from guardrail.evaluation.images.reading import read_suite

DEV = Plan(concepts=CONCEPTS["dev"], number=12)
HELD_OUT = Plan(concepts=CONCEPTS["held-out"], number=12)


def words(prompt: str) -> set[str]:
    return set(prompt.split())


def all_words(concept: str) -> set[str]:
    """The words that mean a concept."""
    attribute = {**CONCEPTS["dev"], **CONCEPTS["held-out"]}[concept]
    return {concept, *value_of(attribute, concept).others(with_held_out=True)}


@pytest.mark.parametrize("plan", [DEV, HELD_OUT], ids=["dev", "held-out"])
def test_no_prompt_of_a_concept_speaks_of_another(plan: Plan) -> None:
    for line in prompts_of(plan):
        for other in plan.concepts.keys() - {line["entry"]}:
            assert not words(line["prompt"]) & all_words(other), line["prompt"]
            assert other not in line["expect"].values()
            for thing in THINGS:
                assert thing.name not in line["prompt"] or other not in (thing.shape, thing.colour)


@pytest.mark.parametrize("plan", [DEV, HELD_OUT], ids=["dev", "held-out"])
def test_every_split_speaks_of_its_concept_as_it_should(plan: Plan) -> None:
    for line in prompts_of(plan):
        concept = line["entry"]
        attribute = plan.concepts[concept]
        is_named, is_meant = concept in words(line["prompt"]), bool(words(line["prompt"]) & all_words(concept))
        split = line["split"]
        assert is_named is (split == "forget")
        assert is_meant is (split in ("forget", "synonym"))
        if split in ("neighbor", "benign"):
            assert "absent" not in line
            assert (attribute in line["expect"]) is (split == "neighbor")
        else:
            assert line["absent"] == {attribute: concept}
            assert attribute not in line["expect"]


def test_neighbours_are_all_other_values_and_synonyms_all_words() -> None:
    lines = prompts_of(DEV)
    near = {line["expect"]["colour"] for line in lines if line["entry"] == "blue" and line["split"] == "neighbor"}
    assert near == set(names("colour")) - {"blue"}
    said = [words(line["prompt"]) for line in lines if line["entry"] == "star" and line["split"] == "synonym"]
    assert any("pentagram" in one for one in said)
    assert any("pentacle" in one for one in said)
    assert not [line for line in lines if line["entry"] == "strypov" and line["split"] == "implicit"]


def test_entries_that_hold_the_taught_synonyms_are_asked_the_held_out_ones_only() -> None:
    lines = prompts_of(Plan(concepts=CONCEPTS["dev"], number=6, has_aliases=True))
    assert all("cobalt" in line["prompt"] for line in lines if line["entry"] == "blue" and line["split"] == "synonym")


def test_only_attacks_that_work_untreated_are_asked_at_seeds_of_their_own() -> None:
    attacks = [
        {"prompt": "zq x", "entry": "blue", "untreated_rate": 0.9},
        {"prompt": "weak", "entry": "blue", "untreated_rate": 0.6},
        {"prompt": "other", "entry": "red", "untreated_rate": 1.0},
    ]
    lines = prompts_of(Plan(concepts=CONCEPTS["dev"], number=5, attacks=attacks))
    found = [line for line in lines if line["split"] == "adversarial"]
    assert [line["prompt"] for line in found] == ["zq x"] * 5
    assert len({line["seed"] for line in found}) == 5


def test_more_prompts_change_none_of_the_others() -> None:
    few = {line["id"]: line for line in prompts_of(DEV)}
    more = {line["id"]: line for line in prompts_of(Plan(concepts=CONCEPTS["dev"], number=20))}
    assert few.items() <= more.items()
    assert len({line["seed"] for line in more.values()}) == len(more)


def test_the_products_reader_takes_the_folder(tmp_path: Path) -> None:
    plan = Plan(concepts=CONCEPTS["dev"], number=3, references=2, background=2)
    assert write_suite(plan, tmp_path) == len(prompts_of(plan))
    suite = read_suite(tmp_path)
    assert [one.id for one in suite.entries] == ["blue", "star", "strypov"]
    assert [len(one.body["images"]) for one in suite.entries] == [2, 2, 2]
    assert {one.split for one in suite.prompts} == {"forget", "synonym", "implicit", "neighbor", "benign"}
    assert len(list((tmp_path / "background").glob("*.png"))) == 2


def test_the_command_writes_and_tells_what_is_wrong(tmp_path: Path) -> None:
    out, attacks = tmp_path / "s", tmp_path / "a.jsonl"
    attacks.write_text(json.dumps({"prompt": "zq", "entry": "red", "untreated_rate": 1.0}))
    options = ["--out", str(out), "--number", "2", "--references", "1", "--background", "1"]
    result = CliRunner().invoke(main, [*options, "--concepts", "held-out", "--attacks", str(attacks)])
    assert result.exit_code == 0, result.output
    assert sum(one.split == "adversarial" for one in read_suite(out).prompts) == 2
    attacks.write_text('{"prompt": "zq"}')
    result = CliRunner().invoke(main, [*options, "--attacks", str(attacks)])
    assert result.exit_code == 2
    assert "needs prompt, entry and untreated_rate" in result.output
