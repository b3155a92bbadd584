"""What words tell: rare words much, common words little, from a shipped count of ordinary English.

w(t) = ln(1 + N / (1 + n_t)) with n_t of N background texts that hold the term (as in BM25, Robertson and Zaragoza 2009).
The counts (`word_counts.tsv.gz`: term, texts) leave out what only a few background pages hold, so no name is in them for
being the name of somebody. It does not know entries or indexes.
"""

from __future__ import annotations

import gzip
import math
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from retrieval.text.views import normalise

_COUNTS = Path(__file__).parent / "word_counts.tsv.gz"
_PLURAL = re.compile(r"(?<=[a-z]{2}[a-rt-z])s\Z")


def terms_of(text: str) -> frozenset[str]:
    """The words of a text as they are compared: folded, plural endings off, single letters left out."""
    return frozenset(_PLURAL.sub("", word) for word in normalise(text).words if len(word) > 1 or not word.isascii())


class WordWeights:
    """The weight of each term, from how many of `texts` background texts hold it."""

    def __init__(self, counts: Mapping[str, int], texts: int) -> None:
        self._counts = counts
        self._texts = texts

    def of(self, term: str) -> float:
        """ln(1 + N / (1 + n)); highest for a term that the background does not hold."""
        return math.log1p(self._texts / (1 + self._counts.get(term, 0)))


@cache
def shipped_weights() -> WordWeights:
    """The weights of the shipped counts; read once a process."""
    first, *lines = gzip.decompress(_COUNTS.read_bytes()).decode("utf-8").splitlines()
    pairs = (line.split("\t") for line in lines)
    return WordWeights({term: int(count) for term, count in pairs}, int(first.split("\t")[1]))
