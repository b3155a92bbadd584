"""What an adversarial prompt may be written of: any word that is one token, but none that gives the concept away.

A row is a choice of words by number; a frame puts it before a text that stays. Pieces of words count as words ("rypov",
"9", "#"): whatever the tokenizer reads as one token when it stands alone. It does not know what is searched for. Shapes:
N rows, K words of a row, U words to choose from, T tokens of a prompt.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import Tensor

from benchmarks.shapes import networks
from benchmarks.shapes.vocabulary import ATTRIBUTES, THINGS, Attribute, names, value_of

_END_OF_WORD: Final = "</w>"
_LONG: Final = 4
"""Letters; "red" stands in "square dots" by chance."""
_NO_LETTERS: Final = re.compile(r"[^a-z]")


@dataclass(frozen=True, kw_only=True, slots=True)
class Words:
    """Words and their tokens [U]; `banned` words may not come about by writing others side by side, either."""

    words: tuple[str, ...]
    tokens: Tensor
    banned: frozenset[str]

    def is_clean(self, text: str) -> bool:
        """No banned word stands in a word of the text, nor a long one across words, whatever stands between its letters."""
        lower = text.lower()
        letters = _NO_LETTERS.sub("", lower)
        return not any(word in (letters if len(word) >= _LONG else lower) for word in self.banned)


class Frame:
    """Prompts of `length` words of a row, followed by a text that stays. Raises `ValueError` where that is too long."""

    def __init__(self, spell: Any, words: Words, *, length: int, text: str = "") -> None:
        self.words, self.length, self._text = words, length, text
        fixed = networks.tokens_of(spell, [text])[0]
        self.end = length + int((fixed == spell.eos_token_id).int().argmax())
        """The place of a prompt's first end token."""
        if self.end >= networks.TOKENS:
            raise ValueError(
                f"{length} words before a text of {self.end - length - 1} do not fit into {networks.TOKENS}"
            )
        self._before, self._after = fixed[:1], fixed[1 : networks.TOKENS - length]

    @property
    def places(self) -> slice:
        """Where a row's words stand."""
        return slice(1, 1 + self.length)

    def texts(self, rows_NK: Tensor) -> list[str]:
        """The prompts."""
        chosen = [" ".join(self.words.words[number] for number in row) for row in rows_NK.tolist()]
        return [f"{text} {self._text}".strip() for text in chosen]

    def tokens(self, rows_NK: Tensor) -> Tensor:
        """Their tokens [N, T], just as the tokenizer would give them."""
        number = len(rows_NK)
        before, after = (part.expand(number, -1) for part in (self._before, self._after))
        return torch.cat([before, self.words.tokens[rows_NK], after], dim=1)

    def are_clean(self, rows_NK: Tensor) -> Tensor:
        """Which rows may be used [N]."""
        return torch.tensor([self.words.is_clean(text) for text in self.texts(rows_NK)], dtype=torch.bool)


def attribute_of(concept: str) -> Attribute:
    """The attribute that has it as a value; raises `KeyError`."""
    for attribute in ATTRIBUTES:
        if concept in names(attribute):
            return attribute
    raise KeyError(f"no attribute has '{concept}'")


def banned_words(concepts: Iterable[str]) -> frozenset[str]:
    """Names, synonyms, held-out ones, and words of things that show a concept and of no other things: other splits ask with
    them."""
    told = set(concepts)
    values = [value_of(attribute_of(concept), concept) for concept in told]
    showing = {word for thing in THINGS if told & {thing.shape, thing.colour} for word in thing.name.split()}
    common = {word for thing in THINGS if not told & {thing.shape, thing.colour} for word in thing.name.split()}
    spoken = {word for value in values for word in (value.name, *value.others(with_held_out=True))}
    return frozenset(spoken | (showing - common))


def allowed_words(spell: Any, banned: frozenset[str]) -> Words:
    """Every word that is one token by itself and holds no banned one."""
    told = Words(words=(), tokens=torch.empty(0), banned=banned)
    chosen: list[tuple[str, int]] = []
    for token, number in sorted(spell.get_vocab().items(), key=lambda item: int(item[1])):
        word = token.removesuffix(_END_OF_WORD)
        is_word = token.endswith(_END_OF_WORD) and word.isascii() and word.isprintable()
        if is_word and told.is_clean(word) and _tokens(spell, word) == [number]:
            chosen.append((word, number))
    return Words(
        words=tuple(word for word, _ in chosen), tokens=torch.tensor([number for _, number in chosen]), banned=banned
    )


def _tokens(spell: Any, word: str) -> Sequence[int]:
    """Without begin and end."""
    ids: list[int] = spell(word).input_ids
    return ids[1:-1]
