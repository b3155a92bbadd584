"""What a request asks to be restricted or offset, and how it travels to vLLM: as `vllm_xargs`, which become
`SamplingParams.extra_args`.

    {"expunge_phrases": "[\\"Paris\\", \\"City of Light\\"]", "expunge_strength": 5.0}      # `phrase_bans`
    {"expunge_offset": 0.75}                                                           # `assistant`; beside it or alone

It does not know entries or tokenizers. Phrases never stand in an error: these are logged by whoever gets them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeGuard

from guardrail.decoding.phrase_bans import DEFAULT_STRENGTH

PHRASES_KEY = "expunge_phrases"
STRENGTH_KEY = "expunge_strength"
OFFSET_KEY = "expunge_offset"
_MOST_AMOUNT = 1_000


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
    if not _is_amount(strength):
        raise ValueError(f"{STRENGTH_KEY} must be a number that is not negative; the default is {DEFAULT_STRENGTH}")
    return RestrictionRequest(phrases=phrases, strength=float(strength)) if phrases else None


def offset_xargs(beta: float) -> dict[str, str | float]:
    """An offset as `vllm_xargs`; `beta` is how much of what the assistant expects is taken off."""
    return {OFFSET_KEY: beta}


def read_offset(arguments: Mapping[str, object] | None, *, has_assistant: bool = True) -> float:
    """beta of the offset in `SamplingParams.extra_args`; 0 where none is asked for.

    Raises `ValueError` for a value of another shape, and for an offset where there is no assistant.
    """
    if not arguments or OFFSET_KEY not in arguments:
        return 0.0
    beta = arguments[OFFSET_KEY]
    if not _is_amount(beta):
        raise ValueError(f"{OFFSET_KEY} must be a number that is not negative; 0 is no offset")
    if beta and not has_assistant:
        raise ValueError(f"{OFFSET_KEY} needs an assistant, and this model is served without one; leave it out")
    return float(beta)


def _is_amount(value: object) -> TypeGuard[int | float]:
    """True for a number that is not negative, nor so large that scores would overflow."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= _MOST_AMOUNT


def _read_phrases(value: object) -> tuple[str, ...]:
    shape = f'{PHRASES_KEY} must be a JSON list of texts, written as one text: "[\\"first\\", \\"second\\"]"'
    try:
        phrases = json.loads(value) if isinstance(value, str) else None
    except ValueError:
        phrases = None
    if not isinstance(phrases, list) or not all(isinstance(phrase, str) for phrase in phrases):
        raise ValueError(shape)
    return tuple(phrases)
