"""A backend of the configuration asked directly, with corrupted prompts: what `expunge forget strength` asks.

It knows how to open it and how an answer is read, and nothing of entries, searches or the proxy. Blocking.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import orjson

from guardrail.backends import create
from guardrail.backends.protocol import Backend, BackendCall
from guardrail.commands.options import BadInput, CommandFailed
from guardrail.decoding.prompt_embeds import EmbeddingTable, UnreadableEmbeddingsError
from guardrail.errors import ApiError, GuardrailError
from guardrail.settings import BackendSettings, Settings
from guardrail.streaming.relay import read_all
from guardrail.treatments.embeds_in import Corrupt

_ANSWER_BYTES: Final = 1024 * 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class ServedModel:
    """A model that answers, and what makes corrupted prompts for it."""

    model: str
    corrupt: Corrupt
    backend: Backend
    runner: asyncio.Runner

    @classmethod
    @contextmanager
    def opened(
        cls, runner: asyncio.Runner, settings: Settings, chosen: BackendSettings, model: str | None
    ) -> Iterator[ServedModel]:
        """Open a backend and close it again. Raises `BadInput`, `CommandFailed`."""
        table = _table(settings, chosen)
        backend = create(chosen, cache_dir=settings.retrieval.cache_dir)
        try:
            try:
                runner.run(backend.start())
                name = model or runner.run(_first_model(chosen, backend))
            except GuardrailError as error:
                raise CommandFailed(f"Backend {chosen.name} cannot be asked: {error}") from None
            yield cls(model=name, corrupt=table.wire_form, backend=backend, runner=runner)
        finally:
            runner.run(backend.aclose())

    def ask(self, body: bytes) -> str:
        """The answer's text. Raises `CommandFailed`."""
        return self.runner.run(self._ask(body))

    async def _ask(self, body: bytes) -> str:
        call = BackendCall(path="/v1/chat/completions", body=body, model=self.model, has_embeds=True)
        try:
            answer = await self.backend.send(call)
            raw = await read_all(answer, max_bytes=_ANSWER_BYTES)
        except ApiError as error:
            raise CommandFailed(f"Backend {self.backend.name} cannot be asked: {error}") from None
        if answer.status >= 400:
            raise CommandFailed(
                f"Backend {self.backend.name} refused a request ({answer.status}); is the server started with "
                "--enable-prompt-embeds?"
            )
        try:
            said = orjson.loads(raw)["choices"][0]["message"]["content"]
        except (orjson.JSONDecodeError, KeyError, IndexError, TypeError):
            raise CommandFailed(f"Backend {self.backend.name} gave an answer that cannot be read.") from None
        return said if isinstance(said, str) else ""


async def _first_model(chosen: BackendSettings, backend: Backend) -> str:
    named = next(iter(chosen.models.values()), None)
    if named is not None:
        return named
    cards = await backend.models()
    if not cards:
        raise CommandFailed(f"Backend {chosen.name} serves no model.")
    return str(cards[0].get("id"))


def _table(settings: Settings, chosen: BackendSettings) -> EmbeddingTable:
    try:
        return EmbeddingTable.open(chosen.embeddings or _own_folder(settings, chosen))
    except UnreadableEmbeddingsError as error:
        raise BadInput(f"backends: '{chosen.name}', embeddings: {error}") from None


def _own_folder(settings: Settings, chosen: BackendSettings) -> Path:
    from guardrail.backends.local_model import PACKAGED, resolve

    return Path(resolve(chosen.model or PACKAGED, cache_dir=settings.retrieval.cache_dir))
