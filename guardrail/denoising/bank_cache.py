"""Concept banks of a pipeline, kept while it lives, so that only the first request of a concept pays for its bank.

As many are kept as fit into a number of bytes; the longest unused is dropped first. Texts are not kept, only their digest.
Safe for several worker threads.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from typing import Any
from weakref import WeakKeyDictionary

from guardrail.denoising.concept_bank import ConceptBank, ConceptTexts, build_bank

KEPT_BYTES = 1024 * 1024 * 1024
"""Of all banks of one pipeline. One of SD 1.5 takes some 3 MB, one of SDXL up to 20 MB, of FLUX 40 MB, of SD3 90 MB."""

_Key = tuple[bytes, int, float]
_banks: WeakKeyDictionary[Any, OrderedDict[_Key, ConceptBank]] = WeakKeyDictionary()
_lock = threading.Lock()


def bank_for(pipeline: Any, texts: ConceptTexts, *, rank: int = 4, ridge: float = 1e-4) -> ConceptBank:
    """The bank of these texts in this pipeline, built where there is none yet."""
    key = (hashlib.sha256(repr((texts.pairs, texts.kept)).encode(errors="surrogatepass")).digest(), rank, ridge)
    with _lock:
        known = _banks.setdefault(pipeline, OrderedDict())
        if key in known:
            known.move_to_end(key)
            return known[key]
    bank = build_bank(pipeline, texts, rank=rank, ridge=ridge)
    with _lock:
        known[key] = bank
        while len(known) > 1 and sum(one.size_bytes for one in known.values()) > KEPT_BYTES:
            known.popitem(last=False)
    return bank
