"""The plug-in for vLLM 0.32 that keeps forbidden phrases from being written, and takes off what an assistant expects:

    vllm serve MODEL --logits-processors guardrail.decoding.vllm_processor:ExpungeRestriction
    EXPUNGE_ASSISTANT=FOLDER vllm serve MODEL --logits-processors ...                           # `assistant.py`

A request carries its wishes in `vllm_xargs` (`request.py`); one without them is left alone. vLLM has two model runners
with two interfaces, and takes a class for a plug-in only if it descends from the interface in use: this one descends
from both. It runs before temperature and top-k, and after the mask of a structured output; where that mask leaves
nothing but banned tokens, the end-of-text token is chosen, which vLLM's grammar then refuses: that one request ends as
a server error, and tells nothing.

It does not know entries or the proxy: the module runs inside vLLM's processes, where guardrail's own requirements are
not installed. The assistant is loaded when the server starts, and computes answer by answer within vLLM's own step; its
memory is none of vLLM's reckoning. vLLM refuses any plug-in of this kind beside speculative decoding (runner V1). Its own
logs are not in our hand: with `--enable-log-requests` it writes down every request's arguments, phrases included.

Shapes: R rows of a step, V vocabulary.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from vllm.tokenizers.registry import cached_tokenizer_from_config  # type: ignore[import-not-found]  # see above
from vllm.v1.sample.logits_processor.interface import (  # type: ignore[import-not-found]
    LogitsProcessor as RowProcessor,
)
from vllm.v1.worker.gpu.sample.logits_processor.interface import (  # type: ignore[import-not-found]
    LogitsProcessor as SlotProcessor,
)

from guardrail.decoding.assistant import ASSISTANT_VARIABLE, Assistant, load_assistant
from guardrail.decoding.batches import RowBatch, SlotBatch, StepRow
from guardrail.decoding.request import read_offset, read_xargs
from guardrail.decoding.sequences import Restrictions
from guardrail.decoding.tokenizer_pieces import tokenizer_vocabulary

if TYPE_CHECKING:
    import torch


class ExpungeRestriction(RowProcessor, SlotProcessor):  # type: ignore[misc]  # vLLM is not where this is checked
    """Both interfaces: runner V1 gives a device and then rows, runner V2 its request states and then slots."""

    def __init__(self, vllm_config: Any, device_or_states: Any, is_pin_memory: bool | None = None) -> None:
        model_config = vllm_config.model_config
        restrictions = Restrictions(_vocabulary(model_config))
        self._states: Any = device_or_states if is_pin_memory is None else None
        assistant = _assistant(model_config, device_or_states if self._states is None else self._states.device)
        self._rows = RowBatch(restrictions, assistant)
        self._slots = SlotBatch(restrictions, assistant)

    @classmethod
    def validate_params(cls, sampling_params: Any) -> None:
        """Refuse malformed arguments before the request is accepted (both runners)."""
        read_xargs(sampling_params.extra_args)
        read_offset(sampling_params.extra_args, has_assistant=bool(os.environ.get(ASSISTANT_VARIABLE)))

    def is_argmax_invariant(self) -> bool:
        """A ban changes the likeliest token (runner V1)."""
        return False

    def update_state(self, batch_update: Any) -> None:
        """Answers came, went or moved (runner V1)."""
        self._rows.update(batch_update)

    def add_request(self, req_idx: int, sampling_params: Any) -> bool:
        """An answer begins, or is resumed, in a slot (runner V2)."""
        return self._slots.add(req_idx, sampling_params.extra_args, self._read_prompt)

    def apply_staged_writes(self) -> None:
        """A step begins (runner V2)."""
        self._slots.next_step()

    def apply(self, logits: torch.Tensor, ctx: Any = None) -> torch.Tensor:
        """Change the scores of a step in place; `ctx` is runner V2's."""
        if ctx is None:
            self._rows.apply(logits)
        elif self._slots.changed(ctx.idx_mapping_np.tolist()):
            columns = (ctx.expanded_idx_mapping, ctx.expanded_local_pos, ctx.input_ids)
            rows = [StepRow(*row) for row in zip(*(column.tolist() for column in columns), strict=True)]
            self._slots.apply(logits, rows, self._read_tokens)
        return logits

    def _read_prompt(self, slot: int) -> Sequence[int]:
        """The prompt of an answer; it stands in the shared states from the answer's first step on."""
        end = int(self._states.prompt_len.np[slot])
        tokens: list[int] = self._states.all_token_ids.gpu[slot, :end].tolist()
        return tokens

    def _read_tokens(self, slot: int, seen: int) -> Sequence[int]:
        """What an answer holds beyond the tokens seen. This waits for the device: changed requests pay for it."""
        begin = int(self._states.prompt_len.np[slot]) + seen
        end = int(self._states.total_len.gpu[slot])
        tokens: list[int] = self._states.all_token_ids.gpu[slot, begin:end].tolist()
        return tokens


def _tokenizer(model_config: Any) -> Any:
    tokenizer = cached_tokenizer_from_config(model_config)
    if tokenizer is None:
        raise ValueError("ExpungeRestriction needs the model's tokenizer; start vLLM without --skip-tokenizer-init")
    return tokenizer


def _assistant(model_config: Any, device: torch.device) -> Assistant | None:
    folder = os.environ.get(ASSISTANT_VARIABLE)
    if not folder:
        return None
    tokenizer = _tokenizer(model_config)
    return load_assistant(
        folder, setting=ASSISTANT_VARIABLE, tokenizer=tokenizer, device=device, dtype=model_config.dtype
    )


def _vocabulary(model_config: Any) -> Any:
    tokenizer = _tokenizer(model_config)
    ending = (model_config.try_get_generation_config() or {}).get("eos_token_id") or ()
    return tokenizer_vocabulary(tokenizer, ending=(ending,) if isinstance(ending, int) else ending)
