"""Concept banks of a pipeline, kept while it lives, so that only the first request of a concept pays for its bank.

The oldest unused bank is dropped first. Safe for several worker threads.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Any
from weakref import WeakKeyDictionary

from guardrail.denoising.concept_bank import ConceptBank, ConceptTexts, build_bank

KEPT = 256
"""Most banks of one pipeline. One of SD 1.5 takes some 3 MB, one of FLUX some 15 MB."""

_Key = tuple[ConceptTexts, int, float]
_banks: WeakKeyDictionary[Any, OrderedDict[_Key, ConceptBank]] = WeakKeyDictionary()
_lock = threading.Lock()


def bank_for(pipeline: Any, texts: ConceptTexts, *, rank: int = 4, ridge: float = 1e-4) -> ConceptBank:
    """The bank of these texts in this pipeline, built where there is none yet."""
    key = (texts, rank, ridge)
    with _lock:
        known = _banks.setdefault(pipeline, OrderedDict())
        if key in known:
            known.move_to_end(key)
            return known[key]
    bank = build_bank(pipeline, texts, rank=rank, ridge=ridge)
    with _lock:
        known[key] = bank
        while len(known) > KEPT:
            known.popitem(last=False)
    return bank
