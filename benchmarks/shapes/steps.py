"""A training run as numbered steps that can be stopped at any time and ends with the same weights all the same.

Whatever a step draws at random it draws from the seed and its number, and the learning rate is planned over the whole run,
so a run that goes on from a checkpoint repeats what the interrupted one would have done. It does not know what is learnt.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from finetune.data.whole_files import write_whole
from guardrail.errors import InvalidInput

OnStep = Callable[[int, int, float], None]
"""Gets the number of the step just done, of all steps, and the loss."""


class Learner(Protocol):
    """Something that is trained: `state` holds all of what steps change."""

    def step(self, number: int) -> float:
        """Do the step of this number (from 0); returns the loss."""
        ...

    def state(self) -> dict[str, Any]:
        """What a checkpoint must hold; plain values and tensors."""
        ...

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up a state."""
        ...


def train(learner: Learner, *, steps: int, checkpoint: Path, plan: str, save_every_steps: int, on_step: OnStep) -> None:
    """Do all steps, from the checkpoint on where there is one; raises `InvalidInput` for a checkpoint of another plan."""
    done = _restored(learner, checkpoint, plan)
    for number in range(done, steps):
        loss = learner.step(number)
        if not math.isfinite(loss):
            raise ArithmeticError(f"{checkpoint.stem}: the loss of step {number + 1} is {loss}; lower the rate")
        if (number + 1) % save_every_steps == 0 or number + 1 == steps:
            save(checkpoint, {"plan": plan, "done": number + 1, "state": learner.state()})
        on_step(number + 1, steps, loss)


def save(path: Path, content: Mapping[str, Any]) -> None:
    """A file that is there as a whole or not at all."""
    buffer = io.BytesIO()
    torch.save(dict(content), buffer)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, buffer.getvalue())


def read(path: Path, plan: str) -> dict[str, Any]:
    """What `save` wrote; raises `InvalidInput` where it belongs to another plan."""
    found: dict[str, Any] = torch.load(path, weights_only=True)
    if found.get("plan") != plan:
        raise InvalidInput(f"{path} was begun with another recipe; remove it, or name another --work folder")
    return found


def learning_rate(number: int, steps: int, *, warmup: int) -> float:
    """Share of the highest rate: rises over the warm-up, then falls along half a cosine over the whole planned run."""
    if number < warmup:
        return (number + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (number - warmup) / max(1, steps - warmup)))


class Optimiser:
    """AdamW on groups of weights with rates of their own, gradients clipped to length 1."""

    def __init__(
        self, groups: list[tuple[list[nn.Parameter], float]], *, steps: int, warmup: int, decay: float = 1e-3
    ) -> None:
        self._rates = [rate for _, rate in groups]
        self._weights = [weight for weights, _ in groups for weight in weights]
        self._steps, self._warmup = steps, max(1, min(warmup, steps // 20))
        self._adam = torch.optim.AdamW(
            [{"params": weights, "lr": rate} for weights, rate in groups],
            betas=(0.9, 0.99),
            weight_decay=decay,
            fused=True,
        )

    def step(self, loss: Tensor, number: int) -> float:
        """One update along the loss; returns it."""
        share = learning_rate(number, self._steps, warmup=self._warmup)
        for group, rate in zip(self._adam.param_groups, self._rates, strict=True):
            group["lr"] = rate * share
        self._adam.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call] # torch leaves it untyped
        nn.utils.clip_grad_norm_(self._weights, 1.0)
        self._adam.step()
        return float(loss.detach())

    def state(self) -> dict[str, Any]:
        """For a checkpoint."""
        return self._adam.state_dict()

    def restore(self, state: Mapping[str, Any]) -> None:
        """From a checkpoint."""
        self._adam.load_state_dict(dict(state))


@contextmanager
def seeded(*numbers: int) -> Iterator[None]:
    """torch's random numbers inside depend on these alone; outside they are as before."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(mixed(*numbers))
        yield


def mixed(*numbers: int) -> int:
    """One seed from several."""
    seed = 0
    for number in numbers:
        seed = (seed * 1_000_003 + number) % (1 << 62)
    return seed


def _restored(learner: Learner, checkpoint: Path, plan: str) -> int:
    """Steps that are already done."""
    if not checkpoint.is_file():
        return 0
    found = read(checkpoint, plan)
    learner.restore(found["state"])
    return int(found["done"])
