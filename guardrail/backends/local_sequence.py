"""One answer in the making: its prompt, how its tokens are chosen, and the pieces of text that it gives off.

It turns logits into the next token and tokens into `Piece`s; it does not know the model, other sequences or threads.
Sampling is transformers' own processors in their usual order: penalties and bans, temperature, top-k, top-p, min-p.
Offset and forbidden phrases (`restriction`) come behind the caller's own biases, so that no bias brings a phrase back.
Log-probabilities are those of the scores behind biases, offset and bans, so that no alternative shows what is kept from
being written, and before temperature, top-k, top-p and min-p. A token that cannot be written is no alternative.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from guardrail.backends.local_model import LoadedModel
from guardrail.backends.local_text import TextBuilder
from guardrail.backends.shapes import Piece, TokenLogprob
from guardrail.decoding.request import RestrictionRequest

if TYPE_CHECKING:
    import torch

SEED_RANGE = 2**63


@dataclass(frozen=True, kw_only=True, slots=True)
class Sampling:
    """How tokens are chosen. `temperature` 0 takes the likeliest; `top_k` 0 is off; `logprobs` None gives none.
    `offset` is how much of what the assistant expects is taken off."""

    max_tokens: int
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    seed: int | None = None
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    repetition_penalty: float = 1.0
    logit_bias: dict[int, float] = field(default_factory=dict)
    bad_words: tuple[str, ...] = ()
    restriction: RestrictionRequest | None = None
    offset: float = 0.0
    stop: tuple[str, ...] = ()
    ignore_eos: bool = False
    logprobs: int | None = None


class Sequence:
    """One choice of one request. `emit` is called from the generating thread; `embeds` are read instead of the prompt's
    tokens at these places."""

    def __init__(
        self,
        *,
        index: int,
        prompt: list[int],
        sampling: Sampling,
        loaded: LoadedModel,
        emit: Callable[[Piece], None],
        embeds: Mapping[int, torch.Tensor] | None = None,
    ) -> None:
        self.index = index
        self.prompt = prompt
        self.embeds = embeds or {}
        self.tokens: list[int] = []
        self.cancelled = False
        self.emit = emit
        self._sampling = sampling
        self._loaded = loaded
        self._text = TextBuilder(loaded.tokenizer, sampling.stop)
        self._pending: list[TokenLogprob] = []
        self._generator: torch.Generator | None = None
        asked = sampling.restriction
        self._restriction = None if asked is None else loaded.restrictions.sequence(asked)
        assistant = loaded.assistant if sampling.offset else None
        self._offset = None if assistant is None else assistant.sequence(lambda: prompt, sampling.offset)

    def accept(self, logits_V: torch.Tensor) -> Piece | None:
        """Choose the next token and give off its text; the last piece, not yet given off, when the answer is complete.

        Whoever runs the sequence gives the last piece off once the sequence's place is free again.
        """
        scores_V = self._changed(logits_V)
        token = self._choose(scores_V)
        self.tokens.append(token)
        is_end = token in self._loaded.stop_ids and not self._sampling.ignore_eos
        if self._sampling.logprobs is not None and not is_end:
            self._pending.append(self._logprob(scores_V, token))
        text = "" if is_end else self._text.push(token)
        if is_end or self._text.stopped:
            return self._piece(text + self._text.end(), "stop")
        if len(self.tokens) >= self._sampling.max_tokens:
            text += self._text.end()
            return self._piece(text, "stop" if self._text.stopped else "length")
        if text:
            self.emit(self._piece(text, None))
        return None

    def _piece(self, text: str, finish: str | None) -> Piece:
        logprobs = None if self._sampling.logprobs is None else tuple(self._pending)
        self._pending = []
        return Piece(index=self.index, text=text, logprobs=logprobs, finish=finish)

    def _changed(self, logits_V: torch.Tensor) -> torch.Tensor:
        """The scores after penalties, biases, offset and bans."""
        how = self._sampling
        scores_V = logits_V.clone()
        if how.frequency_penalty or how.presence_penalty or how.logit_bias:
            self._adjust(scores_V)
        if self._offset is not None:
            self._offset.follow(self.tokens)
            self._offset.adjust(scores_V)
        if self._restriction is not None:
            self._restriction.adjust(scores_V, self.tokens)
        return self._processed(self._chains[0], scores_V)

    def _choose(self, scores_V: torch.Tensor) -> int:
        import torch

        how = self._sampling
        if how.temperature == 0:
            return int(scores_V.argmax())
        scores_V = self._processed(self._chains[1], scores_V)
        if self._generator is None:
            self._generator = torch.Generator(device=scores_V.device)
            if how.seed is None:
                self._generator.seed()
            else:
                # Choices of one request differ, yet each follows from the seed.
                self._generator.manual_seed((how.seed + self.index) % SEED_RANGE)
        return int(torch.multinomial(scores_V.softmax(-1), 1, generator=self._generator))

    def _adjust(self, scores_V: torch.Tensor) -> None:
        """OpenAI's penalties over the tokens of the answer so far, and logit_bias."""
        import torch

        how = self._sampling
        if self.tokens and (how.frequency_penalty or how.presence_penalty):
            ids, counts = torch.unique(torch.tensor(self.tokens, device=scores_V.device), return_counts=True)
            scores_V[ids] -= how.frequency_penalty * counts + how.presence_penalty
        for token, bias in how.logit_bias.items():
            scores_V[token] += bias

    def _processed(self, chain: Any, scores_V: torch.Tensor) -> torch.Tensor:
        import torch

        if not chain:
            return scores_V
        ids_1T = torch.tensor([self.prompt + self.tokens], device=scores_V.device)
        done_V: torch.Tensor = chain(ids_1T, scores_V[None])[0]
        return done_V

    @cached_property
    def _chains(self) -> tuple[Any, Any]:
        """What changes scores, and what leaves some of them out when a token is drawn."""
        from transformers.generation import logits_process as parts

        how = self._sampling
        chain: Any = parts.LogitsProcessorList()
        cuts: Any = parts.LogitsProcessorList()
        if how.repetition_penalty != 1.0:
            chain.append(parts.RepetitionPenaltyLogitsProcessor(how.repetition_penalty))
        if banned := self._banned():
            chain.append(parts.NoBadWordsLogitsProcessor(banned, eos_token_id=list(self._loaded.stop_ids)))
        if how.temperature not in (0, 1):
            cuts.append(parts.TemperatureLogitsWarper(how.temperature))
        if how.top_k:
            cuts.append(parts.TopKLogitsWarper(how.top_k))
        if how.top_p < 1.0:
            cuts.append(parts.TopPLogitsWarper(how.top_p))
        if how.min_p:
            cuts.append(parts.MinPLogitsWarper(how.min_p))
        return chain, cuts

    def _banned(self) -> list[list[int]]:
        """`bad_words` as token sequences, at the start of a text and after a space."""
        forms = {form for word in self._sampling.bad_words for form in (word, f" {word}")}
        ids = (self._loaded.tokenizer.encode(form, add_special_tokens=False) for form in sorted(forms))
        return [found for found in ids if found]

    def _logprob(self, scores_V: torch.Tensor, token: int) -> TokenLogprob:
        values_V = scores_V.log_softmax(-1)
        width = self._sampling.logprobs or 0
        top: list[tuple[str, bytes, float]] = []
        if width:
            best = values_V.topk(width)
            for value, found in zip(best.values.tolist(), best.indices.tolist(), strict=True):
                if value > -math.inf:
                    text = self._show(found)
                    top.append((text, text.encode(), value))
        text = self._show(token)
        return TokenLogprob(token=text, raw=text.encode(), logprob=float(values_V[token]), top=tuple(top))

    def _show(self, token: int) -> str:
        text: str = self._loaded.tokenizer.decode([token], clean_up_tokenization_spaces=False)
        return text
