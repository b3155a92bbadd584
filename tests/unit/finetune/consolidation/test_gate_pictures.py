"""The gate for edits of diffusion models."""

from __future__ import annotations

from typing import Any

import pytest

from finetune.consolidation.gate_pictures import PictureLimits, judge_by_pictures
from finetune.consolidation.judged_pictures import JudgedPictures


def judged(**changed: Any) -> JudgedPictures:
    good = {"shown": 0.0, "shown_before": 0.9, "pictures": 40, "changed": 0.01, "kept_pictures": 40}
    return JudgedPictures(**{**good, **changed})


def test_a_good_edit_passes_with_its_figures() -> None:
    verdict = judge_by_pictures(judged(), PictureLimits())
    assert verdict.accepted
    assert [check.name for check in verdict.checks] == ["shown_before", "shown", "changed"]
    assert "shown in 0.0% of 40 pictures; at most 0.1 holds" in verdict.reasons[1]


@pytest.mark.parametrize(
    ("changed", "name"),
    [
        ({"shown": 0.2}, "shown"),
        ({"shown_before": 0.2}, "shown_before"),
        ({"changed": 0.3}, "changed"),
        ({"changed": None}, "changed"),
    ],
)
def test_what_is_still_shown_or_cannot_be_seen_or_changes_the_rest_is_refused(changed: Any, name: str) -> None:
    verdict = judge_by_pictures(judged(**changed), PictureLimits())
    assert not verdict.accepted
    assert [reason.partition(":")[0] for reason in verdict.reasons] == [name]


def test_a_limit_that_nobody_asks_for_does_not_count() -> None:
    limits = PictureLimits(shown=None, shown_before=None, changed=None)
    assert judge_by_pictures(judged(shown=1.0, changed=None), limits).checks == ()
