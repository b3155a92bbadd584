"""Sequences that go through the model together, one token a step, over one key-value cache.

A new sequence is read in alone, in chunks of its prompt (so that others need not wait for a long one), and then joined
to those already running by padding the shorter side on the left; positions and the attention mask leave the padding
out. It does not know how a token is chosen or who asked. Models whose cache is not a plain growing one (sliding
windows, state spaces) are not joined: `can_join` says so, and each of their sequences stays a batch of its own.
Joined sequences get the same answers as alone up to float rounding.

Shapes: B sequences, L new tokens, T cached tokens, V vocabulary, H heads, D head size (of embeddings: width of the model).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from guardrail.backends.local_model import LoadedModel

if TYPE_CHECKING:
    import torch

    from guardrail.backends.local_sequence import Sequence

PREFILL_TOKENS = 256


class Batch:
    """One or more sequences with a common cache; starts with one whose prompt is still to be read."""

    def __init__(self, loaded: LoadedModel, sequence: Sequence) -> None:
        import torch
        from transformers import DynamicCache

        self._loaded = loaded
        self.sequences = [sequence]
        self._cache: Any = DynamicCache(config=loaded.model.config)
        self._mask_BT = torch.ones((1, 0), dtype=torch.long, device=loaded.device)
        self._padded = False
        self._unread = list(sequence.prompt)

    @property
    def reading(self) -> bool:
        """True while the prompt is not yet read."""
        return bool(self._unread)

    @property
    def can_join(self) -> bool:
        """True if every layer's cache is a plain growing one."""
        from transformers.cache_utils import DynamicLayer

        return not self.reading and all(type(layer) is DynamicLayer for layer in self._cache.layers)

    def read(self) -> torch.Tensor | None:
        """Read the next chunk of the prompt; the logits (B, V) of its end once all is read."""
        sequence = self.sequences[0]
        begin = len(sequence.prompt) - len(self._unread)
        chunk, self._unread = self._unread[:PREFILL_TOKENS], self._unread[PREFILL_TOKENS:]
        rows = {at - begin: row for at, row in sequence.embeds.items() if begin <= at < begin + len(chunk)}
        logits_BV = self._forward([chunk], rows)
        return None if self._unread else logits_BV

    def step(self) -> torch.Tensor:
        """Feed each sequence's last token; logits (B, V) for the next."""
        return self._forward([[sequence.tokens[-1]] for sequence in self.sequences])

    def _forward(self, tokens: list[list[int]], rows: Mapping[int, torch.Tensor] | None = None) -> torch.Tensor:
        """`rows`: embeddings (D) that are read instead of the first sequence's tokens."""
        import torch

        ids_BL = torch.tensor(tokens, dtype=torch.long, device=self._loaded.device)
        self._mask_BT = torch.cat([self._mask_BT, torch.ones_like(ids_BL)], dim=1)
        places_BL = self._mask_BT.cumsum(dim=1)[:, -ids_BL.shape[1] :] - 1
        if rows:
            read_BLD = self._loaded.model.get_input_embeddings()(ids_BL)
            read_BLD[0, list(rows)] = torch.stack(list(rows.values()))
            what: dict[str, torch.Tensor] = {"inputs_embeds": read_BLD}
        else:
            what = {"input_ids": ids_BL}
        out = self._loaded.model(
            **what,
            # Without padding the model takes its faster unmasked path.
            attention_mask=self._mask_BT if self._padded else None,
            position_ids=places_BL,
            past_key_values=self._cache,
            use_cache=True,
            logits_to_keep=1,
        )
        logits_BV: torch.Tensor = out.logits[:, -1, :].float()
        return logits_BV

    def join(self, other: Batch) -> None:
        """Take over another batch's sequences; both must be `can_join`."""
        import torch
        from torch.nn.functional import pad

        mine, theirs = self._mask_BT.shape[1], other._mask_BT.shape[1]
        total = max(mine, theirs)
        for layer, added in zip(self._cache.layers, other._cache.layers, strict=True):
            for name in ("keys", "values"):
                own_BHTD = pad(getattr(layer, name), (0, 0, total - mine, 0))
                new_BHTD = pad(getattr(added, name), (0, 0, total - theirs, 0))
                setattr(layer, name, torch.cat([own_BHTD, new_BHTD]))
        masks = [pad(self._mask_BT, (total - mine, 0)), pad(other._mask_BT, (total - theirs, 0))]
        self._mask_BT = torch.cat(masks)
        self._padded = not bool(self._mask_BT.all())
        self.sequences += other.sequences

    def keep(self, rows: list[int]) -> None:
        """Drop every sequence but these; columns that were padding for all that remain go too."""
        import torch

        self.sequences = [self.sequences[row] for row in rows]
        if not rows:
            return
        index = torch.tensor(rows, device=self._loaded.device)
        self._mask_BT = self._mask_BT[index]
        first = int(self._mask_BT.any(dim=0).int().argmax()) if self._padded else 0
        self._mask_BT = self._mask_BT[:, first:]
        self._padded = self._padded and not bool(self._mask_BT.all())
        self._cache.batch_select_indices(index)
        if first:
            for layer in self._cache.layers:
                layer.keys, layer.values = layer.keys[:, :, first:], layer.values[:, :, first:]
