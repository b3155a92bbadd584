"""The search finds the smallest strength without leaks, and says when there is none."""

from __future__ import annotations

import pytest

from guardrail.treatments.strength_search import FoundStrength, smallest_strength


class Model:
    """Tells each question's fact below a strength of its own."""

    def __init__(self, **forgets_at: float) -> None:
        self.forgets_at = forgets_at
        self.asked: list[tuple[str, float]] = []

    def ask(self, question: str, strength: float) -> str:
        self.asked.append((question, strength))
        return f"The fact of {question}." if strength < self.forgets_at[question] else "Something else."

    def search(self, **how: float) -> FoundStrength:
        return smallest_strength(list(self.forgets_at), self.ask, lambda one, answer: one in answer, **how)


@pytest.mark.parametrize("forgets_at", [0.3, 1.0, 3.7, 40.0])
def test_the_strength_is_just_above_what_the_last_question_needs(forgets_at: float) -> None:
    found = Model(a=0.0, b=forgets_at / 2, c=forgets_at).search(precision=1.1)
    assert found.strength is not None
    assert forgets_at <= found.strength <= forgets_at * 1.1
    assert found.tried[found.strength] == 0
    assert all(leaks > 0 for strength, leaks in found.tried.items() if strength < forgets_at)


def test_where_the_first_strength_does_no_smaller_one_is_tried() -> None:
    found = Model(a=0.1).search()
    assert found.strength == 0.25
    assert min(found.tried) == 0.25


def test_questions_that_tell_the_fact_themselves_are_left_out() -> None:
    found = Model(a=2.0, b=1e9).search()
    assert found.left_out == ("b",)
    assert found.strength is not None
    assert found.strength >= 2.0


def test_without_any_question_that_can_be_helped_there_is_no_strength() -> None:
    found = Model(a=1e9).search()
    assert found == FoundStrength(strength=None, tried={}, left_out=("a",))


def test_one_strength_that_happens_not_to_leak_is_not_taken() -> None:
    def ask(question: str, strength: float) -> str:
        return "leak" if strength < 8 and strength != 1.0 else ""

    found = smallest_strength(["a"], ask, lambda one, answer: bool(answer), precision=1.5)
    assert found.strength is not None
    assert 8 <= found.strength <= 12


def test_no_question_is_asked_twice_at_one_strength() -> None:
    model = Model(a=1.5, b=3.0)
    model.search()
    assert len(set(model.asked)) == len(model.asked)


def test_limits_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="precision"):
        Model(a=1.0).search(precision=1.0)
    with pytest.raises(ValueError, match="first"):
        Model(a=1.0).search(first=2.0, largest=1.0)
