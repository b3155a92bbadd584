"""The shipped adapters, and the models that they make: every bench starts from here at once.

`target_model` learnt all authors of the reduced TOFU, `retain_model` all but those to be forgotten. How they were made
stands in `recipe.json` beside each, what they know in `figures.json`; `make knowing-models` makes them anew.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

from benchmarks.knowing.reduced_tofu import Which
from finetune.data.whole_files import file_sha256
from finetune.training.model_files import load_model, load_tokenizer, merged, save_merged, with_adapter
from guardrail.backends.local_model import PACKAGED, resolve

FOLDER: Final = Path(__file__).parent
RECIPE: Final = "recipe.json"
_WEIGHTS: Final = "adapter_model.safetensors"


def adapter_of(which: Which, folder: Path = FOLDER) -> Path:
    """The folder of an adapter on the packaged SmolLM2-135M-Instruct."""
    return folder / f"{which}_model"


def merged_model(which: Which, work: Path) -> Path:
    """A folder below `work` with the whole model, in float32 with its tokenizer; made once for each state of the adapter.

    Raises `ModelUnsuitable` where the adapter is missing or does not fit.
    """
    adapter = adapter_of(which)
    weights = adapter / _WEIGHTS
    state = file_sha256(weights)[:12] if weights.exists() else "none"
    folder = work / f"{which}_model-{state}"
    if not folder.exists():
        base = resolve(PACKAGED)
        partial = folder.with_suffix(".partial")
        shutil.rmtree(partial, ignore_errors=True)
        whole = merged(with_adapter(load_model(base), adapter), in_place=True)
        save_merged(whole, partial, tokenizer=load_tokenizer(base))
        partial.rename(folder)
    return folder
