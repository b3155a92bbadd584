"""Training in numbered steps: stopping, going on, rates, and random numbers that nothing else depends on."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from benchmarks.shapes.steps import Optimiser, learning_rate, mixed, read, seeded, train
from guardrail.errors import InvalidInput


class Line:
    """Learns y = 2x - 1 from points drawn by the step's number; notes which steps it did."""

    def __init__(self, *, steps: int = 40, loss: float | None = None) -> None:
        with seeded(5):
            self.line = nn.Linear(1, 1)
        self._optimiser = Optimiser([(list(self.line.parameters()), 0.1)], steps=steps, warmup=4)
        self.did: list[int] = []
        self._loss = loss

    def step(self, number: int) -> float:
        self.did.append(number)
        if self._loss is not None:
            return self._loss
        x = torch.randn(16, 1, generator=torch.Generator().manual_seed(mixed(1, number)))
        return self._optimiser.step((self.line(x) - (2 * x - 1)).square().mean(), number)

    def state(self) -> dict[str, Any]:
        return {"line": self.line.state_dict(), "optimiser": self._optimiser.state()}

    def restore(self, state: Mapping[str, Any]) -> None:
        self.line.load_state_dict(state["line"])
        self._optimiser.restore(state["optimiser"])


def run(learner: Line, checkpoint: Path, *, stop_after: int | None = None, plan: str = "p") -> list[float]:
    losses: list[float] = []

    def on_step(done: int, steps: int, loss: float) -> None:
        losses.append(loss)
        if done == stop_after:
            raise KeyboardInterrupt

    with contextlib.suppress(KeyboardInterrupt):
        train(learner, steps=40, checkpoint=checkpoint, plan=plan, save_every_steps=7, on_step=on_step)
    return losses


def test_a_run_learns(tmp_path: Path) -> None:
    losses = run(Line(), tmp_path / "line.pt")
    assert len(losses) == 40
    assert losses[-1] < 0.1 * losses[0]


def test_stopping_and_going_on_gives_the_same_weights_as_one_go(tmp_path: Path) -> None:
    at_once = Line()
    run(at_once, tmp_path / "once.pt")
    run(Line(), tmp_path / "stopped.pt", stop_after=17)
    gone_on = Line()
    run(gone_on, tmp_path / "stopped.pt")
    assert gone_on.did == list(range(14, 40))
    assert torch.equal(gone_on.line.weight, at_once.line.weight)
    assert torch.equal(gone_on.line.bias, at_once.line.bias)


def test_a_finished_run_does_no_more_steps_and_keeps_its_weights(tmp_path: Path) -> None:
    first = Line()
    run(first, tmp_path / "line.pt")
    again = Line()
    assert run(again, tmp_path / "line.pt") == []
    assert torch.equal(again.line.weight, first.line.weight)


def test_a_checkpoint_of_another_plan_is_refused_with_what_to_do(tmp_path: Path) -> None:
    run(Line(), tmp_path / "line.pt", stop_after=10)
    with pytest.raises(InvalidInput, match=r"line\.pt was begun with another recipe; remove it"):
        run(Line(), tmp_path / "line.pt", plan="q")


def test_nothing_half_written_is_left_beside_a_checkpoint(tmp_path: Path) -> None:
    run(Line(), tmp_path / "work" / "line.pt")
    assert [path.name for path in (tmp_path / "work").iterdir()] == ["line.pt"]
    assert read(tmp_path / "work" / "line.pt", "p")["done"] == 40


def test_a_loss_that_is_no_number_ends_the_run_before_it_is_saved(tmp_path: Path) -> None:
    with pytest.raises(ArithmeticError, match="line: the loss of step 1 is nan; lower the rate"):
        run(Line(loss=float("nan")), tmp_path / "line.pt")
    assert not (tmp_path / "line.pt").exists()


def test_the_rate_rises_over_the_warm_up_and_falls_to_nothing() -> None:
    rates = [learning_rate(number, 100, warmup=10) for number in range(101)]
    assert rates[:10] == pytest.approx([(number + 1) / 10 for number in range(10)])
    assert max(rates) == pytest.approx(1)
    assert all(later <= earlier for earlier, later in itertools.pairwise(rates[10:]))
    assert rates[100] == pytest.approx(0, abs=1e-9)


def test_groups_keep_their_own_rates() -> None:
    fast, slow = nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(1))
    optimiser = Optimiser([([fast], 0.1), ([slow], 0.01)], steps=1000, warmup=1, decay=0.0)
    optimiser.step((fast + slow - 3).square().sum(), 0)
    assert fast.item() == pytest.approx(10 * slow.item(), rel=1e-3)


def test_random_numbers_inside_depend_on_the_seed_and_outside_are_left_alone() -> None:
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    with seeded(1, 2):
        inside = torch.rand(3)
    assert torch.equal(torch.rand(3), expected)
    with seeded(1, 2):
        assert torch.equal(torch.rand(3), inside)
    with seeded(2, 1):
        assert not torch.equal(torch.rand(3), inside)
