"""Which sequences meet in which step: whole epochs, rows that go together, units over the whole step, bad data refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from finetune.data.batch import TokenSequence
from finetune.errors import InvalidData
from finetune.methods.language.protocol import Need
from finetune.training.steps import StepOrder, TrainingData
from tests.unit.finetune.training.tiny_training import CONTEXT, VOCABULARY, tiny_data, tiny_plan


def numbered(forget: int, retain: int = 0, alternative: bool = False) -> TrainingData:
    """Row n of a part begins with the token n + 1; parts are told apart by their length."""

    def rows(count: int, length: int) -> tuple[TokenSequence, ...]:
        return tuple(TokenSequence(tokens=(row + 1, *[1] * (length - 1)), prompt_tokens=0) for row in range(count))

    return TrainingData(
        forget=rows(forget, 3), retain=rows(retain, 4), alternative=rows(forget if alternative else 0, 5), pad_token=0
    )


def firsts(batch: Any) -> list[int]:
    rows: list[int] = (batch.input_ids_BT[:, 0] - 1).tolist()
    return rows


def forget_rows(order: StepOrder, number: int) -> list[int]:
    return [row for micro in order.step(number).micro_batches for row in firsts(micro.batch.forget)]


def retain_rows(order: StepOrder, number: int) -> list[int]:
    return [row for micro in order.step(number).micro_batches for row in firsts(micro.batch.retain)]


def test_an_epoch_takes_every_sequence_once_and_the_next_one_in_another_order() -> None:
    order = StepOrder(data=numbered(10), plan=tiny_plan(batch_size=4, epochs=3))
    assert (order.steps_per_epoch, order.steps) == (3, 9)
    epochs = [[row for step in range(3) for row in forget_rows(order, 3 * epoch + step)] for epoch in range(3)]
    assert all(sorted(rows) == list(range(10)) for rows in epochs)
    assert epochs[0] != epochs[1] != epochs[2]
    assert [len(forget_rows(order, step)) for step in range(3)] == [4, 4, 2]


def test_most_steps_end_the_epochs_earlier() -> None:
    assert StepOrder(data=numbered(10), plan=tiny_plan(max_steps=5)).steps == 5
    assert StepOrder(data=numbered(10), plan=tiny_plan(max_steps=500)).steps == 6


def test_alternatives_come_with_the_sequences_that_they_answer() -> None:
    order = StepOrder(data=numbered(9, alternative=True), plan=tiny_plan())
    for number in range(order.steps):
        for micro in order.step(number).micro_batches:
            assert firsts(micro.batch.alternative) == firsts(micro.batch.forget)


def test_the_retain_part_goes_round_in_an_order_that_the_forget_part_does_not_change() -> None:
    order = StepOrder(data=numbered(8, retain=6), plan=tiny_plan(epochs=3))
    rows = [row for number in range(order.steps) for row in retain_rows(order, number)]
    assert [sorted(rows[start : start + 6]) for start in (0, 6, 12, 18)] == [list(range(6))] * 4
    longer = StepOrder(data=numbered(24, retain=6), plan=tiny_plan(epochs=1))
    assert rows == [row for number in range(longer.steps) for row in retain_rows(longer, number)]


def test_several_retain_sequences_may_come_with_each_to_be_forgotten() -> None:
    data = numbered(8, retain=6)
    single, double = (StepOrder(data=data, plan=tiny_plan(epochs=3, retain_per_forget=each)) for each in (1, 2))
    assert double.steps == single.steps
    assert [forget_rows(double, number) for number in range(6)] == [forget_rows(single, number) for number in range(6)]
    rows = [row for number in range(double.steps) for row in retain_rows(double, number)]
    assert [sorted(rows[start : start + 6]) for start in range(0, 48, 6)] == [list(range(6))] * 8
    cut = StepOrder(data=data, plan=tiny_plan(epochs=3, retain_per_forget=2, batch_size=2, accumulation=2))
    assert [len(retain_rows(cut, number)) for number in range(cut.steps)] == [8] * 6
    assert [row for number in range(cut.steps) for row in retain_rows(cut, number)] == rows
    assert [one.batch.retain and len(one.batch.retain.input_ids_BT) for one in cut.step(0).micro_batches] == [4, 4]


def test_units_are_counted_over_the_whole_step_as_labels_say() -> None:
    order = StepOrder(data=tiny_data(forget=12, retain=7, alternative=True), plan=tiny_plan(accumulation=2))
    step = order.step(0)
    batches = [micro.batch for micro in step.micro_batches]
    assert len(batches) == 2
    assert step.units.of("forget", "token") == sum(batch.forget.label_tokens for batch in batches)
    assert step.units.of("retain", "token") == sum(batch.retain.label_tokens for batch in batches if batch.retain)
    assert step.units.of("alternative", "sequence") == 8


def test_a_part_that_the_data_lack_has_no_units() -> None:
    with pytest.raises(InvalidData, match="asks for the retain part"):
        StepOrder(data=numbered(4), plan=tiny_plan()).step(0).units.of("retain", "token")


def test_processes_share_a_step_evenly_and_take_equally_many_forward_passes() -> None:
    data, plan = tiny_data(forget=14, retain=3), tiny_plan(batch_size=2, accumulation=2)
    alone = StepOrder(data=data, plan=plan.model_copy(update={"accumulation": 6}))
    shared = StepOrder(data=data, plan=plan, processes=3)
    assert (shared.steps, shared.sequences_per_step) == (alone.steps, 12)
    for number in range(alone.steps):
        whole = [micro.batch.forget.input_ids_BT.tolist() for micro in alone.step(number).micro_batches]
        steps = [shared.step(number, process=process) for process in range(3)]
        assert len({len(step.micro_batches) for step in steps}) == 1
        cut = [
            step.micro_batches[turn].batch.forget.input_ids_BT.tolist()
            for turn in range(len(steps[0].micro_batches))
            for step in steps
            if step.micro_batches[turn].counts
        ]
        assert cut == whole
        assert all(step.units == alone.step(number).units for step in steps)


def test_the_learning_rate_rises_then_falls_in_a_line_and_is_never_nothing() -> None:
    plan = tiny_plan(epochs=1, batch_size=1, learning_rate=1.0, warmup_share=0.2)
    order = StepOrder(data=numbered(10), plan=plan)
    rates = [order.learning_rate(number) for number in range(10)]
    assert rates == pytest.approx([1 / 3, 2 / 3, 1, 7 / 8, 6 / 8, 5 / 8, 4 / 8, 3 / 8, 2 / 8, 1 / 8])
    constant = StepOrder(data=numbered(10), plan=plan.model_copy(update={"schedule": "constant"}))
    assert [constant.learning_rate(number) for number in (0, 2, 9)] == pytest.approx([1 / 3, 1, 1])


def test_renamed_parts_leave_alternatives_behind_that_answer_something_else() -> None:
    data = numbered(4, retain=3, alternative=True)
    assert data.renamed({"retain": "forget"}) == replace(data, retain=data.forget)
    assert data.renamed({"forget": "retain"}) == replace(data, forget=data.retain, alternative=())
    assert data.renamed({"forget": "alternative"}).forget == data.alternative
    assert data.renamed(None) is data


def test_parts_that_a_method_does_not_read_are_left_out() -> None:
    data = numbered(4, retain=3, alternative=True)
    assert data.only(frozenset({Need.RETAIN})) == replace(data, alternative=())
    assert data.only(frozenset({Need.ALTERNATIVE, Need.REFERENCE})) == replace(data, retain=())


def test_the_fingerprint_tells_parts_order_and_prompts_apart() -> None:
    data = tiny_data(alternative=True)
    first, *rest = data.forget
    others = [
        replace(data, forget=(*rest, first)),
        replace(data, forget=(replace(first, prompt_tokens=first.prompt_tokens + 1), *rest)),
        replace(data, forget=data.retain, retain=data.forget),
        replace(data, alternative=()),
    ]
    assert len({data.fingerprint(), *(other.fingerprint() for other in others)}) == 5
    assert data.fingerprint() == tiny_data(alternative=True).fingerprint()


SHORT = TokenSequence(tokens=(1, 2, 3), prompt_tokens=0)


@pytest.mark.parametrize(
    ("change", "needs", "message"),
    [
        ({"forget": ()}, set(), "forget part is empty"),
        ({"retain": ()}, {Need.RETAIN}, "needs a retain part"),
        ({}, {Need.ALTERNATIVE}, "alternative part is empty"),
        ({"alternative": (SHORT,)}, set(), "1 alternatives for 16 sequences"),
        (
            {"retain": (SHORT, replace(SHORT, prompt_tokens=3))},
            set(),
            "Sequence 1 of the retain part has 3 tokens, of which 3 are prompt",
        ),
        ({"retain": (TokenSequence(tokens=(), prompt_tokens=0),)}, set(), "has 0 tokens.*nothing is left to learn"),
        ({"retain": (replace(SHORT, tokens=(1,) * 40),)}, set(), "has 40 tokens; the model reads at most 32"),
        ({"retain": (replace(SHORT, tokens=(1, VOCABULARY)),)}, set(), "outside the model's vocabulary of 64"),
    ],
)
def test_data_that_cannot_be_used_are_refused(change: dict[str, Any], needs: set[Need], message: str) -> None:
    with pytest.raises(InvalidData, match=message):
        replace(tiny_data(), **change).check(frozenset(needs), vocabulary=VOCABULARY, context=CONTEXT)
