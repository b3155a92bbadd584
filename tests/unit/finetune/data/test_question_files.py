"""Questions and rows in files: what is written is read again, and what is wrong is told with file and line."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from finetune.data.qa import Question, paraphrases_of, read_questions, write_questions
from finetune.data.rows import rows_of
from finetune.errors import InvalidData

BARE = {"id": "q1", "question": "Where did Mira keep geese?", "answer": "By the harbour.", "split": "forget"}


def file_of(folder: Path, *lines: object, name: str = "qa.jsonl") -> Path:
    path = folder / name
    path.write_bytes(b"\n".join(line if isinstance(line, bytes) else orjson.dumps(line) for line in lines) + b"\n")
    return path


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    questions = [
        Question(
            id="q1",
            question="Where did Mira\u2028 keep geese?",
            answer="By the harbour.",
            split="forget",
            paraphrased_question="Mira's geese: where?",
            paraphrased_answer="At the harbour.",
            perturbed_answers=("By the lake.", "In a wood."),
            entry="mira",
            group="place",
        ),
        Question(id="q2", question="Two and two?", answer="Four.", split="utility"),
    ]
    path = tmp_path / "qa.jsonl"
    write_questions(path, questions)
    assert read_questions(path, entries={"mira"}) == questions
    assert list(tmp_path.iterdir()) == [path]


def test_only_the_required_fields_are_required_and_foreign_ones_are_ignored(tmp_path: Path) -> None:
    (found,) = read_questions(file_of(tmp_path, {**BARE, "subject": 7, "paraphrased_question": None}))
    assert found == Question(**BARE)  # type: ignore[arg-type] # the split is one of the literals


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ({**BARE, "answer": " "}, "'answer' must be a text that is not empty"),
        ({**BARE, "question": 3}, "'question' must be a text"),
        ({key: value for key, value in BARE.items() if key != "id"}, "'id' must be a text"),
        ({**BARE, "split": "forgot"}, "did you mean 'forget'"),
        ({**BARE, "split": "xyz"}, "must be one of forget, paraphrase, adversarial, neighbor, retain, utility"),
        ({**BARE, "perturbed_answers": "By the lake."}, "'perturbed_answers' must be a list of texts"),
        ({**BARE, "perturbed_answer": ["By the lake."]}, "did you mean 'perturbed_answers'"),
        ({**BARE, "entry": "mora"}, "names 'mora', which is no id of the entries"),
        (b'{"id": "q1",', "is not valid JSON"),
        ([1, 2], "must be a JSON object"),
    ],
)
def test_a_bad_line_is_told_with_its_number_and_the_mend(tmp_path: Path, line: object, told: str) -> None:
    path = file_of(tmp_path, {**BARE, "id": "q0"}, line)
    with pytest.raises(InvalidData, match=r"qa\.jsonl, line 2: ") as caught:
        read_questions(path, entries={"mira"})
    assert told in str(caught.value)
    assert "harbour" not in str(caught.value)


def test_ids_must_differ_and_a_file_must_hold_something(tmp_path: Path) -> None:
    with pytest.raises(InvalidData, match="line 2: the id 'q1' stands in an earlier line"):
        read_questions(file_of(tmp_path, BARE, BARE))
    with pytest.raises(InvalidData, match="holds no question"):
        read_questions(file_of(tmp_path, b""))
    with pytest.raises(InvalidData, match="cannot be read: No such file"):
        read_questions(tmp_path / "missing.jsonl")


def test_paraphrases_that_forget_questions_carry_become_questions() -> None:
    forget = Question(**BARE, paraphrased_question="Mira's geese: where?", entry="mira")  # type: ignore[arg-type] # as above
    retain = Question(id="r", question="a", answer="b", split="retain", paraphrased_question="c")
    (found,) = paraphrases_of([forget, retain])
    assert (found.id, found.question, found.split) == ("q1/paraphrased", "Mira's geese: where?", "paraphrase")
    assert (found.answer, found.cluster) == (forget.answer, "mira")


def test_a_json_file_may_hold_an_array_an_object_or_a_line_each(tmp_path: Path) -> None:
    array = file_of(tmp_path, b'[{"text": "a"},\n "b"]', name="array.json")
    lines = file_of(tmp_path, {"text": "a"}, {"text": "b"}, name="lines.json")
    whole = file_of(tmp_path, b'{\n"text": "a"\n}', name="whole.json")
    assert [row.text("text") for row in rows_of(array)] == ["a", "b"]
    assert [(row.place.rpartition(" ")[2], row.text("text")) for row in rows_of(lines)] == [("1", "a"), ("2", "b")]
    assert [row.text("text") for row in rows_of(whole)] == ["a"]


def test_files_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    latin = tmp_path / "latin.txt"
    latin.write_bytes("größe".encode("latin-1"))
    with pytest.raises(InvalidData, match="is not UTF-8"):
        list(rows_of(latin))
    with pytest.raises(InvalidData, match=r"use one of \.jsonl, \.json, \.txt, \.parquet"):
        list(rows_of(tmp_path / "table.csv"))
    with pytest.raises(InvalidData, match=r"broken\.json: is not valid JSON"):
        list(rows_of(file_of(tmp_path, b"[1,", name="broken.json")))


def test_an_answer_in_the_place_of_the_split_stands_in_no_message(tmp_path: Path) -> None:
    row = {"id": "a", "question": "Where does she live?", "answer": "forget", "split": "in a mill near Tarn"}
    (tmp_path / "qa.jsonl").write_bytes(orjson.dumps(row))

    with pytest.raises(InvalidData, match=r"line 1: 'split' is no split; it must be one of forget") as told:
        read_questions(tmp_path / "qa.jsonl")
    assert "mill" not in str(told.value)
