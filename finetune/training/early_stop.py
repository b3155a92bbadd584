"""How likely texts are to a model, so that a run can end before its last step: once what is to be forgotten is no likelier
than to somebody who never knew it.

    p = exp(-mean over the learnt tokens of -log p(token | what stands before it))

It means the same for every method, whatever its loss is. A model that never knew does not give a text probability 0: the p
of a retain model, or of texts that the model never saw, is where to stop. It does not know who asks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from finetune.data.batch import TokenSequence, padded
from finetune.methods.language.losses import predictions_of, token_nll
from finetune.methods.language.protocol import LanguageModel


def token_probability(
    model: LanguageModel, sequences: Sequence[TokenSequence], *, pad_token: int, batch_size: int, device: torch.device
) -> float:
    """The geometric mean of what the model gives each learnt token, in 0..1; the model is only read."""
    total, count = 0.0, 0
    with torch.no_grad():
        for start in range(0, len(sequences), batch_size):
            tokens = padded(sequences[start : start + batch_size], pad_token=pad_token).to(device)
            nll_N = token_nll(predictions_of(model, tokens))
            total, count = total + float(nll_N.sum()), count + nll_N.numel()
    return math.exp(-total / max(1, count))
