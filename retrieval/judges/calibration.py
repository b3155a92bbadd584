"""What a judge's logit is worth: the share of requests near an entry, but not about it, that reach it.

Counted on requests about other people and works than those that the judge learnt (`weights/calibration.json`: logits in
ascending order, of requests alone and of requests with their answers), extrapolated beyond them as `calibration.py` says.
It does not know the judge. A score is 1 less that share: at .99 one in a hundred such requests scores as high.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from retrieval.calibration import Calibrator


@dataclass(frozen=True, kw_only=True, slots=True)
class JudgeCalibration:
    """Of requests alone, and of requests read with their answers."""

    requests: Calibrator
    answers: Calibrator

    @classmethod
    def fit(cls, requests: Sequence[float], answers: Sequence[float]) -> Self:
        """From logits of near requests; raises `ValueError` for too few."""
        return cls(requests=Calibrator.fit(requests), answers=Calibrator.fit(answers))

    @classmethod
    def read(cls, path: Path) -> Self:
        """From a file; raises `OSError`, or `ValueError` or `KeyError` for one that is not such a file."""
        found = json.loads(path.read_text(encoding="utf-8"))
        return cls.fit(found["near_requests"], found["near_answers"])

    def score(self, logit: float, *, with_answer: bool) -> float:
        """1 less the share of near requests that reach the logit."""
        calibrator = self.answers if with_answer else self.requests
        return 1.0 - float(calibrator.false_positive_rate([logit])[0])
