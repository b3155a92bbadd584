"""What all that load models share: types by name, and libraries kept quiet where the user can do nothing."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@contextmanager
def without_peft_warnings() -> Iterator[None]:
    """peft asks transformers 5 by names of transformers 4, which the user can do nothing about; weights that an adapter
    lacks are refused, not warned of."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Found missing adapter keys", category=UserWarning)
        warnings.filterwarnings("ignore", message="`is_gradient_checkpointing` is deprecated", category=FutureWarning)
        yield


@contextmanager
def without_bars_of_transformers() -> Iterator[None]:
    """It draws bars of its own for loading and writing, on a terminal or not, which would break those of whoever works."""
    from transformers.utils import logging

    bars: Any = logging
    were_shown = bars.is_progress_bar_enabled()
    bars.disable_progress_bar()
    try:
        yield
    finally:
        if were_shown:
            bars.enable_progress_bar()
