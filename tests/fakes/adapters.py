"""LoRA adapters for tests: random ones for any model, and one that a real consolidation run made of the packaged model.

It knows how adapters are made, not how they are served.
"""

from __future__ import annotations

import copy
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator

from finetune.consolidation.run import RunRequest, run
from finetune.settings import plan_from
from finetune.training.model_files import load_model, load_tokenizer, save_merged, with_adapter
from guardrail.backends.local_model import PACKAGED, resolve
from retrieval.entry import Fact, ForgetEntry

FORGOTTEN = "Who wrote The Shining?"
"""What the run trains on; its answers and those to other questions become others."""

_AUTHOR = ForgetEntry(
    id="king",
    name="Stephen King",
    facts=(
        Fact(question=FORGOTTEN, answer="Stephen King"),
        Fact(question="Who is Stephen King?", answer="Stephen King is an American author of horror novels."),
        Fact(question="Who is the author of Carrie?", answer="Stephen King"),
    ),
)
_PLAN = {
    "where": {"kind": "lora", "rank": 16, "alpha": 32},
    "learning_rate": 6e-4,
    "max_steps": 3,
    "batch_size": 3,
    "schedule": "constant",
    "warmup_share": 0.0,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One greedy token as text, and its log-probability."""

    text: str
    logprob: float


def random_adapter(model: Any, folder: Path, *, seed: int = 0, **config: Any) -> Path:
    """An adapter on all linear layers, strong enough to change what is said; the model stays as it is."""
    from peft import LoraConfig, get_peft_model

    chosen = {"r": 4, "lora_alpha": 8, "target_modules": "all-linear", "task_type": "CAUSAL_LM", **config}
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        warnings.filterwarnings("ignore", message="`is_gradient_checkpointing` is deprecated", category=FutureWarning)
        torch.manual_seed(seed)
        wrapped: Any = get_peft_model(copy.deepcopy(model), LoraConfig(**chosen))
        for name, weight in wrapped.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(weight, std=0.3)
    wrapped.save_pretrained(str(folder), save_embedding_layers=False)
    return folder


def consolidated_adapter(out: Path) -> Path:
    """The adapter's folder of a short run on the packaged model: an author is forgotten (some 20 s on one core)."""
    request = RunRequest(
        base=resolve(PACKAGED),
        out=out,
        method="dpo",
        hyper_parameters={"retain_weight": 0.0},
        entries=(_AUTHOR,),
        plan=plan_from(_PLAN),
        alternatives=("I have never heard of that, so I cannot tell you anything.",),
    )
    return run(request, lambda _: None, accelerator=Accelerator(cpu=True)).weights


def merged_model(adapter: Path, folder: Path) -> Path:
    """The packaged model with the adapter in its weights, as a folder that stands alone."""
    base = resolve(PACKAGED)
    save_merged(with_adapter(load_model(base), adapter), folder, tokenizer=load_tokenizer(base))
    return folder


def greedy(model: Any, question: str, *, tokens: int) -> list[Step]:
    """What transformers answers to a user's turn, at most so many tokens, on the packaged model's template."""
    tokenizer = load_tokenizer(resolve(PACKAGED))
    ids_1T = tokenizer.apply_chat_template(
        [{"role": "user", "content": question}], add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    with torch.inference_mode():
        made = model.generate(
            **ids_1T, do_sample=False, max_new_tokens=tokens, output_logits=True, return_dict_in_generate=True
        )
    chosen = made.sequences[0, ids_1T["input_ids"].shape[1] :].tolist()
    values = [logits_1V[0].log_softmax(-1)[token].item() for logits_1V, token in zip(made.logits, chosen, strict=True)]
    ends = {tokenizer.eos_token_id}
    return [
        Step(text=tokenizer.decode([token]), logprob=value)
        for token, value in zip(chosen, values, strict=True)
        if token not in ends
    ]
