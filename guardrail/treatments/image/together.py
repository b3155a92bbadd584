"""Several plans of one request as one: "prototype+negative_prompt" does what both do.

Where two change the prompt the first has its way, as the others read what it left; steerings work one inside the other, in
their order, or as one where they know how to join. Pure; it knows no treatment.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

from guardrail.denoising.preparation import Preparation
from guardrail.pictures import PicturePlan, Steering
from guardrail.policy import JOIN


@runtime_checkable
class Joinable(Protocol):
    """A steering that can do the work of another one of its kind, too."""

    def joined_with(self, other: Steering) -> Steering | None:
        """One steering that does what both do, this one first; None where it cannot."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Together:
    """Steerings one inside the other: each gets the arguments that the one before it gave."""

    name: str
    steerings: tuple[Steering, ...]

    def prepare(self, pipeline: Any) -> None:
        """Get ready what those need that can be got ready."""
        for steering in self.steerings:
            if isinstance(steering, Preparation):
                steering.prepare(pipeline)

    @contextmanager
    def attached(self, pipeline: Any, arguments: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        with ExitStack() as open_ones:
            for steering in self.steerings:
                arguments = open_ones.enter_context(steering.attached(pipeline, arguments))
            yield arguments


def together(plans: Sequence[PicturePlan]) -> PicturePlan:
    """One plan that does what all of them do. `plans` is not empty."""
    whole = plans[0]
    for plan in plans[1:]:
        whole = replace(
            whole,
            treatment=f"{whole.treatment}{JOIN}{plan.treatment}",
            prompt=whole.prompt if whole.prompt is not None else plan.prompt,
            negative_prompt=joined(whole.negative_prompt, plan.negative_prompt),
            steering=_both(whole.steering, plan.steering),
            refusal=whole.refusal or plan.refusal,
            is_blank=whole.is_blank or plan.is_blank,
            entry_ids=tuple(sorted({*whole.entry_ids, *plan.entry_ids})),
            details={**whole.details, **plan.details},
        )
    return whole


def joined(*texts: str) -> str:
    """Texts behind one another, as prompts list things."""
    return ", ".join(dict.fromkeys(text for text in texts if text))


def _both(first: Steering | None, second: Steering | None) -> Steering | None:
    if first is None or second is None:
        return first or second
    inner = first.steerings if isinstance(first, Together) else (first,)
    for place, one in enumerate(inner):
        whole = one.joined_with(second) if isinstance(one, Joinable) else None
        if whole is not None:
            rest = (*inner[:place], whole, *inner[place + 1 :])
            return replace(first, steerings=rest) if isinstance(first, Together) else whole
    return Together(name=f"{first.name}{JOIN}{second.name}", steerings=(*inner, second))
