"""Parts of a chat message that are embeddings, for the embedded model: taken out before the template, put back as rows.

    {"type": "prompt_embeds", "data": base64 of a saved (T, D) tensor}        as vLLM takes it

While the template runs, a mark that no caller can guess stands for a part; in the prompt's tokens it becomes T places
whose embeddings are the part's rows. Only a treatment's parts come here (see `BackendCall.has_embeds`); a caller's own are
refused by `local_wire` like every part that is not text.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from guardrail.backends.local_model import LoadedModel
from guardrail.decoding.prompt_embeds import UnreadableEmbeddingsError, decoded
from guardrail.errors import ApiError

if TYPE_CHECKING:
    import torch

PART = "prompt_embeds"


class EmbeddedParts:
    """The embedding parts of one request. `rows`: place in the prompt's tokens -> the embedding (D) that is read there."""

    def __init__(self, loaded: LoadedModel) -> None:
        self.rows: dict[int, torch.Tensor] = {}
        self._loaded = loaded
        self._secret = secrets.token_hex(16)
        self._parts: list[torch.Tensor] = []

    def take_out(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """The body with a mark in place of each part."""
        messages = body.get("messages")
        if not isinstance(messages, list):
            return dict(body)
        return {**body, "messages": [self._marked(message) for message in messages]}

    def tokens(self, text: str) -> list[int]:
        """The tokens of a prompt with marks; fills `rows`. At a part's places stands a token that the prompt has anyway."""
        pieces = re.split(f"<{self._secret}:([0-9]+)>", text)
        if sorted(map(int, pieces[1::2])) != list(range(len(self._parts))):
            raise ApiError("The model's chat template does not accept these messages.", param="messages")
        ids: list[int] = []
        for at, piece in enumerate(pieces):
            if at % 2 == 0:
                ids += self._loaded.tokenizer.encode(piece, add_special_tokens=False) if piece else []
                continue
            part_TD = self._parts[int(piece)]
            self.rows.update(zip(range(len(ids), len(ids) + len(part_TD)), part_TD, strict=True))
            ids += [ids[0] if ids else 0] * len(part_TD)
        return ids

    def _marked(self, message: Any) -> Any:
        content = message.get("content") if isinstance(message, dict) else None
        if not isinstance(content, list):
            return message
        return {**message, "content": [self._mark(part) if _is_embeds(part) else part for part in content]}

    def _mark(self, part: Mapping[str, Any]) -> dict[str, str]:
        weight_VD = self._loaded.model.get_input_embeddings().weight
        try:
            part_TD = decoded(str(part.get("data", "")), width=weight_VD.shape[1])
        except UnreadableEmbeddingsError as error:
            raise ApiError(f"{error}.", param="messages", code="invalid_prompt_embeds") from None
        self._parts.append(part_TD.to(device=weight_VD.device, dtype=weight_VD.dtype))
        return {"type": "text", "text": f"<{self._secret}:{len(self._parts) - 1}>"}


def _is_embeds(part: Any) -> bool:
    return isinstance(part, dict) and part.get("type") == PART
