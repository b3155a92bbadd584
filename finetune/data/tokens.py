"""Texts as tokens: a question and its answer through the model's chat template, a document as windows.

What is trained is what is served: the prompt is the template's text up to where the assistant begins, and the answer
with the end of its turn follows, so a prompt's tokens are always the beginning of the tokens of prompt and answer. A
document is cut so that each of its tokens is learnt once. It does not know methods or batches. Sizes are in tokens
(`_tokens`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

from jinja2 import TemplateError

from finetune.data.batch import TokenSequence
from finetune.data.training_text import TrainingText
from finetune.errors import InvalidData, ModelUnsuitable

MAX_TOKENS = 512
"""Longest sequence, unless a caller says otherwise."""


class ChatTokenizer(Protocol):
    """A tokenizer of transformers, as far as it is used here."""

    @property
    def chat_template(self) -> Any:
        """The template, or None."""

    @property
    def eos_token_id(self) -> Any:
        """The token that ends a text, or None."""

    @property
    def bos_token_id(self) -> Any:
        """The token that begins a text, or None."""

    @property
    def all_special_ids(self) -> Any:
        """Tokens that are no text."""

    def __call__(self, text: Any, *, add_special_tokens: bool) -> Any:
        """An object with `input_ids`."""

    def apply_chat_template(self, conversation: Any, **options: Any) -> Any:
        """The conversation as a text, or as tokens."""


def prompt_tokens(tokenizer: ChatTokenizer, question: str, *, system: str = "") -> tuple[int, ...]:
    """A user's question up to where the assistant begins. Raises `ModelUnsuitable` without a chat template."""
    return _tokens(tokenizer, _prompt(tokenizer, question, system))


def chat_sequence(
    tokenizer: ChatTokenizer, question: str, answer: str, *, system: str = "", max_tokens: int = MAX_TOKENS
) -> TokenSequence:
    """Question, answer and end of turn; the prompt is given, the rest is learnt. A longer answer loses its end.

    Raises `ModelUnsuitable` without a chat template, `InvalidData` where the prompt leaves no room for an answer.
    """
    prompt = prompt_tokens(tokenizer, question, system=system)
    if len(prompt) >= max_tokens:
        raise InvalidData(
            f"A prompt of {len(prompt)} tokens leaves no room for an answer in {max_tokens}; raise max_tokens or cut it."
        )
    learnt = (*_tokens(tokenizer, answer), _end_of_turn(tokenizer, system))
    return TokenSequence(tokens=(*prompt, *learnt)[:max_tokens], prompt_tokens=len(prompt))


def conversation_tokens(
    tokenizer: ChatTokenizer, messages: list[dict[str, Any]], *, goes_on: bool = False
) -> tuple[int, ...]:
    """Messages up to where the assistant begins, or goes on with the last one.

    Raises `ModelUnsuitable` without a chat template, and for one that has no place for such messages.
    """
    _require_template(tokenizer)
    try:
        text = tokenizer.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=not goes_on, continue_final_message=goes_on
        )
    except (TemplateError, TypeError, ValueError) as error:  # their messages may hold the turns
        kinds = ", ".join(dict.fromkeys(message["role"] for message in messages))
        raise ModelUnsuitable(
            f"The tokenizer's chat template cannot put a conversation of {kinds} ({type(error).__name__}); leave such "
            "conversations out for this model, or judge it behind an endpoint that takes them."
        ) from None
    return _tokens(tokenizer, str(text))


def start_token(tokenizer: ChatTokenizer) -> int | None:
    """The token that the tokenizer itself puts before a text, if it does: some only have one and never put it there."""
    found = [int(token) for token in tokenizer("text", add_special_tokens=True).input_ids]
    return found[0] if found and found[0] == tokenizer.bos_token_id else None


def document_sequences(tokenizer: ChatTokenizer, text: str, *, max_tokens: int = MAX_TOKENS) -> list[TokenSequence]:
    """A document as windows of at most `max_tokens`. The first token of each is given: the start token if the tokenizer
    puts one, else the last token of the window before. Raises `InvalidData` for a text of which nothing can be learnt."""
    if max_tokens < 2:
        raise InvalidData(f"max_tokens is {max_tokens}; a window needs at least 2.")
    tokens = _tokens(tokenizer, text)
    start = start_token(tokenizer)
    first, rest = (tokens[:1], tokens[1:]) if start is None else ((start,), tokens)
    if not rest:
        raise InvalidData("A document holds no token to learn; leave empty documents out.")
    found = []
    for place in range(0, len(rest), max_tokens - 1):
        given = rest[place - 1 : place] if place and start is None else first
        found.append(TokenSequence(tokens=(*given, *rest[place : place + max_tokens - 1]), prompt_tokens=1))
    return found


def sequences_of(
    tokenizer: ChatTokenizer, texts: Iterable[TrainingText], *, max_tokens: int = MAX_TOKENS
) -> list[TokenSequence]:
    """Training texts as tokens: one sequence for an answer to a prompt, one or more for a text by itself."""
    found: list[TokenSequence] = []
    for one in texts:
        try:
            if one.prompt:
                found.append(chat_sequence(tokenizer, one.prompt, one.text, max_tokens=max_tokens))
            else:
                found.extend(document_sequences(tokenizer, one.text, max_tokens=max_tokens))
        except InvalidData as error:
            raise InvalidData(f"Training text '{one.id}': {error}") from None
    return found


def _prompt(tokenizer: ChatTokenizer, question: str, system: str) -> str:
    _require_template(tokenizer)
    return _templated(tokenizer, _turns(question, system), add_generation_prompt=True)


def _end_of_turn(tokenizer: ChatTokenizer, system: str) -> int:
    """The token that the template writes after an answer; the tokenizer's end token where it writes none."""
    prompt, answer = _prompt(tokenizer, "question", system), "answer"
    turns = [*_turns("question", system), {"role": "assistant", "content": answer}]
    whole = _templated(tokenizer, turns, add_generation_prompt=False)
    _, found, after = whole.removeprefix(prompt).partition(answer)
    tokens = _tokens(tokenizer, after.lstrip()) if found else ()
    if tokens and tokens[0] in tokenizer.all_special_ids:
        return tokens[0]
    if tokenizer.eos_token_id is None:
        raise ModelUnsuitable("The tokenizer names no token that ends an answer; set its eos_token.")
    return int(tokenizer.eos_token_id)


def _templated(tokenizer: ChatTokenizer, turns: list[dict[str, str]], *, add_generation_prompt: bool) -> str:
    try:
        return str(tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=add_generation_prompt))
    except TemplateError as error:  # its message may hold the turns
        raise ModelUnsuitable(
            f"The tokenizer's chat template cannot put a question and its answer ({type(error).__name__}); mend the "
            "template, or take the instruction-tuned variant of the model."
        ) from None


def _turns(question: str, system: str) -> list[dict[str, str]]:
    turns = [{"role": "system", "content": system}] if system else []
    return [*turns, {"role": "user", "content": question}]


def _require_template(tokenizer: ChatTokenizer) -> None:
    if not tokenizer.chat_template:
        raise ModelUnsuitable(
            "The model's tokenizer has no chat template, so questions cannot be put as they are served; take the "
            "instruction-tuned variant of the model, or set tokenizer.chat_template and save the tokenizer with it."
        )


def _tokens(tokenizer: ChatTokenizer, text: str) -> tuple[int, ...]:
    return tuple(int(token) for token in tokenizer(text, add_special_tokens=False).input_ids)
