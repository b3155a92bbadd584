"""A causal model of transformers under judgement, with or without an adapter, on any device.

It offers everything: outputs, samples, token facts and gradient norms. Batches hold sequences of like length and at most
`batch_tokens` tokens. It does not know metrics or how the weights came about.
Shapes: B sequences, T tokens, V words.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from finetune.data.batch import TokenSequence, padded
from finetune.data.loaded_weights import UNREADABLE, refuse_broken, refuse_incomplete, refuse_misfit
from finetune.data.loading import DTYPES, without_peft_warnings
from finetune.errors import InvalidData, ModelUnsuitable
from finetune.evaluation.dialogue import Dialogue
from finetune.evaluation.judged_model import Fact, Form, Sampling, TokenFacts
from finetune.evaluation.prompting import PlainFormat, PromptCoder, batches_by_length


@dataclass(frozen=True, kw_only=True, slots=True)
class LocalModel:
    """Model and tokenizer as loaded by transformers; `plain` chooses a format for models without a chat template."""

    name: str
    model: Any
    tokenizer: Any
    plain: PlainFormat | None = None
    batch_tokens: int = 4096

    def __post_init__(self) -> None:
        self._coder()  # refuses a model that cannot be asked before any work is done
        self.model.eval()

    @classmethod
    def load(
        cls,
        model: str | Path,
        *,
        adapter: str | Path | None = None,
        device: str = "cpu",
        dtype: str = "float32",
        plain: PlainFormat | None = None,
        batch_tokens: int = 4096,
    ) -> Self:
        """From a folder or a name that transformers resolves. Raises `ModelUnsuitable` if it cannot be loaded as a whole,
        and for weights that are no numbers."""
        from transformers import AutoModelForCausalLM, AutoTokenizer

        if dtype not in DTYPES:
            raise ModelUnsuitable(f"The dtype '{dtype}' is not known. Known: {', '.join(DTYPES)}.")
        part = model
        try:
            make: Any = AutoModelForCausalLM
            loaded, loading = make.from_pretrained(model, dtype=DTYPES[dtype], output_loading_info=True)
            refuse_incomplete(model, loading)
            tokenizer = AutoTokenizer.from_pretrained(model)
            if adapter is not None:
                part = adapter
                loaded = _with_adapter(loaded, adapter)
        except UNREADABLE as error:
            raise ModelUnsuitable(
                f"'{part}' cannot be loaded ({type(error).__name__}). It must be a folder (or a name that transformers "
                "resolves) with a causal model and its tokenizer, or an adapter that peft saved for that model."
            ) from error
        name = str(model) if adapter is None else f"{model} + {adapter}"
        refuse_broken(name, loaded)
        return cls(name=name, model=loaded.to(device), tokenizer=tokenizer, plain=plain, batch_tokens=batch_tokens)

    @property
    def offers(self) -> frozenset[Fact]:
        return frozenset({Fact.OUTPUT, Fact.SAMPLES, Fact.TOKENS, Fact.GRADIENT_NORM})

    def generate(self, prompts: Sequence[str], *, max_new_tokens: int, form: Form = "question") -> list[str]:
        coded = [self._coder().prompt(prompt, form) for prompt in prompts]
        return [one[0] for one in self._generate(coded, None, max_new_tokens=max_new_tokens, form=form)]

    def sample(
        self, prompts: Sequence[str], sampling: Sampling, *, max_new_tokens: int, form: Form = "question"
    ) -> list[tuple[str, ...]]:
        coded = [self._coder().prompt(prompt, form) for prompt in prompts]
        return self._generate(coded, sampling, max_new_tokens=max_new_tokens, form=form)

    def converse(
        self, dialogues: Sequence[Dialogue], *, max_new_tokens: int, sampling: Sampling | None = None
    ) -> list[tuple[str, ...]]:
        coded = [self._coder().dialogue(one) for one in dialogues]
        return self._generate(coded, sampling, max_new_tokens=max_new_tokens, form="question")

    def token_facts(
        self, prompts: Sequence[str], answers: Sequence[str], *, form: Form = "question"
    ) -> list[TokenFacts]:
        coded = self._coded(prompts, answers, form)
        lengths = [len(sequence.tokens) for sequence, _ in coded]
        found: dict[int, TokenFacts] = {}
        for places in batches_by_length(lengths, max_tokens=self.batch_tokens):
            batch = padded([coded[place][0] for place in places], pad_token=self._pad_token()).to(self.model.device)
            with torch.inference_mode():
                tail, length = batch.tail_tokens, batch.input_ids_BT.shape[1]
                output = self.model(
                    input_ids=batch.input_ids_BT, attention_mask=batch.attention_mask_BT, logits_to_keep=tail
                )
                logits_BTV = output.logits[:, -tail:]
                for row, place in enumerate(places):
                    sequence, end_tokens = coded[place]
                    learnt = slice(sequence.prompt_tokens, len(sequence.tokens))
                    first = learnt.start - 1 - (length - tail)  # logits at t - 1 predict the token at t
                    before = slice(first, first + learnt.stop - learnt.start)
                    found[place] = _facts(logits_BTV[row, before], batch.input_ids_BT[row, learnt], end_tokens)
        return [found[place] for place in range(len(coded))]

    def gradient_norms(self, prompts: Sequence[str], answers: Sequence[str], *, form: Form = "question") -> list[float]:
        norms = []
        with _all_trainable(self.model) as weights:
            for sequence, end_tokens in self._coded(prompts, answers, form):
                kept = replace(sequence, tokens=sequence.tokens[: len(sequence.tokens) - end_tokens])
                batch = padded([kept], pad_token=self._pad_token()).to(self.model.device)
                logits_TV = self.model(input_ids=batch.input_ids_BT).logits[0, :-1].float()
                nll = torch.nn.functional.cross_entropy(logits_TV, batch.labels_BT[0, 1:])
                gradients = torch.autograd.grad(nll, weights, allow_unused=True)
                squares = [gradient.double().square().sum() for gradient in gradients if gradient is not None]
                norms.append(float(torch.stack(squares).sum().sqrt()))
        return norms

    def _generate(
        self, coded: Sequence[Sequence[int]], sampling: Sampling | None, *, max_new_tokens: int, form: Form
    ) -> list[tuple[str, ...]]:
        if sampling is None:
            return self._answers(coded, None, max_new_tokens=max_new_tokens, form=form)
        on_cuda = [self.model.device] if self.model.device.type == "cuda" else []
        with torch.random.fork_rng(devices=on_cuda):
            torch.manual_seed(sampling.seed)
            return self._answers(coded, sampling, max_new_tokens=max_new_tokens, form=form)

    def _answers(
        self, coded: Sequence[Sequence[int]], sampling: Sampling | None, *, max_new_tokens: int, form: Form
    ) -> list[tuple[str, ...]]:
        coder = self._coder()
        lengths = [len(tokens) + max_new_tokens for tokens in coded]
        self._refuse_long(lengths, beside=f" with {max_new_tokens} new ones")
        if empty := [number for number, tokens in enumerate(coded, start=1) if not tokens]:
            raise InvalidData(
                f"Prompt {empty[0]} of {len(coded)} is empty: there is nothing to go on from. Leave it out."
            )
        self._refuse_unknown(coded)
        config = self._generation_config(sampling, max_new_tokens)
        answers_each = sampling.count if sampling is not None else 1
        found: dict[int, tuple[str, ...]] = {}
        for places in batches_by_length([length * answers_each for length in lengths], max_tokens=self.batch_tokens):
            input_ids_BT, mask_BT = self._left_padded([coded[place] for place in places])
            with torch.inference_mode():
                output_BT = self.model.generate(
                    input_ids=input_ids_BT, attention_mask=mask_BT, generation_config=config
                )
            new_BT = output_BT[:, input_ids_BT.shape[1] :].tolist()
            for row, place in enumerate(places):
                rows = new_BT[row * answers_each : (row + 1) * answers_each]
                found[place] = tuple(coder.answer_text(tokens, form) for tokens in rows)
        return [found[place] for place in range(len(coded))]

    def _generation_config(self, sampling: Sampling | None, max_new_tokens: int) -> Any:
        from transformers import GenerationConfig

        own = self.model.generation_config.eos_token_id
        ends = {*(own if isinstance(own, list) else [own]), *self._coder().end_tokens()} - {None}
        drawn: dict[str, Any] = {"do_sample": False}
        if sampling is not None:
            drawn = {
                "do_sample": True,
                "temperature": sampling.temperature,
                "top_p": sampling.top_p,
                "top_k": 0,
                "num_return_sequences": sampling.count,
            }
        make: Any = GenerationConfig
        return make(
            max_new_tokens=max_new_tokens, eos_token_id=sorted(ends) or None, pad_token_id=self._pad_token(), **drawn
        )

    def _left_padded(self, prompts: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
        longest = max(map(len, prompts))
        input_ids_BT = torch.full((len(prompts), longest), self._pad_token(), dtype=torch.int64)
        mask_BT = torch.zeros_like(input_ids_BT)
        for row, tokens in enumerate(prompts):
            input_ids_BT[row, longest - len(tokens) :] = torch.tensor(tokens, dtype=torch.int64)
            mask_BT[row, longest - len(tokens) :] = 1
        return input_ids_BT.to(self.model.device), mask_BT.to(self.model.device)

    def _coded(self, prompts: Sequence[str], answers: Sequence[str], form: Form) -> list[tuple[TokenSequence, int]]:
        coder = self._coder()
        coded = [coder.answered(prompt, answer, form) for prompt, answer in zip(prompts, answers, strict=True)]
        self._refuse_long([len(sequence.tokens) for sequence, _ in coded], beside="")
        self._refuse_unknown([sequence.tokens for sequence, _ in coded])
        for number, (sequence, end_tokens) in enumerate(coded, start=1):
            if len(sequence.tokens) - end_tokens <= sequence.prompt_tokens:
                raise InvalidData(f"Answer {number} of {len(coded)} has no tokens to judge. Leave it out.")
        return coded

    def _refuse_long(self, lengths: Sequence[int], *, beside: str) -> None:
        limit = getattr(self.model.config, "max_position_embeddings", None)
        for number, length in enumerate(lengths, start=1):
            if limit is not None and length > limit:
                raise InvalidData(
                    f"Text {number} of {len(lengths)} has {length} tokens{beside}; '{self.name}' reads at most {limit}. "
                    "Cut it into windows, or ask for fewer new tokens."
                )

    def _refuse_unknown(self, coded: Sequence[Sequence[int]]) -> None:
        known, highest = int(self.model.get_input_embeddings().weight.shape[0]), max(map(max, coded), default=0)
        if highest >= known:
            raise ModelUnsuitable(
                f"The tokenizer of '{self.name}' gives token {highest}, and the model knows {known} tokens; take the "
                "tokenizer that belongs to the model."
            )

    def _coder(self) -> PromptCoder:
        return PromptCoder(tokenizer=self.tokenizer, plain=self.plain)

    def _pad_token(self) -> int:
        for token in (self.tokenizer.pad_token_id, self.tokenizer.eos_token_id):
            if token is not None:
                return int(token)
        return 0  # padding is masked, so that any token serves


def _with_adapter(model: Any, adapter: str | Path) -> Any:
    from peft import PeftModel

    with without_peft_warnings():
        wrapped: Any = PeftModel.from_pretrained(model, adapter)
    refuse_misfit(wrapped, Path(adapter))
    return wrapped.merge_and_unload()


def _facts(logits_TV: Tensor, tokens_T: Tensor, end_tokens: int) -> TokenFacts:
    log_probs_TV = logits_TV.float().log_softmax(dim=-1)
    probs_TV = log_probs_TV.exp()
    # A word that cannot be drawn (probability 0, logarithm minus infinity) takes no part in the moments.
    means_T = (probs_TV * log_probs_TV).nan_to_num(nan=0.0).sum(dim=-1)
    variances_T = (probs_TV * (log_probs_TV - means_T[:, None]).square()).nan_to_num(nan=0.0).sum(dim=-1)
    taken_T = log_probs_TV.gather(-1, tokens_T[:, None]).squeeze(-1)
    return TokenFacts(
        log_probs_T=taken_T.cpu().numpy().astype(np.float64),
        greedy_T=(log_probs_TV.argmax(dim=-1) == tokens_T).cpu().numpy(),
        means_T=means_T.cpu().numpy().astype(np.float64),
        variances_T=variances_T.cpu().numpy().astype(np.float64),
        end_tokens=end_tokens,
    )


@contextmanager
def _all_trainable(model: Any) -> Iterator[list[Tensor]]:
    """Every weight asks for gradients, frozen ones too, as long as the block lasts."""
    weights: list[Tensor] = [weight for weight in model.parameters() if weight.is_floating_point()]
    before = [weight.requires_grad for weight in weights]
    try:
        for weight in weights:
            weight.requires_grad_(True)
        yield weights
    finally:
        for weight, was in zip(weights, before, strict=True):
            weight.requires_grad_(was)
