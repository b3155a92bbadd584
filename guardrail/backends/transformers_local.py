"""The embedded model: transformers in this process, spoken to like any other backend.

It loads the model in `start`, generates in a thread of its own (see `local_engine`) and hands out OpenAI-shaped bytes;
the event loop only carries text. Bad input is answered with a 4xx; a full queue is raised as 429. What it does not do
is said in `local_wire`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from guardrail.backends.answers import InFlight, StreamAnswer, WholeAnswer, error_answer
from guardrail.backends.local_engine import Engine, Job
from guardrail.backends.local_model import PACKAGED, LoadedModel, load
from guardrail.backends.local_sequence import Sequence
from guardrail.backends.local_wire import Asked, read
from guardrail.backends.protocol import BackendAnswer, BackendCall, Capability, Health
from guardrail.backends.shapes import Piece, Usage
from guardrail.decoding.request import RestrictionRequest
from guardrail.decoding.tokenizer_pieces import UnreadableTokenizerError
from guardrail.errors import ApiError, BackendError, backend_down
from guardrail.settings import BackendSettings

_DRAIN_S = 60.0
_DRAIN_POLL_S = 0.1


class _Generation:
    """One request under way, seen from the event loop: pieces come in from the generating thread."""

    def __init__(self, name: str, asked: Asked, loaded: LoadedModel, fair_key: str) -> None:
        self._name = name
        self._pieces: asyncio.Queue[Piece | None] = asyncio.Queue()
        self._loop = asyncio.get_running_loop()
        prompts = [prompt for prompt in asked.prompts for _ in range(asked.repeats)]
        sequences = [
            Sequence(
                index=index,
                prompt=prompt,
                sampling=asked.sampling,
                loaded=loaded,
                emit=self._put,
                embeds=asked.embeds,
            )
            for index, prompt in enumerate(prompts)
        ]
        self.job = Job(sequences, fair_key=fair_key, on_failure=lambda: self._put(None))
        self._prompt_tokens = sum(map(len, asked.prompts))

    def _put(self, piece: Piece | None) -> None:
        self._loop.call_soon_threadsafe(self._pieces.put_nowait, piece)

    def abandon(self) -> None:
        """Wake the reader of a request that was cancelled; it ends without an error."""
        self.job.sequences.clear()
        self._pieces.put_nowait(None)

    async def pieces(self) -> AsyncIterator[Piece]:
        """Pieces until every choice has finished; raises `BackendError` if generating failed."""
        open_choices = len(self.job.sequences)
        while open_choices:
            piece = await self._pieces.get()
            if piece is None:
                if not self.job.sequences:
                    return
                raise BackendError(
                    f"The backend '{self._name}' failed while answering.",
                    status=502,
                    type="server_error",
                    code="backend_broke_off",
                )
            open_choices -= piece.finish is not None
            yield piece

    def usage(self) -> Usage:
        """Tokens so far; the end mark of an answer counts as one."""
        completion = sum(len(sequence.tokens) for sequence in self.job.sequences)
        return Usage(prompt=self._prompt_tokens, completion=completion)


class TransformersLocal:
    """The backend. Served models: the values of `settings.models`, or `settings.model` by its own name."""

    capabilities = frozenset(
        {Capability.CHAT, Capability.COMPLETIONS, Capability.RESPONSES, Capability.RESTRICT, Capability.BAD_WORDS}
        | {Capability.PROCESSED_LOGPROBS}
    )
    """With `settings.assistant` also `OFFSET`."""

    def __init__(self, settings: BackendSettings, *, cache_dir: Path | None = None) -> None:
        self.name = settings.name
        self._settings = settings
        if settings.assistant is not None:
            self.capabilities = self.capabilities | {Capability.OFFSET}
        self._cache_dir = cache_dir
        self._source = settings.model or PACKAGED
        self._models = sorted(set(settings.models.values())) or [_public_name(self._source)]
        self._flight = InFlight(settings.name, settings.max_in_flight)
        self._loaded: LoadedModel | None = None
        self._engine: Engine | None = None
        self._beside: dict[str, tuple[LoadedModel, Engine]] = {}

    async def start(self) -> None:
        """Load the model (seconds; the packaged one is unpacked on first use) and start generating.

        The vocabulary is read for restrictions, too, so that the first restricted answer takes no longer than others.
        """
        loaded, engine = await asyncio.to_thread(self._load, self._settings.adapter)
        if not await asyncio.to_thread(_restricts, loaded):
            self.capabilities = self.capabilities - {Capability.RESTRICT}
        engine.start()
        self._loaded, self._engine = loaded, engine

    def _load(self, adapter: str | None) -> tuple[LoadedModel, Engine]:
        settings = self._settings
        loaded = load(
            self._source,
            adapter=adapter,
            assistant=str(settings.assistant) if settings.assistant is not None else None,
            device=settings.device,
            dtype=settings.dtype,
            cache_dir=self._cache_dir,
        )
        limits = {"max_concurrent": settings.max_concurrent, "max_waiting": settings.max_waiting}
        return loaded, Engine(loaded, name=self.name, **limits)

    async def load_weights(self, name: str, folder: Path) -> None:
        """A second model in memory, with the adapter merged; the first one goes on meanwhile."""
        if name in self._beside:
            return
        loaded, engine = await asyncio.to_thread(self._load, str(folder))
        engine.start()
        self._beside[name] = (loaded, engine)

    async def unload_weights(self, name: str) -> None:
        """Frees its memory once the answers under way have ended."""
        found = self._beside.pop(name, None)
        if found is not None:
            await asyncio.to_thread(_close_when_done, found[1])

    async def has_weights(self, name: str) -> bool:
        """Whether they are in memory and their generating thread lives."""
        return name in self._beside and self._beside[name][1].alive

    async def models(self) -> list[dict[str, Any]]:
        """One card per served model."""
        length = self._loaded.context_tokens if self._loaded else None
        card = {"object": "model", "created": 0, "owned_by": "expunge", "max_model_len": length}
        return [{"id": name, **card} for name in self._models]

    async def health(self) -> Health:
        """Well while the model is loaded and the generating thread lives."""
        facts: dict[str, Any] = {"in_flight": self._flight.count, "models": list(self._models)}
        if self._loaded is None or self._engine is None:
            return Health(ok=False, detail="the model is not loaded", facts=facts)
        facts |= {"device": str(self._loaded.device), "generating": self._engine.open_jobs}
        alive = self._engine.alive
        return Health(ok=alive, detail="" if alive else "generating has stopped; restart the proxy", facts=facts)

    async def send(self, call: BackendCall) -> BackendAnswer:
        """Answer a call. Raises 429 when the queue is full, 503 at `max_in_flight`, `BackendError` if it fails."""
        loaded, engine = self._beside.get(call.model or "", (self._loaded, self._engine))
        if loaded is None or engine is None:
            raise backend_down(self.name)
        self._flight.enter()
        handed_over = False
        try:
            # Templates and tokenizers take milliseconds on long prompts, too long for the event loop.
            asked = await asyncio.to_thread(
                read,
                call.path,
                call.body,
                loaded=loaded,
                models=[*self._models, *self._beside],
                has_embeds=call.has_embeds,
            )
            generation = _Generation(self.name, asked, loaded, call.fair_key)
            engine.submit(generation.job)
            if not asked.stream:
                return await _whole(asked, generation, engine)
            handed_over = True
            return StreamAnswer(_events(asked, generation), on_close=lambda: self._close(generation, engine))
        except ApiError as error:
            if error.status in (400, 404):
                return error_answer(error)
            raise
        finally:
            if not handed_over:
                self._flight.leave()

    async def count_prompt(self, call: BackendCall) -> int | None:
        """The tokens of all prompts of a call; None for one that would be refused."""
        if self._loaded is None:
            return None
        try:
            asked = await asyncio.to_thread(
                read, call.path, call.body, loaded=self._loaded, models=[*self._models, *self._beside]
            )
        except ApiError:
            return None
        return sum(map(len, asked.prompts))

    def _close(self, generation: _Generation, engine: Engine) -> None:
        engine.cancel(generation.job)
        generation.abandon()
        self._flight.leave()

    async def aclose(self) -> None:
        """End generating and let go of the model; calls under way fail."""
        engine, self._engine, self._loaded = self._engine, None, None
        beside, self._beside = [one for _, one in self._beside.values()], {}
        for one in (engine, *beside):
            if one is not None:
                await asyncio.to_thread(one.close)


def _close_when_done(engine: Engine) -> None:
    """Answers under way are given a while."""
    deadline = time.monotonic() + _DRAIN_S
    while engine.open_jobs and time.monotonic() < deadline:
        time.sleep(_DRAIN_POLL_S)
    engine.close()


def _restricts(loaded: LoadedModel) -> bool:
    """False for a model whose tokenizer cannot be told token by token."""
    try:
        loaded.restrictions.sequence(RestrictionRequest(phrases=()))
    except UnreadableTokenizerError:
        return False
    return True


def _public_name(source: str) -> str:
    path = Path(source).expanduser()
    return path.stem if path.suffix == ".gguf" else path.name if path.is_dir() else source


async def _whole(asked: Asked, generation: _Generation, engine: Engine) -> WholeAnswer:
    """Wait for all of it; a caller that gives up cancels the work."""
    try:
        pieces = [piece async for piece in generation.pieces()]
    except BaseException:
        engine.cancel(generation.job)
        raise
    return WholeAnswer(asked.shape.whole(pieces, generation.usage()))


async def _events(asked: Asked, generation: _Generation) -> AsyncIterator[bytes]:
    for event in asked.shape.opening():
        yield event
    async for piece in generation.pieces():
        for event in asked.shape.event(piece):
            yield event
    for event in asked.shape.closing(generation.usage()):
        yield event
