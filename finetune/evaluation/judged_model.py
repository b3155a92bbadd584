"""What evaluation asks of a model, whatever it is: a base, an adapter, a merged model or an endpoint.

A model says what it offers; what it does not offer is never guessed. How prompts become tokens, where weights lie and
what is measured are not known here. Log-probabilities are natural logarithms (nats).
Shapes: T tokens of one answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, Protocol, Self, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from finetune.evaluation.dialogue import Dialogue

Floats: TypeAlias = NDArray[np.float64]

Form = Literal["question", "text"]
"""How a prompt is put: "question" through the model's chat template or plain format, "text" continued as it stands."""


class Fact(StrEnum):
    """What can be known of one question put to a model."""

    OUTPUT = "output"  # its answer by greedy decoding
    SAMPLES = "samples"  # several answers by sampling
    TOKENS = "tokens"  # what it makes of the right answer's tokens
    OTHER_TOKENS = "other_tokens"  # the same for the paraphrased and the wrong answers
    REFERENCE_TOKENS = "reference_tokens"  # what a second model makes of the right answer's tokens
    GRADIENT_NORM = "gradient_norm"  # how strongly the right answer pulls at the weights


@dataclass(frozen=True, kw_only=True, slots=True)
class Sampling:
    """How answers are drawn. The same seed, prompts and batch size draw the same answers of a local model."""

    count: int
    temperature: float = 1.0
    top_p: float = 1.0
    seed: int = 0


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class TokenFacts:
    """What a model makes of an answer's tokens, each given all before it.

    `log_probs_T`: of the token that stands there. `greedy_T`: it is the likeliest one. `means_T`, `variances_T`: of the
    log-probability of a token drawn from the model's own distribution there. The last `end_tokens` end the turn.
    """

    log_probs_T: Floats
    greedy_T: NDArray[np.bool_]
    means_T: Floats
    variances_T: Floats
    end_tokens: int = 0

    def __len__(self) -> int:
        return len(self.log_probs_T)

    def without_end(self) -> Self:
        """The same without the tokens that end the turn."""
        if not self.end_tokens:
            return self
        kept = slice(0, len(self) - self.end_tokens)
        return type(self)(
            log_probs_T=self.log_probs_T[kept],
            greedy_T=self.greedy_T[kept],
            means_T=self.means_T[kept],
            variances_T=self.variances_T[kept],
        )


@runtime_checkable
class JudgedModel(Protocol):
    """A model under judgement. Asked for what it does not offer, it raises `ModelUnsuitable`; answers come in the order
    of the prompts."""

    @property
    def name(self) -> str:
        """Name for people and reports."""
        ...

    @property
    def offers(self) -> frozenset[Fact]:
        """Which of `OUTPUT`, `SAMPLES`, `TOKENS` and `GRADIENT_NORM` it can give."""
        ...

    def generate(self, prompts: Sequence[str], *, max_new_tokens: int, form: Form = "question") -> list[str]:
        """One greedy answer a prompt, without the prompt and without white space around it."""
        ...

    def sample(
        self, prompts: Sequence[str], sampling: Sampling, *, max_new_tokens: int, form: Form = "question"
    ) -> list[tuple[str, ...]]:
        """`sampling.count` drawn answers a prompt."""
        ...

    def token_facts(
        self, prompts: Sequence[str], answers: Sequence[str], *, form: Form = "question"
    ) -> list[TokenFacts]:
        """What the model makes of given answers, one a prompt."""
        ...

    def gradient_norms(self, prompts: Sequence[str], answers: Sequence[str], *, form: Form = "question") -> list[float]:
        """The Euclidean norm of the gradient of each answer's mean negative log-likelihood over all weights."""
        ...


@runtime_checkable
class ConversingModel(JudgedModel, Protocol):
    """A judged model that can also be put a whole conversation; a prompt is one of a single turn."""

    def converse(
        self, dialogues: Sequence[Dialogue], *, max_new_tokens: int, sampling: Sampling | None = None
    ) -> list[tuple[str, ...]]:
        """What the model says next, behind the prefill if there is one: one greedy answer a conversation, or
        `sampling.count` drawn ones."""
        ...
