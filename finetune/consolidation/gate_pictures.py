"""The gate for edits of diffusion models: may they be drawn with? A pure function of what was seen in pictures.

    accuracy   what is to be forgotten is shown no more than so often, where the untouched model shows it
    locality   pictures of prompts to keep are nearly the same

What could not be seen before the edit cannot be seen to be gone, and does not pass.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from finetune.consolidation.gate import Check, GateVerdict
from finetune.consolidation.judged_pictures import JudgedPictures


class PictureLimits(BaseModel):
    """Shares of pictures; `changed` is a mean distance (1 - cosine). None: not asked for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    shown: float | None = Field(default=0.1, ge=0, le=1)
    shown_before: float | None = Field(default=0.5, ge=0, le=1)
    """Least share of the untouched model's pictures that show it."""

    changed: float | None = Field(default=0.1, ge=0, le=2)


def judge_by_pictures(judged: JudgedPictures, limits: PictureLimits) -> GateVerdict:
    """Hold what was seen against the limits."""
    checks: list[Check] = []
    if limits.shown_before is not None:
        seen = judged.shown_before >= limits.shown_before
        told = f"shown_before: the untouched model shows it in {judged.shown_before:.1%} of {judged.pictures} pictures"
        told += (
            "; that is enough to judge by" if seen else f"; fewer than {limits.shown_before:g}, so it cannot be judged"
        )
        checks.append(
            Check(
                name="shown_before",
                axis="accuracy",
                limit=limits.shown_before,
                value=judged.shown_before,
                ci95=None,
                passed=seen,
                reason=told,
            )
        )
    if limits.shown is not None:
        passed = judged.shown <= limits.shown
        word = "holds" if passed else "is allowed"
        told = f"shown: what is to be forgotten is shown in {judged.shown:.1%} of {judged.pictures} pictures"
        checks.append(
            Check(
                name="shown",
                axis="accuracy",
                limit=limits.shown,
                value=judged.shown,
                ci95=None,
                passed=passed,
                reason=f"{told}; at most {limits.shown:g} {word}",
            )
        )
    if limits.changed is not None:
        passed = judged.changed is not None and judged.changed <= limits.changed
        told = (
            "changed: was not measured, as there is nothing to keep or no picture embedder"
            if judged.changed is None
            else f"changed: {judged.kept_pictures} pictures to keep changed by {judged.changed:.3f}; at most "
            f"{limits.changed:g} {'holds' if passed else 'is allowed'}"
        )
        checks.append(
            Check(
                name="changed",
                axis="locality",
                limit=limits.changed,
                value=judged.changed,
                ci95=None,
                passed=passed,
                reason=told,
            )
        )
    return GateVerdict(checks=tuple(checks))
