"""`expunge consolidate run` as a test calls it: on a tiny model, with little to do, and broken off where it is asked to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import CliRunner, Result
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from finetune.cli.bars import TrainingProgress
from finetune.training.loop import StepReport
from guardrail.cli import cli
from retrieval.entry import ForgetEntry
from tests.fakes.tiny_llama import tiny_llama
from tests.unit.finetune.consolidation.tiny_run import ENTRIES, forget_texts, retain_texts
from tests.unit.finetune.evaluation.judged import TEMPLATE

QUICK = ("--learning-rate", "2e-2", "--epochs", 2, "--batch-size", 2, "--rank", 4)
BRIEF = ("--judge-limit", 2, "--judge-max-new-tokens", 4)
NAMES = ("Quell", "Brask", "geese", "barge")
"""Words of entries, which no message may hold."""


def consolidate(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["consolidate", "run", *map(str, arguments)])


def save_random_model(folder: Path) -> None:
    """It reads every word of the entries and of what is to be kept, and long questions too."""
    words = {word for text in (*forget_texts(), *retain_texts()) for word in text.whole.split()}
    known = ["<pad>", "<end>", "<user>", "<bot>", "<unk>", *sorted(words)]
    level = Tokenizer(models.WordLevel({word: number for number, word in enumerate(known)}, unk_token="<unk>"))
    level.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    make_tokenizer: Any = PreTrainedTokenizerFast
    tokenizer = make_tokenizer(tokenizer_object=level, pad_token="<pad>", eos_token="<end>", unk_token="<unk>")
    tokenizer.chat_template = TEMPLATE
    model = tiny_llama(
        vocab_size=len(known), max_position_embeddings=512, bos_token_id=None, eos_token_id=1, pad_token_id=0
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def write_entries(path: Path, entries: Sequence[ForgetEntry] = ENTRIES) -> Path:
    path.write_bytes(
        b"".join(orjson.dumps(one.model_dump(mode="json", exclude_defaults=True)) + b"\n" for one in entries)
    )
    return path


def stop_after(steps: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the user pressed Ctrl-C in the step after."""
    tell, told = TrainingProgress.step, []

    def step(self: TrainingProgress, report: StepReport) -> None:
        tell(self, report)
        told.append(report)
        if len(told) > steps:
            raise KeyboardInterrupt

    monkeypatch.setattr(TrainingProgress, "step", step)
