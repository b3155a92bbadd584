"""Logit offset: what an assistant, a small model that knows only what is to be forgotten, would say is taken off.

For the model's scores l, the assistant's l_a and the plausible tokens P:

    l'(t) = l(t) - beta * log p_a(t)                 t in P
    l'(t) = l(t) - FALLEN                            otherwise
    P = {t : p(t) >= alpha * max p, or t is among the alpha * V likeliest}

What the assistant expects loses most. Where it has learnt to say nothing (every token alike) all plausible tokens lose the
same, and the answer stays as it was. A model that is sure of a forgotten answer gives no other token a share worth naming:
that is why alpha * V tokens are plausible whatever their share. Implausible tokens fall below all others but keep their
order, so that an answer goes on where every plausible token is forbidden as well (`sequences`).

Papers: ULD (Ji et al. 2024, arXiv:2406.08607) for the offset, contrastive decoding (Li et al. 2022, arXiv:2210.15097) for
the plausible tokens; that there are alpha * V at least, and alpha, are as in ULD's published code. Differs from it: the
assistant's log-probabilities are taken instead of its raw scores; implausible tokens fall instead of keeping their scores.

The assistant is a folder with an ordinary Hugging Face causal language model, and reads the model's own tokens: its
tokenizer must be the model's. It does not know entries, sampling, or how the assistant was trained. vLLM loads this module:
it imports nothing of guardrail, and libraries only where they are used.

Shapes: V the model's scores of one step, W the assistant's, S the fewer of both, L tokens read together.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

ASSISTANT_VARIABLE = "EXPUNGE_ASSISTANT"
"""Environment variable that names the assistant's folder to the plug-in in vLLM."""

PLAUSIBLE_SHARE = 0.01
"""alpha: a token is plausible with this share of the likeliest token's probability, or in this share of the vocabulary."""

FALLEN = 1e3
"""What an implausible token loses: more than any temperature makes up for, less than `sequences.FLOOR`."""

_READ_TOGETHER = 512  # tokens; bounds the memory that a long prompt takes


class AssistantError(ValueError):
    """A folder that is no assistant for the served model; the message names the setting and the mend."""


class Assistant:
    """A loaded assistant, for any number of answers. `context_tokens` bounds what it reads of an answer at once."""

    def __init__(self, model: Any, *, context_tokens: int) -> None:
        self.model = model
        self.context_tokens = context_tokens
        self.known_tokens = int(model.get_input_embeddings().num_embeddings)

    def sequence(self, read_prompt: Callable[[], Sequence[int]], beta: float) -> OffsetSequence:
        """A new answer; its prompt is asked for when the first token is to be chosen."""
        return OffsetSequence(AssistantSequence(self, read_prompt), beta)


class AssistantSequence:
    """What the assistant expects next in one answer; only tokens that are new to it are read.

    Of a text that is longer than its context it sees the last three quarters of a context, and reads on from there until
    the context is full again. A token that it has no embedding for is read as its last one.
    """

    def __init__(self, assistant: Assistant, read_prompt: Callable[[], Sequence[int]]) -> None:
        self._assistant = assistant
        self._read_prompt = read_prompt
        self._prompt_tokens: int | None = None
        self._ids: list[int] = []  # the prompt and the answer so far
        self._begin = 0  # place of the first token in the cache
        self._read = 0  # place behind the last one
        self._cache: Any = None
        self._last_W: torch.Tensor | None = None

    def logits(self, tokens: Sequence[int]) -> torch.Tensor | None:
        """The assistant's scores (W) of the token behind the prompt and these tokens of the answer; None if both are
        empty, which leaves it nothing to read. Tokens may have been taken back since the last call."""
        if self._prompt_tokens is None:
            self._ids = list(self._read_prompt())
            self._prompt_tokens = len(self._ids)
        known = self._ids[self._prompt_tokens :]
        shared = _shared_length(known, tokens)
        if shared < len(known):
            self._take_back(self._prompt_tokens + shared)
        self._ids += tokens[shared:]
        if self._read < len(self._ids):
            self._last_W = self._read_on()
        return self._last_W if self._ids else None

    def _take_back(self, place: int) -> None:
        """Forget the tokens from a place on. The one before it is read again, as its scores are asked for."""
        from transformers.cache_utils import DynamicLayer

        self._ids = self._ids[:place]
        kept = place - 1 - self._begin
        layers = [] if self._cache is None else self._cache.layers
        if kept <= 0 or not all(type(layer) is DynamicLayer for layer in layers):
            self._cache, self._begin, self._read = None, 0, 0
            return
        for layer in layers:
            layer.keys, layer.values = layer.keys[:, :, :kept], layer.values[:, :, :kept]
        self._read = place - 1

    def _read_on(self) -> torch.Tensor:
        import torch
        from transformers import DynamicCache

        assistant, context = self._assistant, self._assistant.context_tokens
        if len(self._ids) - self._begin > context:
            self._cache, self._begin = None, len(self._ids) - max(context - context // 4, 1)
        if self._cache is None:
            self._cache, self._read = DynamicCache(config=assistant.model.config), self._begin
        model = assistant.model
        with torch.no_grad():
            while self._read < len(self._ids):
                piece = self._ids[self._read : self._read + _READ_TOGETHER]
                ids_1L = torch.tensor([piece], dtype=torch.long, device=model.device)
                ids_1L.clamp_(0, assistant.known_tokens - 1)
                out = model(input_ids=ids_1L, past_key_values=self._cache, use_cache=True, logits_to_keep=1)
                self._read += len(piece)
        last_W: torch.Tensor = out.logits[0, -1].float()
        return last_W


class OffsetSequence:
    """The offset of one answer in the making; it follows the answer's tokens as `RestrictedSequence` does."""

    def __init__(self, expected: AssistantSequence, beta: float) -> None:
        self._expected = expected
        self._beta = beta
        self._tokens: list[int] = []

    @property
    def seen_tokens(self) -> int:
        """How many tokens of the answer are known."""
        return len(self._tokens)

    def follow(self, tokens: Sequence[int]) -> None:
        """Take note of all tokens so far; fewer than before where some were taken back."""
        if len(tokens) < len(self._tokens):
            self._tokens = []
        self.push(tokens[len(self._tokens) :])

    def push(self, tokens: Sequence[int]) -> None:
        """Take note of the next tokens. A negative number is the place of one that is not known yet: it and what
        follows wait for the next call of `follow`."""
        for token in tokens:
            if token < 0:
                return
            self._tokens.append(token)

    def adjust(self, scores_V: torch.Tensor, drafted: Sequence[int] = ()) -> None:
        """Change the scores of the token that follows those seen, and `drafted` ones that may yet be dropped."""
        expected_W = self._expected.logits([*self._tokens, *drafted])
        if expected_W is not None:
            offset(scores_V, expected_W, self._beta)


def offset(scores_V: torch.Tensor, assistant_W: torch.Tensor, beta: float, *, alpha: float = PLAUSIBLE_SHARE) -> None:
    """Change the scores in place. Tokens that only one of both has a score for are padding of its vocabulary: of them the
    assistant says nothing, as if it gave each the same share."""
    import torch

    size = min(scores_V.shape[0], assistant_W.shape[0])
    expected_V = torch.full_like(scores_V, -math.log(size))
    expected_V[:size] = assistant_W[:size].to(scores_V.device).float().log_softmax(-1).clamp(min=-FALLEN)
    likeliest = max(int(alpha * size), 1)
    rank_last = scores_V.topk(likeliest).values[-1]
    is_plausible_V = scores_V >= torch.minimum(scores_V.max() + math.log(alpha), rank_last)
    scores_V.copy_(torch.where(is_plausible_V, scores_V - beta * expected_V, scores_V - FALLEN))


def load_assistant(folder: str, *, setting: str, tokenizer: Any, device: Any, dtype: Any) -> Assistant:
    """Load the assistant of a folder beside the served model, whose tokenizer, device and type these are; blocking.

    Nothing is fetched. Raises `AssistantError`, which names `setting`, for a folder that holds no such model, is damaged,
    or reads other tokens.
    """
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM, AutoTokenizer

    check_folder(folder, setting=setting)
    place = str(Path(folder).expanduser())
    try:
        own_tokenizer: Any = AutoTokenizer.from_pretrained(place, local_files_only=True)
        if own_tokenizer.get_vocab() != tokenizer.get_vocab():
            raise AssistantError(
                f"{setting}: '{folder}' has another tokenizer than the served model; an assistant reads the model's own "
                "tokens, so train it from this model"
            )
        model: Any = AutoModelForCausalLM.from_pretrained(place, dtype=dtype, local_files_only=True)
    except AssistantError:
        raise
    except (OSError, ValueError, ImportError, RuntimeError, KeyError, SafetensorError) as error:
        told = str(error).strip().splitlines() or [type(error).__name__]
        mend = "copy the folder again as a whole, or train the assistant anew"
        raise AssistantError(f"{setting}: '{folder}' cannot be loaded: {told[0]}; {mend}") from error
    model.to(device)
    model.eval()
    model.requires_grad_(False)
    context = getattr(model.config.get_text_config(), "max_position_embeddings", None) or 2048
    return Assistant(model, context_tokens=int(context))


def check_folder(folder: str, *, setting: str) -> None:
    """Raises `AssistantError` if there is no model in the folder; nothing is loaded."""
    place = Path(folder).expanduser()
    if not (place / "config.json").is_file():
        is_adapter = (place / "adapter_config.json").is_file()
        what = "holds an adapter, which is no model" if is_adapter else "is no folder with a model (config.json)"
        raise AssistantError(f"{setting}: '{folder}' {what}; give the folder of a causal language model")


def _shared_length(known: Sequence[int], tokens: Sequence[int]) -> int:
    """How many tokens both begin with."""
    if list(tokens[: len(known)]) == known:
        return len(known)
    return next(at for at, token in enumerate(known) if at >= len(tokens) or token != tokens[at])
