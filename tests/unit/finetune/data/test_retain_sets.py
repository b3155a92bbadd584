"""What must be kept: read from a corpus or said by the model, without what names the forgotten, and partly held out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import orjson
import pytest

from finetune.data.retain_set import (
    RetainSet,
    corpus_retain,
    generated_retain,
    held_out,
    ordinary_prompts,
    telling_answers,
)
from finetune.data.training_text import TrainingText
from finetune.errors import InvalidData
from retrieval.entry import Fact, ForgetEntry


def answers(prompts: Sequence[str]) -> list[str]:
    return [f"This is what I say to prompt {prompt}" for prompt in prompts]


def test_the_shipped_prompts_are_many_and_all_different() -> None:
    assert len(ordinary_prompts()) >= 100
    assert len({prompt.casefold() for prompt in ordinary_prompts()}) == len(ordinary_prompts())


def test_a_folder_of_rows_and_plain_texts_is_read_in_order(tmp_path: Path) -> None:
    lines = [
        {"text": "Rain falls on hills."},
        {"prompt": "Say hi.", "text": "Hi."},
        {"question": "Two?", "answer": "2"},
    ]
    (tmp_path / "a.jsonl").write_bytes(b"\n".join(orjson.dumps(line) for line in lines))
    (tmp_path / "b.txt").write_text("A whole text.\n\nWith two parts.", encoding="utf-8")
    (tmp_path / "notes.md").write_text("not read", encoding="utf-8")
    found = corpus_retain(tmp_path)
    assert [(one.id, one.prompt) for one in found.texts] == [
        ("a.jsonl:1", ""),
        ("a.jsonl:2", "Say hi."),
        ("a.jsonl:3", "Two?"),
        ("b.txt:1", ""),
    ]
    assert found.texts[3].text == "A whole text.\n\nWith two parts."


def test_texts_that_name_the_forgotten_are_left_out_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    texts = ["Geese fly south.", "Then MIRA-Quéll came.", "Mira came without Quell."]
    path.write_bytes(b"\n".join(orjson.dumps({"text": text}) for text in texts))
    found = corpus_retain(path, names=["Mira Quell"])
    assert [one.text for one in found.texts] == [texts[0], texts[2]]
    assert found.left_out == 1
    with pytest.raises(InvalidData, match="Nothing is in the retain set"):
        corpus_retain(path, names=["came", "geese"])
    with pytest.raises(InvalidData, match="does not exist"):
        corpus_retain(tmp_path / "missing")


def test_a_text_that_tells_a_fact_without_a_name_is_left_out_but_still_there_to_be_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    texts = ["Geese fly south.", "She lived in a mill near Tarn.", "Mira Quell had a mill."]
    path.write_bytes(b"\n".join(orjson.dumps({"text": text}) for text in texts))
    facts = (Fact(question="Where?", answer="in a mill near Tarn"), Fact(question="Since when?", answer="May 1911"))
    entry = ForgetEntry(id="mira", name="Mira Quell", facts=facts)
    assert telling_answers([entry]) == ["in a mill near Tarn"]
    found = corpus_retain(path, names=entry.names, answers=telling_answers([entry]))
    assert [one.text for one in found.texts] == texts[:1]
    assert [one.text for one in found.telling] == texts[1:2]
    assert found.left_out == 2


def test_a_text_that_stands_twice_is_kept_once(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    texts = ["Geese fly south.", "Rain falls on hills.", "Geese fly south."]
    path.write_bytes(b"\n".join(orjson.dumps({"text": text}) for text in texts))
    found = corpus_retain(path)
    assert [(one.id, one.text) for one in found.texts] == [("a.jsonl:1", texts[0]), ("a.jsonl:2", texts[1])]
    assert found.left_out == 1


def test_the_models_own_answers_are_drawn_by_the_seed_and_empty_ones_left_out() -> None:
    first, again, other = (generated_retain(answers, count=20, seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert [one.id for one in first.texts] != [one.id for one in other.texts]
    assert all(one.prompt in ordinary_prompts() and one.text.endswith(one.prompt) for one in first.texts)
    silent = generated_retain(lambda prompts: ["", *answers(prompts[1:])], count=20, seed=1)
    assert (len(silent.texts), silent.left_out) == (19, 1)


def test_a_model_that_answers_too_little_and_a_count_out_of_range_are_refused() -> None:
    with pytest.raises(InvalidData, match="gave 1 answers to 5 prompts"):
        generated_retain(lambda _: ["one"], count=5, seed=0)
    with pytest.raises(InvalidData, match="0 retain texts were asked for"):
        generated_retain(answers, count=0, seed=0)


def test_a_share_is_held_out_as_questions_and_never_trained_on() -> None:
    texts = [TrainingText(id=f"t{n}", prompt=f"Prompt {n}?", text=f"Answer number {n}.") for n in range(10)]
    retain = RetainSet(texts=tuple(texts), source="test")
    training, asked = held_out(retain, share=0.3, seed=4)
    assert (len(training), len(asked)) == (7, 3)
    assert not {one.id for one in training} & {one.id for one in asked}
    assert {one.split for one in asked} == {"retain"}
    assert held_out(retain, share=0.3, seed=4) == (training, asked)


def test_of_a_text_without_a_prompt_the_second_half_is_asked_for() -> None:
    texts = tuple(TrainingText(id=f"t{n}", text=f"geese {n} fly south over hills {n} before winter") for n in range(2))
    _, (asked,) = held_out(RetainSet(texts=texts, source="test"), share=0.5, seed=0)
    whole = next(one.text for one in texts if one.id == asked.id)
    assert asked.question.removeprefix("Continue this text:\n\n") + " " + asked.answer == whole
    assert asked.group == "continuation"


def test_duplicates_across_the_held_out_border_and_too_few_texts_are_refused() -> None:
    same = tuple(TrainingText(id=f"t{n}", text="The very same text stands here twice.") for n in range(2))
    with pytest.raises(InvalidData, match="held-out retain set overlaps with the training retain set \\(1 same\\)"):
        held_out(RetainSet(texts=same, source="test"), share=0.5, seed=0)
    with pytest.raises(InvalidData, match="give at least two texts"):
        held_out(RetainSet(texts=same[:1], source="test"), share=0.5, seed=0)


def test_files_of_one_name_in_two_folders_hide_nothing_from_each_other(tmp_path: Path) -> None:
    for folder, text in (("first", "Nobody knew what Odo Brask had for lunch."), ("second", "Rain falls from clouds.")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "texts.jsonl").write_bytes(orjson.dumps({"text": text}) + b"\n")

    retain = corpus_retain(tmp_path, names=["Odo Brask"])

    assert [(one.id, one.text) for one in retain.texts] == [("second/texts.jsonl:1", "Rain falls from clouds.")]
    assert retain.left_out == 1
