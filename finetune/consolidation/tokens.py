"""The texts of a run as tokens, and whether model, texts and memory go together before any weight is loaded.

It does not know requests, methods beyond what they need, or files.
"""

from __future__ import annotations

from typing import Any

from finetune.consolidation.base_model import Base
from finetune.consolidation.texts import RunTexts
from finetune.data.tokens import prompt_tokens, sequences_of
from finetune.errors import ModelUnsuitable
from finetune.methods.language import Need
from finetune.settings import TrainingPlan
from finetune.training.memory import Load, ModelSizes, check_fits
from finetune.training.model_files import vocabulary_of
from finetune.training.steps import TrainingData


def longest_tokens(base: Base, most: int) -> int:
    """The longest sequence: what the model reads, and at most `most`."""
    config: Any = base.config.get_text_config()
    context = getattr(config, "max_position_embeddings", None)
    return min(most, int(context)) if context else most


def training_data(base: Base, texts: RunTexts, needs: frozenset[Need], *, max_tokens: int) -> TrainingData:
    """The parts that the method reads, in sequences of at most `max_tokens`.

    Raises `ModelUnsuitable` without a chat template, where there is any prompt.
    """
    most = longest_tokens(base, max_tokens)
    forget, retain, alternative = (
        sequences_of(base.tokenizer, part, max_tokens=most) for part in (texts.forget, texts.retain, texts.alternative)
    )
    data = TrainingData(forget=forget, retain=retain, alternative=alternative, pad_token=pad_token_of(base.tokenizer))
    return data.only(needs)


def check_before_loading(
    base: Base,
    plan: TrainingPlan,
    draft: RunTexts,
    needs: frozenset[Need],
    *,
    max_tokens: int,
    free: int | None,
    shards: int = 1,
) -> None:
    """Raises `ModelUnsuitable`, `InvalidData` or `NotEnoughMemory`; of a draft only what is there can be checked.

    `free` is in bytes, of one of the `shards` over which weights are cut; what cannot be told is not held against a run.
    """
    if draft.is_draft:
        prompt_tokens(base.tokenizer, "question")  # the model will be asked
    sketch = base.sketch(plan)
    longest = 1
    if draft.forget:
        data = training_data(base, draft, needs, max_tokens=max_tokens)
        present = needs - {Need.RETAIN} if draft.is_draft else needs
        data.check(present, vocabulary=vocabulary_of(sketch), context=longest_tokens(base, max_tokens))
        longest = data.longest_tokens()
    if free is not None:
        load = Load(needs=needs, longest_tokens=longest, shards=shards)
        check_fits(ModelSizes.of(sketch), plan, load, free=free)


def pad_token_of(tokenizer: Any) -> int:
    """Padding is masked, so that any token serves."""
    for token in (tokenizer.pad_token_id, tokenizer.eos_token_id):
        if token is not None:
            return int(token)
    raise ModelUnsuitable("The tokenizer has neither a padding nor an end token; set its eos_token.")
