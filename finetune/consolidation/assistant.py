"""How well an assistant of `offset` remembers what is to be forgotten, and how little it says about anything else.

    nll                 mean over learnt tokens of -log p(token | what stands before it), texts to forget
    rouge_l_recall      of its own greedy answers to their prompts, by words
    evenness            mean over learnt tokens of H(p) / log V: 1 where all words are alike, so that nothing is subtracted

Texts to keep that it never saw tell more than those it was trained on: both are given. It knows no training and no files;
"not measured" is None, never 0. Source: Ji et al. 2024 (ULD), arXiv:2406.08607.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
from torch import nn

from finetune.consolidation.base_model import Base
from finetune.consolidation.texts import RunTexts
from finetune.consolidation.tokens import longest_tokens, pad_token_of
from finetune.data.batch import padded
from finetune.data.tokens import prompt_tokens, sequences_of
from finetune.data.training_text import TrainingText, texts_of
from finetune.evaluation.local_model import LocalModel
from finetune.evaluation.metrics.scores import rouge_l
from finetune.methods.language.losses import Predictions, predictions_of, token_entropy, token_nll

MOST: Final = 80
"""Texts of each kind that are looked at, spread over all of them."""
_ANSWER_TOKENS: Final = 64
_BATCH: Final = 8
_TO_KEEP: Final = ("retain", "neighbor", "utility")


@dataclass(frozen=True, kw_only=True, slots=True)
class Remembering:
    """Of one model. `unseen_evenness` is over texts to keep that were not trained on."""

    forget_nll: float
    forget_rouge_l_recall: float | None
    retain_evenness: float | None
    unseen_evenness: float | None


@torch.no_grad()
def remembering(model: nn.Module, base: Base, texts: RunTexts, *, max_tokens: int) -> Remembering:
    """The model is only read; `texts` are those it was, or will be, trained on."""
    most, longest = longest_tokens(base, max_tokens), longest_tokens(base, sys.maxsize) - _answer_tokens(base)
    trained = {one.whole for one in texts.retain}
    kept = texts_of(one for one in texts.questions if one.split in _TO_KEEP)
    unseen = [one for one in kept if one.whole not in trained and _asked_in(base, one) < most]
    asked = [one for one in texts.forget if one.prompt and _asked_in(base, one) <= longest]
    means = _Means(model=model.eval(), base=base, most=most)
    return Remembering(
        forget_nll=means.nll(_spread(texts.forget)),
        forget_rouge_l_recall=_recall(model, base, _spread(asked)),
        retain_evenness=means.evenness(_spread(texts.retain)),
        unseen_evenness=means.evenness(_spread(unseen)),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Means:
    """Means over the learnt tokens of texts."""

    model: Any
    base: Base
    most: int

    def nll(self, texts: Sequence[TrainingText]) -> float:
        values = [value for said in self._said(texts) for value in token_nll(said).tolist()]
        return math.fsum(values) / len(values)

    def evenness(self, texts: Sequence[TrainingText]) -> float | None:
        if not texts:
            return None
        shares = [
            value / math.log(said.logits_NV.shape[-1])
            for said in self._said(texts)
            for value in token_entropy(said).tolist()
        ]
        return math.fsum(shares) / len(shares)

    def _said(self, texts: Sequence[TrainingText]) -> Iterator[Predictions]:
        sequences = sequences_of(self.base.tokenizer, texts, max_tokens=self.most)
        pad, device = pad_token_of(self.base.tokenizer), next(self.model.parameters()).device
        starts = range(0, len(sequences), _BATCH)
        for at in starts:
            yield predictions_of(self.model, padded(sequences[at : at + _BATCH], pad_token=pad).to(device))


def _recall(model: nn.Module, base: Base, texts: Sequence[TrainingText]) -> float | None:
    if not texts:
        return None
    most = _answer_tokens(base)
    local = LocalModel(name=base.record.name, model=model, tokenizer=base.tokenizer)
    outputs = local.generate([one.prompt for one in texts], max_new_tokens=most)
    scores = [rouge_l(one.text, said, stem=True) for one, said in zip(texts, outputs, strict=True)]
    recalls = [score.recall for score in scores if score is not None]
    return math.fsum(recalls) / len(recalls) if recalls else None


def _asked_in(base: Base, text: TrainingText) -> int:
    """Tokens of its prompt."""
    return len(prompt_tokens(base.tokenizer, text.prompt))


def _answer_tokens(base: Base) -> int:
    """The longest answer that is asked for."""
    return longest_tokens(base, 2 * _ANSWER_TOKENS) // 2


def _spread(texts: Sequence[TrainingText]) -> Sequence[TrainingText]:
    """At most so many, from all over: those of one entry stand together."""
    step = math.ceil(len(texts) / MOST)
    return texts[::step] if texts else ()
