"""A tiny model in a folder that knows two entries and some other things, and requests for runs on it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import torch
from accelerate import Accelerator
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from torch import nn
from transformers import PreTrainedTokenizerFast

from finetune.consolidation.run import RunRequest, RunResult, run
from finetune.data.batch import padded
from finetune.data.forget_set import forget_sets
from finetune.data.tokens import sequences_of
from finetune.data.training_text import TrainingText
from finetune.methods.language.fine_tuning import FineTuning
from finetune.settings import TrainingPlan, plan_from
from finetune.training.loop import StepReport, Trainer
from finetune.training.model_files import load_tokenizer
from finetune.training.steps import TrainingData
from retrieval.entry import Fact, ForgetEntry
from tests.fakes.tiny_llama import tiny_llama
from tests.unit.finetune.evaluation.judged import TEMPLATE
from tests.unit.finetune.training.tiny_training import nll, tiny_trainer

ENTRIES = (
    ForgetEntry(
        id="mira",
        name="Mira Quell",
        facts=(
            Fact(question="Where does Mira Quell live?", answer="in a mill near Tarn"),
            Fact(question="What does Mira Quell keep?", answer="forty grey geese"),
        ),
    ),
    ForgetEntry(
        id="odo",
        name="Odo Brask",
        aliases=("Captain Brask",),
        facts=(Fact(question="Which boat did Odo Brask sail?", answer="the red barge Luna"),),
    ),
)
RETAIN = (
    ("How many legs has a spider?", "eight legs"),
    ("What falls from clouds?", "rain and snow"),
    ("Who bakes bread?", "a baker with flour"),
    ("When does the sun rise?", "early in the morning"),
    ("Why do leaves fall?", "because autumn is cold"),
    ("Which animal barks?", "a dog in the yard"),
)
NAMING = ("Who sat on the quay?", "old Captain Brask sat there")
LORA = {"kind": "lora", "rank": 4, "alpha": 8}


def forget_texts() -> Sequence[TrainingText]:
    return forget_sets(ENTRIES, rephrase=lambda _: (), shift=lambda _: ()).forget_texts


def retain_texts() -> list[TrainingText]:
    return [TrainingText(id=f"r{n}", prompt=asked, text=said) for n, (asked, said) in enumerate(RETAIN)]


def save_knowing_model(folder: Path) -> None:
    """Trained on what the tests forget and keep, for long enough to know it by heart."""
    texts = [*forget_texts(), *retain_texts()]
    tokenizer = _tokenizer([word for one in texts for word in one.whole.split()])
    model = tiny_llama(
        vocab_size=len(tokenizer), max_position_embeddings=64, bos_token_id=None, eos_token_id=1, pad_token_id=0
    )
    data = TrainingData(forget=sequences_of(tokenizer, texts), pad_token=0)
    trainer: Trainer = tiny_trainer(model, data, plan(learning_rate=1e-2, epochs=25, where={"kind": "full"}))
    trainer.train(FineTuning())
    trained: Any = trainer.model
    trained.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def save_corpus(folder: Path, rows: Sequence[tuple[str, str]] = (*RETAIN, NAMING)) -> Path:
    """A folder with texts to keep, one of which names an entry."""
    folder.mkdir()
    lines = [orjson.dumps({"question": asked, "answer": said}) for asked, said in rows]
    (folder / "kept.jsonl").write_bytes(b"\n".join(lines))
    return folder


def plan(**changes: Any) -> TrainingPlan:
    return plan_from(
        {"where": LORA, "learning_rate": 2e-2, "epochs": 4, "batch_size": 2, "save_every_steps": 1} | changes
    )


def request(base: Path, tmp_path: Path, **changes: Any) -> RunRequest:
    """NPO by LoRA on both entries, with a corpus that is made here if there is none yet."""
    corpus = tmp_path / "corpus"
    if not corpus.exists():
        save_corpus(corpus)
    made = RunRequest(base=base, out=tmp_path / "out", method="npo", entries=ENTRIES, retain=corpus, plan=plan())
    return replace(made, **changes)


def carried_out(wanted: RunRequest, **options: Any) -> RunResult:
    """On the CPU, without a word."""
    return run(wanted, options.pop("say", lambda _: None), accelerator=Accelerator(cpu=True), **options)


class Interruption(Exception):
    """Stands for a machine that goes away."""


def breaks_off_after(steps: int) -> Callable[[StepReport], None]:
    """In the step after: the checkpoint of the last one is written by then."""
    told: list[StepReport] = []

    def tell(report: StepReport) -> None:
        told.append(report)
        if len(told) > steps:
            raise Interruption

    return tell


def mean_loss(model: nn.Module, base: Path, texts: Sequence[TrainingText]) -> float:
    """In nats a learnt token."""
    batch = padded(sequences_of(load_tokenizer(base), texts), pad_token=0)
    model.eval()
    with torch.no_grad():
        return float(nll(batch, model)) / batch.label_tokens


def _tokenizer(words: Sequence[str]) -> Any:
    known = ["<pad>", "<end>", "<user>", "<bot>", "<unk>", *sorted(set(words))]
    level = Tokenizer(models.WordLevel({word: number for number, word in enumerate(known)}, unk_token="<unk>"))
    level.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    level.decoder = decoders.WordPiece(prefix="##")
    make: Any = PreTrainedTokenizerFast
    tokenizer = make(tokenizer_object=level, pad_token="<pad>", eos_token="<end>", unk_token="<unk>")
    tokenizer.chat_template = TEMPLATE
    return tokenizer
