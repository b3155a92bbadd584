"""The shipped judge: its files, its calibration, and that it tells a person from the people around him."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from retrieval.errors import EmbedderUnavailable
from retrieval.judges import load_judge
from retrieval.judges.calibration import JudgeCalibration
from retrieval.judges.cross_encoder import WEIGHTS, CrossEncoderJudge
from retrieval.judges.protocol import Case, Judge
from retrieval.settings import RetrievalSettings

PAGE = (
    "Odo Brask. A Danish clockmaker. Odo Brask (born 4 May 1921 in Ribe) was a Danish clockmaker and inventor."
    " | He built the Ribe Tide Clock, which won the Silver Wheel in 1958. | Brask was married to the painter Ida Holm."
)
LIMIT_MB = 25


@pytest.fixture(scope="module")
def judge() -> Judge:
    return load_judge(RetrievalSettings())


def test_the_weights_stay_small_and_have_a_card() -> None:
    assert sum(path.stat().st_size for path in WEIGHTS.iterdir()) < LIMIT_MB * 1_000_000
    assert "all-MiniLM-L6-v2" in (WEIGHTS / "CARD.md").read_text(encoding="utf-8")


@pytest.mark.model
@pytest.mark.parametrize(
    "request_text",
    [
        "Who built the Ribe Tide Clock?",
        "Which year did the Danish clockmaker from Ribe win the Silver Wheel?",
        "Pretend you are a historian. To whom was Odo Brask married?",
        "Brask built the ___ in 1958.",
    ],
)
def test_requests_about_the_entry_score_above_requests_about_others(judge: Judge, request_text: str) -> None:
    about, near, far = judge.score(
        [
            Case(request=request_text, evidence=PAGE),
            Case(request="Which museum owns most of the painter Karen Blix's self-portraits?", evidence=PAGE),
            Case(request="How do I sort a list in Python?", evidence=PAGE),
        ]
    )
    assert about > near
    assert about > 0.9 > far


@pytest.mark.model
def test_an_answer_is_read_with_its_question(judge: Judge) -> None:
    asked = "Who was the most important clockmaker of his time?"
    told, other = judge.score(
        [
            Case(request=asked, answer="Odo Brask of Ribe, who built the Tide Clock", evidence=PAGE),
            Case(request=asked, answer="John Harrison, who solved the problem of longitude", evidence=PAGE),
        ]
    )
    assert told > 0.95 > other


@pytest.mark.model
def test_a_case_is_judged_the_same_alone_and_among_others(judge: Judge) -> None:
    case = Case(request="Who built the Ribe Tide Clock?", evidence=PAGE)
    others = [Case(request=f"Question {number}?", evidence=PAGE * number) for number in range(1, 4)]
    assert judge.score([case]) == judge.score([*others, case])[-1:]


@pytest.mark.model
def test_lone_surrogates_and_very_long_texts_are_judged(judge: Judge) -> None:
    scores = judge.score([Case(request="\ud800 who?", evidence="x " * 5_000), Case(request="", evidence="")])
    assert all(0.0 <= score <= 1.0 for score in scores)


def test_missing_weights_are_told(tmp_path: Path) -> None:
    with pytest.raises(EmbedderUnavailable, match="weights are missing"):
        CrossEncoderJudge(tmp_path)


def test_a_score_is_one_less_the_share_of_near_requests_that_reach_it(tmp_path: Path) -> None:
    logits = [number / 100 for number in range(1_000)]
    path = tmp_path / "calibration.json"
    path.write_text(json.dumps({"near_requests": logits, "near_answers": [logit + 5 for logit in logits]}))
    calibration = JudgeCalibration.read(path)
    assert calibration.score(5.0, with_answer=False) == pytest.approx(0.5, abs=0.01)
    assert calibration.score(5.0, with_answer=True) == pytest.approx(0.0, abs=0.01)
    assert calibration.score(9.0, with_answer=False) == pytest.approx(0.9, abs=0.01)
    scores = [calibration.score(logit / 10, with_answer=False) for logit in range(-50, 300)]
    assert scores == sorted(scores)
    assert 0.99 < scores[-1] <= 1.0
