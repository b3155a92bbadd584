"""What each token writes, ordered so that the tokens which go on with a given text are found without looking at all.

`Vocabulary` keeps the symbols (`phrase_trie.symbols_of`) of every token in sorted order: tokens that share a beginning
lie side by side, so the list is a trie of pieces without the weight of nodes. A second list holds the rest of every
token from each word that begins inside it.

A token may hold a part of a character only. Its bytes then wait until the character is whole or broken; a broken one
is U+FFFD, which separates words. Where a tokenizer writes single bytes as tokens ("<0x41>"), one bad byte makes the
whole run of them unreadable, also what has been shown already: `bytes_alone` names these tokens.

It does not know phrases or scores. Special tokens are `silent`: they write nothing, or are cut from the text.
"""

from __future__ import annotations

import codecs
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from guardrail.decoding.phrase_trie import GAP, kind_of, symbols_of
from retrieval.text.characters import Kind

_CONTINUES = range(0x80, 0xC0)  # bytes that only go on with a character


class Span(NamedTuple):
    """The entries `low` to `high` of a list, which go on with `symbol`."""

    symbol: str
    low: int
    high: int


class Written(NamedTuple):
    """Bytes as symbols, and the bytes of an unfinished character at their end."""

    symbols: str
    unfinished: bytes


class SortedTexts:
    """Symbols and their tokens in order. `first` holds the spans by first symbol."""

    def __init__(self, entries: Iterable[tuple[str, int]]) -> None:
        pairs = sorted(entries)
        self.texts = [text for text, _ in pairs]
        self.tokens = [token for _, token in pairs]
        self.first = {span.symbol: span for span in self.branches(bisect_left(self.texts, "\0"), len(pairs), 0)}

    def branches(self, low: int, high: int, depth: int) -> Iterator[Span]:
        """How the entries of a range go on: all of them are longer than `depth` and share that many symbols."""
        while low < high:
            symbol = self.texts[low][depth]
            end = bisect_left(self.texts, self.texts[low][:depth] + chr(ord(symbol) + 1), low, high)
            yield Span(symbol, low, end)
            low = end


class Vocabulary:
    """The tokens of one model. Built once per tokenizer and shared by all restrictions; never changes.

    `ending`: the tokens that end an answer; they write nothing and are never banned.
    """

    def __init__(
        self,
        pieces: Mapping[int, bytes],
        *,
        ending: Iterable[int],
        silent: Iterable[int] = (),
        bytes_alone: Iterable[int] = (),
    ) -> None:
        self.ending = frozenset(ending)
        self.silent = frozenset(silent) - self.ending
        quiet = self.ending | self.silent
        self.pieces = {token: piece for token, piece in pieces.items() if token not in quiet}
        self.bytes_alone = frozenset(bytes_alone)
        self.continuing = tuple(token for token, piece in self.pieces.items() if piece and piece[0] in _CONTINUES)
        self.written = {token: read(piece) for token, piece in self.pieces.items()}
        self.whole = SortedTexts((written.symbols, token) for token, written in self.written.items())
        self.inner = SortedTexts(
            (written.symbols[start:], token)
            for token, written in self.written.items()
            for start in _inner_words(written.symbols)
        )


def read(raw: bytes) -> Written:
    """What bytes write. Broken characters are gaps, an unfinished one at the end is left over."""
    text, used = codecs.utf_8_decode(raw, "replace", False)
    return Written(symbols_of(text), raw[used:])


def _inner_words(symbols: str) -> list[int]:
    """Where a word surely begins, whatever stands before these symbols."""
    if symbols.isascii():
        return [place for place, before in enumerate(symbols[:-1], start=1) if before == GAP]
    starts = []
    may_begin = False
    for place, symbol in enumerate(symbols):
        kind = kind_of(symbol)
        if kind is Kind.ALONE or (kind is Kind.LETTER and may_begin):
            starts.append(place)
        if kind is not Kind.MARK:
            may_begin = symbol == GAP or kind is Kind.ALONE
    return starts
