"""Prompts and answers as tokens of a local model, and batches of like length.

    question:  chat template (or plain format)  | answer | end of turn
    text:      start token, prompt as it stands | continuation
    dialogue:  chat template of all turns, the answer's beginning behind them (or questions and answers in the plain format)

With a chat template the tokens are those that training makes (`finetune.data.tokens`). The answer is tokenised by itself
behind the finished prompt, so that the prompt's tokens are the same with and without it. It does not know models or
metrics. Lengths are in tokens.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from finetune.data.batch import TokenSequence
from finetune.data.tokens import chat_sequence, conversation_tokens, prompt_tokens
from finetune.errors import ModelUnsuitable
from finetune.evaluation.dialogue import Dialogue
from finetune.evaluation.judged_model import Form


@dataclass(frozen=True, kw_only=True, slots=True)
class PlainFormat:
    """How a question is put to a model without a chat template. What follows one of `stops` is no part of an answer."""

    before: str = "Question: "
    after: str = "\nAnswer:"
    answer_start: str = " "
    stops: tuple[str, ...] = ("\n\n", "\nQuestion:")


@dataclass(frozen=True, kw_only=True, slots=True)
class PromptCoder:
    """`plain` None: the tokenizer's chat template. Raises `ModelUnsuitable` where there is neither."""

    tokenizer: Any
    plain: PlainFormat | None = None

    def __post_init__(self) -> None:
        if self.plain is None and not getattr(self.tokenizer, "chat_template", None):
            raise ModelUnsuitable(
                "The tokenizer has no chat template, so questions cannot be put as they are served. Judge the "
                "instruction-tuned model, set tokenizer.chat_template, or choose the plain format ('Question: ...')."
            )

    def prompt(self, text: str, form: Form) -> list[int]:
        """A prompt's tokens."""
        if form == "text":
            start = self.tokenizer.bos_token_id
            return [*([] if start is None else [start]), *self._tokens(text)]
        if self.plain is None:
            return list(prompt_tokens(self.tokenizer, text))
        return self._tokens(f"{self.plain.before}{text}{self.plain.after}", with_special=True)

    def dialogue(self, dialogue: Dialogue) -> list[int]:
        """A conversation's tokens up to where the model speaks, or goes on."""
        if self.plain is None:
            return list(conversation_tokens(self.tokenizer, dialogue.messages(), goes_on=bool(dialogue.prefill)))
        return self._tokens(_plainly(dialogue, self.plain), with_special=True)

    def answered(self, prompt: str, answer: str, form: Form) -> tuple[TokenSequence, int]:
        """Prompt and answer together, and how many tokens end the turn. A text's first token, which nothing precedes,
        counts as given."""
        if form == "question" and self.plain is None:
            # Not cut here: whoever reads the sequence says how long it may be.
            return chat_sequence(self.tokenizer, prompt, answer, max_tokens=sys.maxsize), 1
        given = self.prompt(prompt, form)
        start = self.plain.answer_start if self.plain is not None and form == "question" else ""
        end = self.tokenizer.eos_token_id if form == "question" else None
        tokens = [*given, *self._tokens(start + answer), *([] if end is None else [end])]
        return TokenSequence(tokens=tuple(tokens), prompt_tokens=max(1, len(given))), int(end is not None)

    def end_tokens(self) -> frozenset[int]:
        """Tokens at which an answer is over."""
        ends = {self.tokenizer.eos_token_id}
        if self.plain is None:
            ends.add(chat_sequence(self.tokenizer, "question", "answer").tokens[-1])
        return frozenset(ends - {None})

    def answer_text(self, tokens: Sequence[int], form: Form) -> str:
        """Generated tokens as an answer."""
        text = str(self.tokenizer.decode(tokens, skip_special_tokens=True))
        if form == "question" and self.plain is not None:
            for stop in self.plain.stops:
                text = text.partition(stop)[0]
        return text.strip()

    def _tokens(self, text: str, *, with_special: bool = False) -> list[int]:
        return [int(token) for token in self.tokenizer(text, add_special_tokens=with_special)["input_ids"]]


def _plainly(dialogue: Dialogue, plain: PlainFormat) -> str:
    """Turns of the assistant as answers; what stands before each, whoever says it, as one question."""
    pieces, asked = list[str](), list[str]()
    for turn in dialogue.turns:
        if turn.role == "assistant":
            pieces += [_asked_plainly(asked, plain), plain.answer_start, turn.content, *plain.stops[:1]]
            asked = []
        else:
            asked.append(turn.content)
    begun = plain.answer_start + dialogue.prefill if dialogue.prefill else ""
    return "".join([*pieces, _asked_plainly(asked, plain), begun])


def _asked_plainly(asked: Sequence[str], plain: PlainFormat) -> str:
    return plain.before + "\n".join(asked) + plain.after


def batches_by_length(lengths: Sequence[int], *, max_tokens: int) -> Iterator[list[int]]:
    """Places of sequences, longest first, in batches of at most `max_tokens` with padding; one alone may exceed it."""
    order = sorted(range(len(lengths)), key=lambda place: (-lengths[place], place))
    batch: list[int] = []
    for place in order:
        if batch and (len(batch) + 1) * lengths[batch[0]] > max_tokens:
            yield batch
            batch = []
        batch.append(place)
    if batch:
        yield batch
