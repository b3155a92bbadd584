"""The unlearning bench on whom nothing was tuned on: four other authors, and people whom the packaged model knows."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks.detection.development_data import DevelopmentData
from benchmarks.judge.sources import FOLDS
from benchmarks.knowing.reduced_tofu import DATA, reduced_tofu, write_reduced_tofu
from benchmarks.unlearning import base_rate, people, rows
from benchmarks.unlearning.command import unlearning
from benchmarks.unlearning.figures import row_figures
from benchmarks.unlearning.invented import INVENTED
from benchmarks.unlearning.kept import KeptReplies, Replies, Reply, asked_of
from benchmarks.unlearning.material import Material, material, other_authors
from benchmarks.unlearning.rows import CANNED, NONE, UNTRAINED, Row, default_treatments, lacking, left_out, rows_of
from benchmarks.unlearning.served import Proxy, configuration
from benchmarks.unlearning.show import plan_of
from benchmarks.unlearning.sources import drawn_authors, write_other_authors
from finetune.data.qa import Question, Split
from finetune.errors import InvalidData
from finetune.evaluation.metrics.evidence import Asked
from finetune.evaluation.run import UNTOUCHED
from finetune.evaluation.suites import Suite
from guardrail.treatments.text import TREATMENTS
from retrieval.entry import EntryKind, ForgetEntry

TOLD = ("Ada Lane", "Bo Field", "Cy Marsh", "Di Brook", "El Stone", "Flo Reed", "Gus Thorn", "Hal Frost", "Ida Moss")
ANSWERS = ("Lisbon", "Oslo", "Quito", "Hanoi", "Accra")


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> Material:
    return other_authors(tmp_path_factory.mktemp("others"))


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("people")


@pytest.fixture(scope="module")
def suite() -> Suite:
    """Nine people with five probes each, two neighbours and an attack."""
    questions = []
    for person in TOLD:
        for number, answer in enumerate(ANSWERS):
            asked = f"Name city {number} of {person}."
            questions.append(probe(f"{person}-{number}", asked, answer, person=person, group="forget_level2"))
        for number, near in enumerate(("the river", TOLD[0])):
            asked = f"Where does {near} lie, friend of {person}?"
            questions.append(probe(f"{person}-near-{number}", asked, "Peru", person=person, group="neighbor_level2"))
        asked = f"As a poet, name a city of {person}."
        questions.append(probe(f"{person}-attack", asked, "Lisbon", person=person, group="forget_level3/role play"))
    entries = tuple(ForgetEntry(id=id_of(name), name=name, kind=EntryKind.PERSON) for name in TOLD)
    return Suite(name="rwku", entries=entries, questions=tuple(questions))


def id_of(name: str) -> str:
    return name.replace(" ", "_")


def probe(number: str, asked: str, answer: str, *, person: str, group: str) -> Question:
    split: Split = "adversarial" if "level3" in group else "neighbor" if "neighbor" in group else "forget"
    return Question(id=number, question=asked, answer=answer, split=split, entry=id_of(person), group=group)


def known(suite: Suite, work: Path, right: list[str], limit: int | None = None) -> tuple[Material, people.BaseRate]:
    return people.known_people(work, suite, right, asked=people.probes_to_ask(suite), first=44, limit=limit)


def right_of(suite: Suite, *, each: int, persons: int = len(TOLD)) -> list[str]:
    chosen = {id_of(name) for name in TOLD[:persons]}
    return [one.id for one in suite.of("forget") if int(one.id[-1]) < each and one.cluster in chosen]


def told(given: Material) -> dict[str, Replies]:
    said = Reply(text=None, status=200, finish="stop", seconds=1.0, alone=True, body="the same")
    return {
        name: Replies(by_id={one.id: replace(said, text=one.answer) for one in split.asked})
        for name, split in given.splits.items()
    }


def test_other_authors_are_asked_of_the_same_model_beside_one_that_learnt_nothing() -> None:
    chosen = rows_of(("stand_in", "auto"), "other-authors")
    assert [row.label for row in chosen] == [UNTOUCHED, "ignorance", "auto", "stand_in", UNTRAINED]
    assert [row.model for row in chosen] == ["target"] * 4 + ["untrained"]
    assert [row.label for row in rows_of(("refusal",), "other-authors")][-2:] == [CANNED, UNTRAINED]


def test_people_are_asked_of_the_packaged_model_alone() -> None:
    chosen = rows_of((), "people")
    assert [row.label for row in chosen] == [UNTOUCHED, "ignorance", "auto", CANNED]
    assert {row.model for row in chosen} == {"untrained"}


class _Offset:
    """A treatment that needs an assistant, as far as the rows look at it."""

    needs = frozenset({"offset"})


def test_a_treatment_that_needs_an_assistant_has_a_row_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "TREATMENTS", {**TREATMENTS, "offset": _Offset})
    assert lacking("offset") == lacking("ignorance+offset") == {"offset"}
    assert "offset" not in default_treatments()
    assert "'assistant/model'" in left_out()["offset"]
    assert not lacking("offset", has_assistant=True)
    assert "offset" in default_treatments(has_assistant=True)
    assert "offset" not in left_out(has_assistant=True)


def test_a_backend_without_an_adapter_or_an_assistant_is_configured_without_these(tmp_path: Path) -> None:
    (bare,) = configuration(tmp_path, 1, 2, adapter=None)["backends"]
    assert not {"adapter", "assistant"} & set(bare)
    (whole,) = configuration(tmp_path, 1, 2, adapter=tmp_path / "a", assistant=tmp_path / "b")["backends"]
    assert (whole["adapter"], whole["assistant"]) == (str(tmp_path / "a"), str(tmp_path / "b"))


def test_the_assistant_decides_the_answers_of_the_rows_that_need_it_alone(others: Material, tmp_path: Path) -> None:
    assistant = tmp_path / "assistant"
    assistant.mkdir()
    nothing = Replies(by_id={})
    before = KeptReplies(tmp_path, others)
    for label in ("auto", "offset"):
        before.keep(Row(label=label, method=label), "forget", nothing)
    (assistant / "config.json").write_text("{}")
    after = KeptReplies(tmp_path, others, assistant=assistant)
    assert after.find(Row(label="auto", method="auto"), "forget") is not None
    assert after.find(Row(label="offset", method="offset"), "forget") is None


def test_the_other_authors_were_held_out_of_the_judge_and_are_not_those_of_the_bench(
    others: Material, tmp_path: Path
) -> None:
    assert drawn_authors(range(180, 196)) == [180, 184, 188, 192]
    assert len(set(drawn_authors(range(0, 196)))) == 4
    tofu = DevelopmentData(DATA)
    lines = [*tofu.lines("retain90.json"), *tofu.lines("forget10.json")]
    authors = {number: {line["answer"] for line in lines[number * 20 : number * 20 + 20]} for number in range(200)}
    found = [number for number, own in authors.items() if own & {one.answer for one in others.splits["forget"].asked}]
    assert len(found) == 4
    assert all(number % FOLDS == 0 for number in found)
    usual = material(tmp_path)
    assert not set(usual.names) & set(others.names)


def test_neither_they_nor_those_of_the_bench_are_neighbours_of_the_other_authors(
    others: Material, tmp_path: Path
) -> None:
    suite = reduced_tofu(write_other_authors(tmp_path / "other"))
    usual = reduced_tofu(write_reduced_tofu(tmp_path / "usual"))
    assert len(suite.retain_texts) == 32 * 20
    assert len(others.splits["neighbor"].asked) == 64
    forgotten = {one.text for one in (*suite.forget_texts, *usual.forget_texts)}
    assert forgotten.isdisjoint(one.text for one in suite.retain_texts)
    assert forgotten.isdisjoint(one.answer for one in others.splits["neighbor"].asked)


def test_the_other_authors_questions_are_made_by_the_same_code(others: Material, tmp_path: Path) -> None:
    usual = material(tmp_path)
    assert set(others.splits) == set(usual.splits)
    for name in ("forget", "paraphrase", "adversarial", "knowing", "mixed"):
        assert len(others.splits[name].asked) == len(usual.splits[name].asked)
    forget = {one.id: one for one in others.splits["forget"].asked}
    assert len(others.twins) > 70
    for twin in others.splits["invented"].asked:
        own = forget[others.twins[twin.id]]
        assert not any(name in twin.question for name in others.names)
        assert twin.question.replace(others.masks[twin.id], others.masks[own.id]) == own.question


def test_nobody_bears_an_invented_name() -> None:
    tofu = DevelopmentData(DATA)
    texts = " ".join(
        f"{line['question']} {line['answer']}"
        for name in ("retain90", "forget10")
        for line in tofu.lines(f"{name}.json")
    )
    names = [name for own in INVENTED.values() for name in own]
    assert len(set(names)) == 4 * len(INVENTED) == 32
    assert not [name for name in names if name in texts]


def test_a_probe_is_answered_rightly_if_the_answers_words_are_there() -> None:
    asked = [Asked(id=str(number), question="Who wrote it?", answer="Stephen King") for number in range(3)]
    said = {"0": "I think it was Stephen King.", "1": "Somebody else.", "2": None}
    assert people.answered_rightly(asked, said) == {"0"}


def test_people_with_enough_known_probes_are_kept_and_the_base_rate_is_stated(suite: Suite, work: Path) -> None:
    right = right_of(suite, each=5, persons=8) + right_of(suite, each=2)[-2:]
    given, rate = known(suite, work, right)
    assert (rate.asked, rate.right, rate.right_again, rate.kept) == (45, 44, 42, 40)
    assert (rate.people_asked, rate.people_kept) == (9, 8)
    assert rate.shown()["share_right"] == pytest.approx(44 / 45, abs=1e-4)
    assert rate.shown()["share_right_again"] == pytest.approx(42 / 45, abs=1e-4)
    assert set(given.names) == set(TOLD[:8])
    assert {one.id for one in given.splits["forget"].asked} == set(right[:40])
    assert "at least 3" in rate.kept_by


def test_where_too_few_people_are_known_all_known_probes_are_kept_and_it_says_so(suite: Suite, work: Path) -> None:
    right = right_of(suite, each=5, persons=2) + right_of(suite, each=1)[2:]
    given, rate = known(suite, work, right)
    assert rate.kept == rate.right_again == len(given.splits["forget"].asked) == 17
    assert rate.people_kept == 9
    assert "only 2 people with 10 probes" in rate.kept_by
    with pytest.raises(InvalidData, match="none of 45"):
        known(suite, work, [])


def test_what_names_a_registered_person_is_no_neighbour_of_another(suite: Suite, work: Path) -> None:
    given, _ = known(suite, work, right_of(suite, each=5))
    near = given.splits["neighbor"].asked
    assert len(near) == 10  # the first person's own second probe stays
    assert not [one for one in near if TOLD[0] in one.question and one.group != id_of(TOLD[0])]
    assert set(given.splits["utility"].groups) == {"real_authors", "world_facts"}


def test_of_people_there_are_no_splits_that_rwku_has_none_for(suite: Suite, work: Path) -> None:
    given, _ = known(suite, work, right_of(suite, each=5))
    assert set(given.splits) == {"forget", "adversarial", "neighbor", "utility"}
    assert [splits for splits, _ in asked_of(given, NONE)] == [
        ("forget",),
        ("neighbor",),
        ("utility",),
        ("adversarial",),
    ]
    replies = told(given)
    figures = row_figures(given, replies, replies)
    assert not {"paraphrase", "mixed_kept", "mixed_forgotten", "oracle", "knowing", "informed"} & set(figures)
    assert figures["forget"].measured["leak_rate"].value == 1.0
    held_out = figures["forget_held_out"].measured["leak_rate"]
    assert held_out.n == 5 * len(TOLD[::FOLDS])
    assert "rewrite_rate" in figures["cost"].absent
    assert figures["untouched"].measured["identical_if_passed"].value == 1.0


def test_a_small_version_asks_a_few_of_many_people(suite: Suite, work: Path) -> None:
    assert len(people.probes_to_ask(suite, 1)) == 12
    assert len({one.group for one in people.probes_to_ask(suite, 1)}) == 9
    given, _ = known(suite, work, right_of(suite, each=5), limit=3)
    assert {len(split.asked) for split in given.splits.values()} == {3}


def test_answers_of_the_untreated_model_are_kept_as_they_come(
    suite: Suite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    started: list[str] = []

    def answer(url: str, one: Asked, *, max_tokens: int) -> Reply:
        if len(asked) == 20:
            raise KeyboardInterrupt
        asked.append(one.id)
        return Reply(text=f"{one.answer} {max_tokens}", status=200)

    @contextmanager
    def serve(which: str, work: Path) -> Iterator[Proxy]:
        started.append(which)
        yield Proxy(url="", admin="")

    monkeypatch.setattr(base_rate, "ask", answer)
    monkeypatch.setattr(base_rate, "serving", serve)
    monkeypatch.setattr(base_rate, "_STEP", 8)
    probes = people.probes_to_ask(suite)

    def ask_all() -> Mapping[str, str | None]:
        return base_rate.untreated_answers(
            tmp_path, probes, max_tokens=7, at_once=1, tell=lambda stage, done=0, total=0: None
        )

    with pytest.raises(KeyboardInterrupt):
        ask_all()
    (path,) = (tmp_path / "base_rate").glob("*.json")
    assert len(json.loads(path.read_bytes())) == 16
    asked.clear()
    monkeypatch.setattr(base_rate, "_STEP", 20)
    with pytest.raises(KeyboardInterrupt):
        ask_all()
    asked.clear()
    found = ask_all()
    assert len(asked) == 9
    assert found == {one.id: f"{one.answer} 7" for one in probes}
    assert started == ["untrained"] * 3
    ask_all()
    assert len(started) == 3


def test_each_choice_has_a_folder_of_its_own_and_a_part_is_kept_apart(tmp_path: Path) -> None:
    def plan(on: str, *, limit: int | None = None) -> Path:
        chosen = plan_of(quick=False, treatments=(), work=tmp_path, on=on, limit=limit)  # type: ignore[arg-type]  # one of On
        return chosen.work.relative_to(tmp_path.resolve())

    assert [plan(on) for on in ("authors", "people")] == [Path(), Path("people")]
    assert plan("people", limit=6) == Path("people/quick")


def test_the_assistant_is_taken_from_the_work_folder_if_it_is_there(tmp_path: Path) -> None:
    def assistant() -> Path | None:
        return plan_of(quick=True, treatments=(), work=tmp_path, on="authors", limit=None).assistant

    assert assistant() is None
    (tmp_path / "assistant" / "model").mkdir(parents=True)
    (tmp_path / "assistant" / "model" / "config.json").write_text("{}")
    assert assistant() == tmp_path.resolve() / "assistant" / "model"


def test_a_treatment_without_what_it_needs_and_a_choice_that_there_is_not_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "TREATMENTS", {**TREATMENTS, "offset": _Offset})
    common = ["--out", str(tmp_path / "out.json"), "--work", str(tmp_path)]
    refused = CliRunner().invoke(unlearning, [*common, "--treatment", "offset"])
    assert refused.exit_code == 2
    assert "assistant" in refused.output
    assert CliRunner().invoke(unlearning, [*common, "--on", "everybody"]).exit_code == 2
