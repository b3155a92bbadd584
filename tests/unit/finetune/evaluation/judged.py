"""What the tests of evaluation judge: a tiny model with a tokenizer made by hand, and answers made up without any model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from finetune.errors import ModelUnsuitable
from finetune.evaluation.dialogue import Dialogue
from finetune.evaluation.judged_model import Fact, Form, Sampling, TokenFacts
from finetune.evaluation.metrics.evidence import Answered, Answers, Asked
from tests.fakes.tiny_llama import tiny_llama

WORDS = ["<pad>", "<end>", "<user>", "<bot>", "<unk>", "Question:", "Answer:", *"abcdefghijklmnopqrstuvwxyz"]
TEMPLATE = (
    "{% for m in messages %}{{ '<user>' if m.role == 'user' else '<bot>' }} {{ m.content }} <end> {% endfor %}"
    "{% if add_generation_prompt %}<bot> {% endif %}"
)


def tiny_tokenizer(*, template: str | None = TEMPLATE) -> Any:
    """A word is a letter; `<end>` ends a turn."""
    words = Tokenizer(models.WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    words.decoder = decoders.WordPiece(prefix="##")  # words with blanks between them
    make: Any = PreTrainedTokenizerFast
    tokenizer = make(tokenizer_object=words, pad_token="<pad>", eos_token="<end>", unk_token="<unk>")
    tokenizer.chat_template = template
    return tokenizer


def tiny_model(*, seed: int = 0) -> Any:
    """Two layers of random weights, in float64 so that batches differ by rounding only far behind the point."""
    torch.set_num_threads(1)  # so little work is only slowed by sharing it
    model = tiny_llama(
        seed=seed,
        vocab_size=len(WORDS),
        max_position_embeddings=64,
        initializer_range=0.5,
        bos_token_id=None,
        eos_token_id=1,
        pad_token_id=0,
    )
    return model.double().eval()


def facts(
    log_probs: Sequence[float],
    *,
    greedy: Sequence[bool] | None = None,
    means: Sequence[float] | None = None,
    variances: Sequence[float] | None = None,
    end_tokens: int = 0,
) -> TokenFacts:
    """Token facts as given; moments are 0 and 1 unless said."""
    count = len(log_probs)
    return TokenFacts(
        log_probs_T=np.array(log_probs, dtype=np.float64),
        greedy_T=np.array(greedy if greedy is not None else [False] * count, dtype=np.bool_),
        means_T=np.array(means if means is not None else [0.0] * count, dtype=np.float64),
        variances_T=np.array(variances if variances is not None else [1.0] * count, dtype=np.float64),
        end_tokens=end_tokens,
    )


def asked(number: int = 0, **given: Any) -> Asked:
    """A question; its text and answer do not matter unless given."""
    return Asked(**{"id": f"q{number}", "question": f"question {number}", "answer": f"answer {number}", **given})


def answers(*answered: Answered, missing: dict[Fact, str] | None = None) -> Answers:
    return Answers(answered=answered, missing=missing or {})


class ScriptedModel:
    """Answers by rule and keeps a record of what it was asked. Log-probabilities are -1 a word of the answer."""

    def __init__(self, name: str = "scripted", *, offers: frozenset[Fact] | None = None) -> None:
        self.name = name
        self.offers = offers if offers is not None else frozenset({Fact.OUTPUT, Fact.SAMPLES, Fact.TOKENS})
        self.asked: list[tuple[str, Form, int]] = []

    def generate(self, prompts: Sequence[str], *, max_new_tokens: int, form: Form = "question") -> list[str]:
        self._note("generate", form, len(prompts))
        return [f"says {prompt}" for prompt in prompts]

    def sample(
        self, prompts: Sequence[str], sampling: Sampling, *, max_new_tokens: int, form: Form = "question"
    ) -> list[tuple[str, ...]]:
        self._note("sample", form, len(prompts))
        return [tuple(f"says {prompt} {number}" for number in range(sampling.count)) for prompt in prompts]

    def token_facts(
        self, prompts: Sequence[str], answers: Sequence[str], *, form: Form = "question"
    ) -> list[TokenFacts]:
        self._note("token_facts", form, len(prompts))
        return [facts([-1.0] * len(answer.split())) for _, answer in zip(prompts, answers, strict=True)]

    def gradient_norms(self, prompts: Sequence[str], answers: Sequence[str], *, form: Form = "question") -> list[float]:
        raise ModelUnsuitable("A script has no gradients.")

    def _note(self, what: str, form: Form, count: int) -> None:
        self.asked.append((what, form, count))


class ConversingScript(ScriptedModel):
    """The same, and keeps the conversations that it is put; it goes on from the last thing said."""

    def __init__(self, name: str = "conversing", **given: Any) -> None:
        super().__init__(name, **given)
        self.dialogues: list[Dialogue] = []

    def converse(
        self, dialogues: Sequence[Dialogue], *, max_new_tokens: int, sampling: Sampling | None = None
    ) -> list[tuple[str, ...]]:
        self.dialogues += dialogues
        lasts = [one.messages()[-1]["content"] for one in dialogues]
        count = sampling.count if sampling is not None else 1
        return [tuple(f"goes on from {last} {number}" for number in range(count)) for last in lasts]
