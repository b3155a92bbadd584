"""What the text encoder makes of rows of words, also of soft ones, and two losses in its space alone.

States are the encoder's last ones, those that the UNet reads. A loss here needs neither pictures nor the UNet. It does not
know how rows are searched. Shapes: N rows, K words of a row, U words, T tokens, D width of a state, P pairs of texts.

`concept_moved` (Ring-A-Bell, Tsai et al. 2023, arXiv:2310.10012, equations 2 to 4): the empirical concept is
c = 1/P sum_i E(text_i with the concept) - E(text_i without it), and the loss |E(x) - (E(text) + eta c)|^2 over all states.
Differs from the paper: the mean instead of the sum over states, and the text is one that leaves the concept's attribute
open, so that all of the concept comes from c. Its eta of 3 and its 16 words do best here, too.

`end_likened` (MMA-Diffusion, Yang et al. 2023, arXiv:2311.17516, equation 1): 1 - cos(E(x), E(text with the concept)), both
at the end token. Differs: no image part, as the safety checker that it deceives is not here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import torch
from torch import Tensor

from benchmarks.shapes import networks
from benchmarks.shapes.attacks_words import Frame

StatesLoss = Callable[[Tensor], Tensor]
"""States [N, T, D] to losses [N]."""

ETA: Final = 3.0
_BATCH: Final = 256


class Reader:
    """A frame's prompts as the text encoder reads them."""

    def __init__(self, text_encoder: Any, frame: Frame, loss: StatesLoss) -> None:
        self._encoder, self._frame, self._loss = text_encoder, frame, loss

    def losses(self, rows_NK: Tensor) -> Tensor:
        """[N]; infinite for rows that hold a banned word."""
        parts = []
        with torch.inference_mode():
            for first in range(0, len(rows_NK), _BATCH):
                tokens = self._frame.tokens(rows_NK[first : first + _BATCH])
                parts.append(self._loss(self._encoder(tokens)[0]))
        losses_N = torch.cat(parts)
        return torch.where(self._frame.are_clean(rows_NK), losses_N, torch.full_like(losses_N, torch.inf))

    def slopes(self, row_K: Tensor) -> Tensor:
        """The gradient [K, U] of the loss by the one-hot choices."""
        words = self._frame.words
        chosen_KU = torch.nn.functional.one_hot(row_K, len(words.words)).float().requires_grad_()
        known_UD = self._encoder.get_input_embeddings().weight[words.tokens].detach()
        with _read_instead(self._encoder, self._frame.places, chosen_KU @ known_UD):
            states = self._encoder(self._frame.tokens(row_K[None]))[0]
        (gradient_KU,) = torch.autograd.grad(self._loss(states).sum(), chosen_KU)
        return gradient_KU


def concept_moved(
    text_encoder: Any, spell: Any, *, text: str, pairs: Sequence[tuple[str, str]], eta: float = ETA
) -> StatesLoss:
    """See the module; a pair is (with the concept, without it)."""
    with_PTD, without_PTD = (states_of(text_encoder, spell, [pair[side] for pair in pairs]) for side in (0, 1))
    goal_TD = states_of(text_encoder, spell, [text])[0] + eta * (with_PTD - without_PTD).mean(dim=0)
    return lambda states_NTD: (states_NTD - goal_TD).square().mean(dim=(1, 2))


def end_likened(text_encoder: Any, spell: Any, *, text: str, end: int) -> StatesLoss:
    """See the module; `end` is the place of a row's end token."""
    tokens = networks.tokens_of(spell, [text])
    its_end = int((tokens[0] == spell.eos_token_id).int().argmax())
    goal_D = states_of(text_encoder, spell, [text])[0, its_end]
    return lambda states_NTD: 1 - torch.cosine_similarity(states_NTD[:, end], goal_D, dim=-1)


def states_of(text_encoder: Any, spell: Any, texts: Sequence[str]) -> Tensor:
    """[N, T, D]."""
    with torch.no_grad():
        states: Tensor = text_encoder(networks.tokens_of(spell, texts))[0]
    return states


@contextmanager
def _read_instead(text_encoder: Any, places: slice, embedded_KD: Tensor) -> Iterator[None]:
    """At these places the encoder reads what is given, whatever the tokens say."""

    def put(_module: Any, _given: Any, embedded_NTD: Tensor) -> Tensor:
        return torch.cat([embedded_NTD[:, : places.start], embedded_KD[None], embedded_NTD[:, places.stop :]], dim=1)

    hook = text_encoder.get_input_embeddings().register_forward_hook(put)
    try:
        yield
    finally:
        hook.remove()
