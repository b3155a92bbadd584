"""The mathematics that language methods share: what a model says about learnt tokens, and distances made of it.

Everything is a pure function of tensors, but for the three that ask a model. Where nothing is learnt (prompts, padding)
the label is -100; the logits at t - 1 predict the label at t, so the first label is never learnt. Only learnt positions
are kept before the softmax over the vocabulary: prompts and padding cost neither time nor memory. Sums are left to the
methods: no mean over tokens or sequences of a batch is taken here, since a batch is only a part of a step. Logits and
states narrower than float32 are widened first. It does not know methods, weights of terms or what is missing in a batch.

Shapes: B sequences, T tokens, S = T - 1 predictions, N learnt tokens of a batch row by row, V words, H hidden. Unit: nats.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from finetune.data.batch import IGNORED, TokenBatch
from finetune.methods.language.protocol import LanguageModel


@dataclass(frozen=True, kw_only=True, slots=True)
class Predictions:
    """What a model says about the N learnt tokens of a batch; `learnt_BS` is true where they stand."""

    logits_NV: Tensor
    labels_N: Tensor
    learnt_BS: Tensor

    def per_sequence(self, values_N: Tensor) -> Tensor:
        """[B]: the sum of one value a learnt token over each sequence; 0 for a sequence that has none."""
        values_BS = values_N.new_zeros(self.learnt_BS.shape).masked_scatter(self.learnt_BS, values_N)
        return values_BS.sum(dim=1)

    @property
    def learnt_B(self) -> Tensor:
        """[B]: how many tokens of each sequence are learnt."""
        return self.learnt_BS.sum(dim=1)


def predictions(logits_BTV: Tensor, labels_BT: Tensor) -> Predictions:
    """The logits that predict learnt tokens, beside those tokens."""
    labels_BS = labels_BT[:, 1:]  # the label at t is predicted by the logits at t - 1
    learnt_BS = labels_BS != IGNORED
    row_N, position_N = learnt_BS.nonzero(as_tuple=True)
    length = logits_BTV.shape[1]
    logits_NV = logits_BTV.flatten(0, 1).index_select(0, row_N * length + position_N)
    return Predictions(logits_NV=widened(logits_NV), labels_N=labels_BS[learnt_BS], learnt_BS=learnt_BS)


def predictions_of(model: LanguageModel, tokens: TokenBatch) -> Predictions:
    """One forward pass of a model. Logits before the first learnt token are not asked for: a vocabulary is wide."""
    tail = tokens.tail_tokens
    output = model(input_ids=tokens.input_ids_BT, attention_mask=tokens.attention_mask_BT, logits_to_keep=tail)
    return predictions(output.logits[:, -tail:], tokens.labels_BT[:, -tail:])


def frozen_predictions_of(reference: LanguageModel, tokens: TokenBatch) -> Predictions:
    """The same without gradients."""
    with torch.no_grad():
        return predictions_of(reference, tokens)


def hidden_states_of(model: LanguageModel, tokens: TokenBatch) -> tuple[Tensor, ...]:
    """Embeddings first, then the state after each layer, each [B, T, H]; a full forward pass."""
    output = model(input_ids=tokens.input_ids_BT, attention_mask=tokens.attention_mask_BT, output_hidden_states=True)
    return tuple(output.hidden_states)


def widened(values: Tensor) -> Tensor:
    """At least float32: a softmax over a large vocabulary needs it."""
    return values if values.dtype == torch.float64 else values.float()


def token_nll(said: Predictions) -> Tensor:
    """[N]: -log p(token | what stands before it)."""
    return functional.cross_entropy(said.logits_NV, said.labels_N, reduction="none")


def token_unlikelihood(said: Predictions) -> Tensor:
    """[N]: -log(1 - p(token)), as log sum exp of all logits less that of all but the token's."""
    others_NV = said.logits_NV.scatter(1, said.labels_N[:, None], -math.inf)
    return said.logits_NV.logsumexp(dim=-1) - others_NV.logsumexp(dim=-1)


def learnt_before(said: Predictions) -> Tensor:
    """[N]: how many tokens of its own sequence are learnt before each."""
    counted_BS = said.learnt_BS.cumsum(dim=1) - 1
    return counted_BS[said.learnt_BS]


def sequence_nll(said: Predictions) -> Tensor:
    """[B]: the sum over the learnt tokens of each sequence."""
    return said.per_sequence(token_nll(said))


def mean_sequence_nll(said: Predictions) -> Tensor:
    """[B]: the mean over the learnt tokens of each sequence; 0 for a sequence that has none."""
    return sequence_nll(said) / said.learnt_B.clamp(min=1)


def sequence_log_probability(said: Predictions) -> Tensor:
    """[B]: log p(answer | prompt)."""
    return -sequence_nll(said)


def log_ratio(said: Predictions, said_before: Predictions) -> Tensor:
    """[B]: log p(answer | prompt) - log p_before(answer | prompt); above 0 where the answer has become likelier."""
    return sequence_log_probability(said) - sequence_log_probability(said_before)


def preference_loss(margin_B: Tensor, beta: float) -> Tensor:
    """[B]: -(2 / beta) log sigma(beta * margin), which falls as the margin grows; DPO, NPO and SimNPO differ in the margin.

    The factor 2 / beta is that of NPO (arXiv:2404.05868): for beta -> 0 the gradient becomes that of -margin.
    """
    return -(2.0 / beta) * functional.logsigmoid(beta * margin_B)


def token_kl(said_before: Predictions, said: Predictions) -> Tensor:
    """[N]: KL(before || now) = sum over the vocabulary of p_before (log p_before - log p_now)."""
    before_NV = said_before.logits_NV.log_softmax(dim=-1)
    now_NV = said.logits_NV.log_softmax(dim=-1)
    return (before_NV.exp() * (before_NV - now_NV)).sum(dim=-1)


def token_kl_of_uniform(said: Predictions) -> Tensor:
    """[N]: KL(uniform || now) = log sum exp z - mean z - log V over the vocabulary; 0 where all words are alike."""
    logits_NV = said.logits_NV
    return logits_NV.logsumexp(dim=-1) - logits_NV.mean(dim=-1) - math.log(logits_NV.shape[-1])


def token_entropy(said: Predictions) -> Tensor:
    """[N]: -sum over the vocabulary of p log p; log V where all words are alike."""
    now_NV = said.logits_NV.log_softmax(dim=-1)
    return -(now_NV.exp() * now_NV).sum(dim=-1)


def lowered_targets(said_before: Predictions, strength: float) -> Tensor:
    """[N, V]: softmax(z_before - strength * onehot(token)): what was said before, with the true token made less likely."""
    labels_N1 = said_before.labels_N[:, None]
    lowering_N1 = said_before.logits_NV.new_full(labels_N1.shape, -strength)
    return said_before.logits_NV.scatter_add(1, labels_N1, lowering_N1).softmax(dim=-1)


def token_cross_entropy(said: Predictions, targets_NV: Tensor) -> Tensor:
    """[N]: -sum over the vocabulary of target * log p."""
    return -(targets_NV * said.logits_NV.log_softmax(dim=-1)).sum(dim=-1)


def mean_state_distance(states_BTH: Tensor, targets: Tensor, tokens_BT: Tensor) -> Tensor:
    """[B]: the squared distance to the targets, a mean over H and over the tokens of each sequence that `tokens_BT` names.

    `targets` is [B, T, H], or [H] for one target everywhere. A sequence without such tokens has 0.
    """
    distance_BT = (states_BTH - targets).square().mean(dim=-1)
    counted_BT = distance_BT.masked_fill(~tokens_BT, 0.0)
    return counted_BT.sum(dim=1) / tokens_BT.sum(dim=1).clamp(min=1)


def steering_vector(hidden: int, seed: int) -> Tensor:
    """[H] in float64: independent entries, uniform in [0, 1), scaled to length 1; the same for a seed on every machine."""
    entries_H = torch.rand(hidden, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return entries_H / entries_H.square().sum().sqrt()
