"""What an evaluation asks: attacks made or brought, attackers who know, limits; and what they are told, in whole runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from finetune.evaluation.asked_splits import asked_splits
from finetune.evaluation.attacks import CONVERSATIONS, INFORMED, PROMPT_ATTACKS
from finetune.evaluation.dialogue import Dialogue
from finetune.evaluation.judged_model import Sampling
from finetune.evaluation.metrics import make_metric
from finetune.evaluation.run import evaluate
from finetune.evaluation.split_figures import RIGHT_CHOICE, TOLD
from finetune.evaluation.suites import Suite
from retrieval.entry import EntryKind, ForgetEntry
from retrieval.entry import Fact as EntryFact
from tests.unit.finetune.evaluation.towns import Knowing, job, of, question, quiet, subject, suite


def test_attacks_are_made_where_the_suite_brings_none_and_variants_of_a_question_stand_together(tmp_path: Path) -> None:
    splits = asked_splits(suite(), attacks=None, limit=None, seed=0, with_members=False)
    made = splits["adversarial"]
    assert set(made.groups) == set(PROMPT_ATTACKS)
    assert {one.group for one in made.asked} == {"mira", "jonas"}
    assert {"Mira Voss"} == {phrase for one in made.asked if one.group == "mira" for phrase in one.forbidden}
    alone = replace(suite(), questions=(question(0, "forget", entry=None),))
    cluster = {
        one.group
        for one in asked_splits(alone, attacks=None, limit=None, seed=0, with_members=False)["adversarial"].asked
    }
    assert cluster == {"forget-0"}
    report = evaluate(job(tmp_path, suite()), quiet)
    choice = report.models["none"].split("adversarial/multiple_choice")
    assert choice.measured[RIGHT_CHOICE].value == 1.0
    assert choice.measured[RIGHT_CHOICE].parameters == {"chance": 0.25}
    assert list(choice.measured) == [RIGHT_CHOICE]
    shifts = report.models["none"].split("adversarial").measured["leak_rate"].n
    assert shifts <= 6 * (len(PROMPT_ATTACKS) - 2)  # choices are told by themselves
    assert report.models["none"].split("adversarial/poem").measured["leak_rate"].n == 6


def test_adversarial_questions_of_the_suite_are_asked_as_they_are_and_named_attacks_beside_them() -> None:
    shown = suite(question(0, "adversarial", group="jailbreak"))
    own = asked_splits(shown, attacks=None, limit=None, seed=0, with_members=False)["adversarial"]
    assert [one.id for one in own.asked] == ["adversarial-0"]
    both = asked_splits(shown, attacks=("poem",), limit=None, seed=0, with_members=False)["adversarial"]
    assert set(both.groups) == {"jailbreak", "poem"}


class Conversing(Knowing):
    """Answers the last question that stands anywhere in a conversation."""

    def converse(
        self, dialogues: Sequence[Dialogue], *, max_new_tokens: int, sampling: Sampling | None = None
    ) -> list[tuple[str, ...]]:
        return [(text,) for text in self.generate([one.text for one in dialogues], max_new_tokens=max_new_tokens)]


def knowing_suite() -> Suite:
    facts = (EntryFact(answer="Mira Voss collects dodecahedral barometers."),)
    mira = ForgetEntry(id="mira", name="Mira Voss", kind=EntryKind.PERSON, facts=facts)
    return suite(entries=(mira, ForgetEntry(id="jonas", name="Jonas Lindqvist")))


def test_knowing_attackers_come_only_if_they_are_named_and_what_they_are_told_is_a_part_for_each_and_for_all(
    tmp_path: Path,
) -> None:
    shown = knowing_suite()
    models = {"none": subject(Conversing(shown.questions)), "npo": subject(Conversing(of(shown, "retain")))}
    given: dict[str, Any] = {"models": models, "retain_model": None, "metrics": (make_metric("leak_rate"),)}
    report = evaluate(job(tmp_path, shown, attacks=("poem", "conversations", "informed"), **given), quiet)
    found = {name: report.models[name].generalizability for name in models}
    parts = {name.partition("/")[2] for name in found["none"] if name.startswith("adversarial/")}
    assert {"conversations", "informed", "poem", "follow_up", "by_detail", "one_letter"} <= parts
    assert parts <= {"conversations", "informed", "poem", *CONVERSATIONS, *INFORMED}
    assert found["none"]["adversarial/follow_up"].measured[TOLD].value == 1.0
    assert found["none"]["adversarial/follow_up"].measured[TOLD].n == 6
    assert found["none"]["adversarial/by_detail"].measured[TOLD].n == 3  # nothing is known of the other entry
    assert found["none"]["adversarial/compare_two"].measured[RIGHT_CHOICE].parameters == {"chance": 0.5}
    assert "leak_rate" not in found["none"]["adversarial/follow_up"].measured
    assert found["none"]["adversarial"].measured["leak_rate"].n == 6  # the poem's; the others have a rule of their own
    told = found["none"]["adversarial/conversations"].measured[TOLD]
    assert told.n == 6 * (len(CONVERSATIONS) - 1)  # all but elimination, which is a choice
    assert 0.5 < told.value < 1.0  # a question cut in two is not recognised by this model
    assert {found["npo"][f"adversarial/{group}"].measured[TOLD].value for group in ("conversations", "informed")} == {0}
    default = asked_splits(shown, attacks=None, limit=None, seed=0, with_members=False)["adversarial"]
    assert set(default.groups) == set(PROMPT_ATTACKS)
    assert default.told == {}


def test_retain_questions_are_the_shots_of_many() -> None:
    splits = asked_splits(knowing_suite(), attacks=("many_shot",), limit=None, seed=0, with_members=False)
    shots = {
        one.id: sum("river" in turn.content for turn in one.dialogue.turns)
        for one in splits["adversarial"].asked
        if one.dialogue is not None
    }
    assert shots["forget-0/many_shot"] == 2  # the third one's answer is what is asked
    assert shots["forget-3/many_shot"] == 3


def test_questions_that_are_asked_as_before_keep_their_hash_and_conversations_have_their_own(tmp_path: Path) -> None:
    def hash_of(*attacks: str, **given: Any) -> str:
        models = {"none": subject(Conversing(()))}
        named = {"models": models, "retain_model": None, "metrics": (make_metric("leak_rate"),), **given}
        report = evaluate(job(tmp_path, suite(), attacks=attacks, **named), quiet)
        return str(report.config["questions_sha256"])

    assert hash_of("poem", "multiple_choice") == "6a1917cbaedeedc9d97cb188d2b8f7be3bb91e66f6dcba180edc7ff9e01abe59"
    talked = {hash_of(name) for name in ("follow_up", "tool_result", "spelt_answer", "reversed_answer")}
    assert len(talked) == 4


def test_a_limit_draws_evenly_over_groups_under_the_seed_and_keeps_the_order() -> None:
    def drawn(seed: int) -> dict[str, list[str]]:
        splits = asked_splits(suite(), attacks=None, limit=4, seed=seed, with_members=False)
        return {name: [one.id for one in split.asked] for name, split in splits.items()}

    first = drawn(1)
    assert first == drawn(1)
    assert first != drawn(2)
    assert {name: len(ids) for name, ids in first.items()} == {
        "forget": 4,
        "paraphrase": 4,
        "adversarial": 4,
        "retain": 3,
        "utility": 4,
    }
    assert len({one.rpartition("/")[2] for one in first["adversarial"]}) == 4
    assert first["forget"] == sorted(first["forget"])
