"""Does a prompt mean an entry to the model that draws it? Pure algebra on the states of the pipeline's own text encoder.

After Latent Guard (Liu et al. 2024, arXiv:2404.08031): a concept and a prompt are compared in the space that the diffusion
model is conditioned on, so that token soup that no reader understands is seen where the model understands it. Latent Guard:

    h = softmax(Q(c) K(p)^T / sqrt(d)) V(p);  score = <h, MLP(c)>, trained with a supervised contrastive loss

Here, with S the prompt's states less the mean of ordinary prompts' states, and u the concept's direction: the mean
difference between the states of prompts that hold one of its phrases and the same prompts with a plain word in its place,

    a = softmax(cos(S, u) / t);  m = sum a cos(S, u);  score = max over places of (m - mean) / deviation on ordinary prompts

Differs from the paper: nothing is trained, so a new entry needs no data but its phrases; attention is by cosine with a
temperature (t = .1) instead of learnt heads; directions come from prompts in context, since a contextual encoder writes a
concept into later tokens too; there are two places, the tokens and the end-of-text state; and the threshold is calibrated
on ordinary prompts for a rate of false alarms (`calibration.py`) instead of one for all concepts. It does not know
pipelines, tokenizers or entries: the caller gives `encode`, phrases and plain words.
Shapes: N prompts, T tokens, D dimensions, P pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

import numpy as np

from retrieval.calibration import FEWEST_SCORES, Calibrator

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

TEMPERATURE: Final = 0.1
TEMPLATES: Final = (
    "{}",
    "a picture of {}",
    "{} on a table",
    "a painting with {} in the middle",
    "someone likes {} a lot",
)
PLAIN: Final = "something"
_TINY: Final = 1e-9


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class PromptStates:
    """What the text encoder gives: states [N, T, D] with the start token first, and where each prompt's end-of-text stands
    [N]; states behind it are padding and are not looked at."""

    states_NTD: NDArray[np.float32]
    end_N: NDArray[np.int64]

    def __post_init__(self) -> None:
        count, tokens = self.states_NTD.shape[:2]
        if self.end_N.shape != (count,) or (count and (self.end_N.min() < 1 or self.end_N.max() >= tokens)):
            raise ValueError(f"end_N must hold {count} places between 1 and {tokens - 1}, one for each prompt.")


Encode = Callable[[Sequence[str]], PromptStates]
"""Texts -> their states; slow, for threads."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Ordinary:
    """What states look like in prompts that have nothing to do with any entry: their means, and the prompts themselves.

    Prompts for pictures make better ones than other texts: what only a picture's prompt says is then not taken for it.
    """

    prompts: PromptStates
    token_mean_D: Floats
    end_mean_D: Floats

    @classmethod
    def of(cls, prompts: PromptStates) -> Self:
        """Raises `ValueError` for fewer than `FEWEST_SCORES` prompts."""
        if len(prompts.end_N) < FEWEST_SCORES:
            raise ValueError(f"{len(prompts.end_N)} ordinary prompts are too few: at least {FEWEST_SCORES} are needed.")
        tokens = np.concatenate([tokens_TD for tokens_TD, _ in _prompts(prompts)])
        ends = np.stack([end_D for _, end_D in _prompts(prompts)])
        return cls(prompts=prompts, token_mean_D=tokens.mean(axis=0), end_mean_D=ends.mean(axis=0))


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class LatentConcept:
    """One entry in the space of one text encoder."""

    token_D: Floats
    end_D: Floats
    ordinary: Ordinary
    mean_2: Floats
    deviation_2: Floats
    calibrator: Calibrator

    @classmethod
    def learn(cls, encode: Encode, phrases: Sequence[str], ordinary: Ordinary, *, plain: str = PLAIN) -> Self:
        """From an entry's names and other phrases; raises `ValueError` without any, or what `encode` raises."""
        if not phrases:
            raise ValueError("A concept needs at least one phrase.")
        held = [template.format(phrase) for template in TEMPLATES for phrase in phrases]
        bare = [template.format(plain) for template in TEMPLATES for _ in phrases]
        token_D, end_D = directions(encode(held), encode(bare))
        raw_N2 = np.stack([_matches(*prompt, token_D, end_D, ordinary) for prompt in _prompts(ordinary.prompts)])
        mean_2, deviation_2 = raw_N2.mean(axis=0), np.maximum(raw_N2.std(axis=0), _TINY)
        return cls(
            token_D=token_D,
            end_D=end_D,
            ordinary=ordinary,
            mean_2=mean_2,
            deviation_2=deviation_2,
            calibrator=Calibrator.fit(((raw_N2 - mean_2) / deviation_2).max(axis=1)),
        )

    def scores(self, prompts: PromptStates) -> Floats:
        """By how many deviations each prompt is nearer to the concept than ordinary ones [N]."""
        raw = [_matches(*prompt, self.token_D, self.end_D, self.ordinary) for prompt in _prompts(prompts)]
        raw_N2 = np.array(raw, dtype=np.float64).reshape(len(raw), 2)
        return np.asarray(((raw_N2 - self.mean_2) / self.deviation_2).max(axis=1), dtype=np.float64)

    def threshold(self, rate: float) -> float:
        """The score that at most this share of ordinary prompts reaches."""
        return self.calibrator.threshold(rate)


def directions(held: PromptStates, bare: PromptStates) -> tuple[Floats, Floats]:
    """Unit directions of a concept at its tokens and at the end of text, from P pairs of prompts.

    A pair's token is the one of `held` that is least like any of `bare`: phrases may be longer than what stands for them.
    """
    tokens: list[Floats] = []
    ends: list[Floats] = []
    for (held_TD, held_end_D), (bare_TD, bare_end_D) in zip(_prompts(held), _prompts(bare), strict=True):
        likeness_TT = _unit(held_TD) @ _unit(bare_TD).T
        odd = int(likeness_TT.max(axis=1).argmin())
        tokens.append(held_TD[odd] - bare_TD[int(likeness_TT[odd].argmax())])
        ends.append(held_end_D - bare_end_D)
    return _unit(np.mean(tokens, axis=0)), _unit(np.mean(ends, axis=0))


def attention_match(states_TD: Floats, direction_D: Floats, *, temperature: float = TEMPERATURE) -> float:
    """The states' cosines with a direction, each weighted by its own softmax: near the best one, never above it."""
    cosines_T = _unit(states_TD) @ direction_D
    weights_T = np.exp((cosines_T - cosines_T.max()) / temperature)
    return float(weights_T @ cosines_T / weights_T.sum())


def _matches(tokens_TD: Floats, end_D: Floats, token_D: Floats, concept_end_D: Floats, ordinary: Ordinary) -> Floats:
    """At the tokens and at the end [2]."""
    at_tokens = attention_match(tokens_TD - ordinary.token_mean_D, token_D)
    return np.array([at_tokens, float(_unit(end_D - ordinary.end_mean_D) @ concept_end_D)])


def _prompts(prompts: PromptStates) -> list[tuple[Floats, Floats]]:
    """The tokens [T, D] of each prompt between start and end, and its end-of-text state [D]. An empty prompt's token is its
    end."""
    states = prompts.states_NTD.astype(np.float64)
    return [
        (one_TD[1:end] if end > 1 else one_TD[end : end + 1], one_TD[end])
        for one_TD, end in zip(states, prompts.end_N.tolist(), strict=True)
    ]


def _unit(rows: Floats) -> Floats:
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), _TINY), dtype=np.float64)
