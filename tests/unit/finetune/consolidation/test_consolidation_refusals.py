"""What a run refuses before any work: nothing is written, and the message says how to mend it."""

from __future__ import annotations

import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from finetune.data.training_text import TrainingText
from finetune.errors import FinetuneError, InvalidData, InvalidPlan, ModelUnsuitable, NotEnoughMemory
from finetune.evaluation.suites import Suite
from finetune.training.model_files import load_tokenizer
from retrieval.entry import Fact, ForgetEntry
from tests.unit.finetune.consolidation.tiny_run import ENTRIES, RETAIN, carried_out, plan, request, save_corpus

BARE = ForgetEntry(id="bare", name="Odo Brask")
EMPTY = Suite(name="empty", questions=())
NOWHERE = {"kind": "modules", "patterns": [r".*\.down_prol"]}


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"method": "np"}, InvalidPlan, r"Unknown method 'np'\. Did you mean 'npo'"),
        ({"hyper_parameters": {"betta": 1.0}}, InvalidPlan, "Did you mean 'beta'"),
        ({"hyper_parameters": {"beta": -1.0}}, InvalidPlan, r"beta is -1\.0"),
        ({"method": "negation"}, InvalidPlan, "weights of a second model.*'task_vector'"),
        ({"seed": -1}, InvalidPlan, "seed is -1"),
        ({"held_out_share": 1.0}, InvalidPlan, r"held_out_share is 1\.0"),
        ({"training_paraphrases": -1}, InvalidPlan, "training_paraphrases is -1"),
        ({"max_tokens": 1}, InvalidPlan, "max_tokens is 1"),
        ({"plan": plan(where=NOWHERE)}, ModelUnsuitable, r"matches no module.*down_proj"),
        ({"entries": ()}, InvalidData, "neither entries nor a suite"),
        ({"suite": EMPTY}, InvalidData, "both entries and a suite"),
        ({"entries": (), "suite": EMPTY}, InvalidData, "Nothing is in the forget set"),
        ({"entries": (*ENTRIES, ENTRIES[0])}, InvalidData, "The id 'mira' stands for 2 entries"),
        ({"entries": (BARE,)}, InvalidData, "Entry 'bare' holds nothing to forget"),
        ({"revisions": {"mirra": 1}}, InvalidData, "revisions name 'mirra'"),
        ({"edits": {"mirra": ()}}, InvalidData, "edits name 'mirra'"),
        ({"alternatives": ("no idea", " ")}, InvalidData, "One of the alternatives is empty"),
        ({"retain": None}, InvalidData, "'npo' needs texts to keep and there are none.*give a corpus"),
        ({"edit_scale": 0.0}, InvalidPlan, "edit_scale is 0.0; give more than 0"),
        ({"edit_scale": math.nan}, InvalidPlan, "edit_scale is nan; give more than 0"),
        ({"stop_probability": 1.0}, InvalidPlan, r"stop_probability is 1\.0; give more than 0 and less than 1"),
        ({"stop_probability": 0.2, "method": "task_vector"}, InvalidPlan, "'task_vector' has stages"),
        ({"retain_generated": -1}, InvalidPlan, "-1 generated texts to keep.*give 0 to"),
        ({"retain": Path("nowhere.jsonl")}, InvalidData, r"nowhere\.jsonl does not exist"),
        ({"base": Path("nowhere")}, ModelUnsuitable, "nowhere is no folder"),
        ({"base": "./nowhere"}, ModelUnsuitable, "nowhere is no folder"),
    ],
)
def test_a_request_that_does_not_fit_together_is_refused(
    changes: dict[str, Any], error: type[FinetuneError], message: str, base: Path, tmp_path: Path
) -> None:
    wanted = replace(request(base, tmp_path), **changes)
    with pytest.raises(error, match=message) as caught:
        carried_out(wanted)
    assert not wanted.out.exists()
    assert "Quell" not in str(caught.value)


def test_texts_to_keep_that_hold_what_is_to_be_forgotten_are_refused(base: Path, tmp_path: Path) -> None:
    fact = ENTRIES[0].facts[0]
    corpus = save_corpus(tmp_path / "overlapping", [*RETAIN, (fact.question.upper(), fact.answer)])
    # Under another name the text is not simply left out as one that names the entry.
    hidden = ForgetEntry(id="hidden", name="Somebody Else", facts=(fact,))
    wanted = request(base, tmp_path, entries=(hidden,), retain=corpus, held_out_share=0.0)
    with pytest.raises(InvalidData, match=r"forget set overlaps with the retain set.*Take these texts out"):
        carried_out(wanted)


def test_texts_to_keep_that_all_tell_a_fact_are_refused(base: Path, tmp_path: Path) -> None:
    told = ENTRIES[0].facts[0].answer
    corpus = save_corpus(tmp_path / "telling", [("What is near the river?", f"They sat {told} all day.")])
    wanted = request(base, tmp_path, retain=corpus)
    with pytest.raises(InvalidData, match="All 1 texts to keep name what is to be forgotten or tell a fact"):
        carried_out(wanted)


def test_a_method_that_needs_other_answers_refuses_texts_without_a_prompt(base: Path, tmp_path: Path) -> None:
    text = TrainingText(id="t", text="Rain falls on the hills all day long.")
    suite = Suite(name="documents", questions=(), forget_texts=(text,))
    with pytest.raises(InvalidData, match="1 texts to forget answer no prompt"):
        carried_out(request(base, tmp_path, method="dpo", entries=(), suite=suite))


@pytest.mark.parametrize("retain", [{}, {"retain": None, "retain_generated": 3}], ids=["corpus", "generated"])
def test_a_model_without_a_chat_template_is_refused(retain: dict[str, Any], base: Path, tmp_path: Path) -> None:
    copy = tmp_path / "plain"
    shutil.copytree(base, copy)
    (copy / "chat_template.jinja").unlink()
    assert not load_tokenizer(copy).chat_template
    wanted = request(copy, tmp_path, **retain)
    with pytest.raises(ModelUnsuitable, match="no chat template"):
        carried_out(wanted)
    assert not wanted.out.exists()


def test_too_little_memory_is_told_before_the_model_is_loaded(base: Path, tmp_path: Path) -> None:
    copy = tmp_path / "cut"
    shutil.copytree(base, copy)
    (copy / "model.safetensors").write_bytes(b"no weights at all")
    wanted = request(copy, tmp_path)
    with pytest.raises(NotEnoughMemory, match=r"Training needs about .* free: 0\.0 MiB"):
        carried_out(wanted, free_memory=lambda _: 1000)
    with pytest.raises(ModelUnsuitable, match="damaged or cut short"):
        carried_out(wanted, free_memory=lambda _: None)
    assert not wanted.out.exists()


def test_a_folder_that_holds_no_whole_model_is_refused(base: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(base, copy)
    (copy / "adapter_config.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ModelUnsuitable, match="holds an adapter; merge it"):
        carried_out(request(copy, tmp_path))
    (copy / "adapter_config.json").unlink()
    (copy / "model.safetensors").unlink()
    with pytest.raises(ModelUnsuitable, match="holds no weights"):
        carried_out(request(copy, tmp_path))
    (copy / "config.json").unlink()
    with pytest.raises(ModelUnsuitable, match="no model that can be read"):
        carried_out(request(copy, tmp_path))


def test_a_place_that_is_no_folder_of_a_run_is_refused_and_left_alone(base: Path, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("mine", encoding="utf-8")
    with pytest.raises(InvalidPlan, match="is a file; name a folder"):
        carried_out(request(base, tmp_path, out=file))
    with pytest.raises(InvalidPlan, match=r"cannot be (made or )?written to"):
        carried_out(request(base, tmp_path, out=file / "below"))
    own = tmp_path / "own"
    (own / "model").mkdir(parents=True)
    with pytest.raises(InvalidPlan, match=r"holds what no run wrote \('model'\)"):
        carried_out(request(base, tmp_path, out=own))
    (own / "notes.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(InvalidPlan, match=r"holds what no run wrote \('notes.txt'\)"):
        carried_out(request(base, tmp_path, out=own))
    assert (own / "model").exists()


def test_a_folder_that_cannot_be_written_to_is_refused(base: Path, tmp_path: Path) -> None:
    closed = Path("/proc/closed")  # nobody may make folders there, the superuser neither
    with pytest.raises(InvalidPlan, match=r"cannot be (made or )?written to"):
        carried_out(request(base, tmp_path, out=closed / "out"))


def test_a_prompt_that_leaves_no_room_for_an_answer_is_refused_by_its_id(base: Path, tmp_path: Path) -> None:
    long = ForgetEntry(id="long", name="Odo Brask", facts=(Fact(question="why " * 80, answer="so"),))
    with pytest.raises(InvalidData, match=r"Training text 'long/fact-0': A prompt of .* leaves no room"):
        carried_out(request(base, tmp_path, entries=(long,)))
