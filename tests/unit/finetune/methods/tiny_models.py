"""Tiny causal models in float64 and batches for them: small enough for finite differences over every weight.

Shapes: B sequences, T tokens, V words, H hidden.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import torch
from torch import Tensor, nn

from finetune.data.batch import TokenBatch, TokenSequence, UnlearningBatch, padded
from finetune.methods.language import LOSSES, LossMethod, make_method
from finetune.methods.language.protocol import LanguageModel, Term

VOCABULARY, HIDDEN, LAYERS = 7, 4, 2

SMALL: dict[str, dict[str, object]] = {"rmu": {"layer": 0, "steering": 2.0, "retain_weight": 1.0}}
"""Hyper-parameters where the paper's do not suit so small a model."""


class TinyModel(nn.Module):
    """Two layers; each mixes a token with the mean of those up to it, so that padding on the right changes nothing."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.embedding = nn.Parameter(torch.empty(VOCABULARY, HIDDEN, dtype=torch.float64))
        self.layers = nn.ParameterList(
            nn.Parameter(torch.empty(HIDDEN, HIDDEN, dtype=torch.float64)) for _ in range(LAYERS)
        )
        self.head = nn.Parameter(torch.empty(HIDDEN, VOCABULARY, dtype=torch.float64))
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for weight in self.parameters():
                weight.normal_(generator=generator)

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, output_hidden_states: bool = False, logits_to_keep: int = 0
    ) -> Any:
        states = [self.embedding[input_ids]]
        seen_T1 = torch.arange(1, input_ids.shape[1] + 1, dtype=torch.float64)[:, None]
        for weight in self.layers:
            mixed_BTH = states[-1] + states[-1].cumsum(dim=1) / seen_T1
            states.append(torch.tanh(mixed_BTH @ weight))
        logits_BTV = states[-1][:, -logits_to_keep:] @ self.head
        return SimpleNamespace(logits=logits_BTV, hidden_states=tuple(states) if output_hidden_states else None)


def tokens_of(*texts: tuple[tuple[int, ...], int]) -> TokenBatch:
    """Each text as its tokens and how many of them are the prompt."""
    return padded([TokenSequence(tokens=tokens, prompt_tokens=prompt) for tokens, prompt in texts], pad_token=0)


def whole_batch() -> UnlearningBatch:
    """Every part, with prompts, padding and rows of different length."""
    return UnlearningBatch(
        forget=tokens_of(((1, 2, 3, 4, 5), 2), ((6, 5), 1), ((2, 2, 4), 0), ((3, 1, 4, 1), 3)),
        retain=tokens_of(((4, 3, 2, 1), 1), ((5, 6, 1), 2)),
        alternative=tokens_of(((1, 2, 6), 2), ((6, 1, 1, 2), 1), ((5, 3), 0), ((3, 1, 4, 6), 3)),
    )


def method_of(name: str, **hyper_parameters: object) -> LossMethod:
    """A loss of the table, fit for the tiny model."""
    assert name in LOSSES
    return cast(LossMethod, make_method(name, **{**SMALL.get(name, {}), **hyper_parameters}))


def step_loss(
    method: LossMethod, batch: UnlearningBatch, model: LanguageModel, reference: LanguageModel | None
) -> Tensor:
    """The loss of a step that is this one batch."""
    total = torch.zeros((), dtype=torch.float64)
    for term in method.loss(batch, model, reference):
        total = total + term.weight * term.total / units(term, batch)
    return total


def units(term: Term, batch: UnlearningBatch) -> int:
    """What a term of this batch is divided by."""
    tokens = {"forget": batch.forget, "retain": batch.retain, "alternative": batch.alternative}[term.part]
    assert tokens is not None
    return tokens.label_tokens if term.unit == "token" else len(tokens)
