"""What a request asks to be restricted, and how it travels to vLLM: as `vllm_xargs`, which become
`SamplingParams.extra_args`.

    {"expunge_phrases": "[\\"Paris\\", \\"City of Light\\"]", "expunge_strength": 5.0}

It does not know entries or tokenizers. Phrases never stand in an error: these are logged by whoever gets them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass

from guardrail.decoding.phrase_bans import DEFAULT_STRENGTH

PHRASES_KEY = "expunge_phrases"
STRENGTH_KEY = "expunge_strength"


@dataclass(frozen=True, kw_only=True, slots=True)
class RestrictionRequest:
    """`phrases` are never written; `strength` is what an almost finished one costs (0: only whole ones are stopped)."""

    phrases: tuple[str, ...]
    strength: float = DEFAULT_STRENGTH

    def to_xargs(self) -> dict[str, str | float]:
        """The request as `vllm_xargs`."""
        return {PHRASES_KEY: json.dumps(self.phrases, ensure_ascii=False), STRENGTH_KEY: self.strength}


def read_xargs(arguments: Mapping[str, object] | None) -> RestrictionRequest | None:
    """The request in `SamplingParams.extra_args`; None where nothing is to be restricted.

    Raises `ValueError` for arguments of another shape, without repeating them.
    """
    if not arguments or (PHRASES_KEY not in arguments and STRENGTH_KEY not in arguments):
        return None
    if PHRASES_KEY not in arguments:
        raise ValueError(f"{STRENGTH_KEY} is given without {PHRASES_KEY}; give both or neither")
    phrases = _read_phrases(arguments[PHRASES_KEY])
    strength = arguments.get(STRENGTH_KEY, DEFAULT_STRENGTH)
    is_number = isinstance(strength, int | float) and not isinstance(strength, bool)
    if not is_number or not math.isfinite(strength) or strength < 0:  # type: ignore[arg-type, operator]  # a number here
        raise ValueError(f"{STRENGTH_KEY} must be a number that is not negative; the default is {DEFAULT_STRENGTH}")
    return RestrictionRequest(phrases=phrases, strength=float(strength)) if phrases else None  # type: ignore[arg-type]


def _read_phrases(value: object) -> tuple[str, ...]:
    shape = f'{PHRASES_KEY} must be a JSON list of texts, written as one text: "[\\"first\\", \\"second\\"]"'
    try:
        phrases = json.loads(value) if isinstance(value, str) else None
    except ValueError:
        phrases = None
    if not isinstance(phrases, list) or not all(isinstance(phrase, str) for phrase in phrases):
        raise ValueError(shape)
    return tuple(phrases)
