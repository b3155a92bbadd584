"""A diffusion pipeline on this machine, spoken to like any other backend: it draws, and can be steered while it does.

It loads the pipeline in `start`, draws in a thread of its own or in another process (see `diffusers_queue` and
`diffusers_painters`) and hands out OpenAI-shaped bytes, always with the pictures in them; the event loop only carries
bytes. Bad input is answered with a 4xx; a full queue is raised as 429; a pipeline that raises is a 500 without its words.
It knows neither entries nor what a steering does.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from guardrail.backends.answers import InFlight, WholeAnswer, error_answer
from guardrail.backends.diffusers_loading import PACKAGED, PipelineFacts, load
from guardrail.backends.diffusers_painters import DrawingFailed, Painter, PainterApart, PainterDied, PainterHere
from guardrail.backends.diffusers_queue import PictureJob, PictureQueue
from guardrail.backends.diffusers_wire import Asked, can_be_led_away, read
from guardrail.backends.protocol import BackendAnswer, BackendCall, Capability, Health
from guardrail.denoising.preparation import Preparation
from guardrail.denoising.put_edits import Edits
from guardrail.errors import ApiError, BackendError, ConfigError, backend_down, backend_slow
from guardrail.openai_wire import images, picture_edits
from guardrail.pictures import Drawn
from guardrail.settings import BackendSettings
from retrieval.errors import RetrievalError
from retrieval.picture_edits import Shapes, check_shapes, edit_files, read_edit


class DiffusersPipeline:
    """The backend. Served models: the values of `settings.models`, or `settings.model` by its own name."""

    capabilities = frozenset({Capability.IMAGES, Capability.STEERING})
    """With a pipeline that follows negative prompts also `NEGATIVE_PROMPT`, with one that can begin from a picture also
    `EDITS`; known after `start`."""

    def __init__(
        self, settings: BackendSettings, *, cache_dir: Path | None = None, painter: Painter | None = None
    ) -> None:
        """`painter` stands in for what the settings name. Diffusers keeps its own cache of what it loads from a hub."""
        self.name = settings.name
        self._settings = settings
        source = settings.model or PACKAGED
        self._models = sorted(set(settings.models.values())) or [_public_name(source)]
        self._flight = InFlight(settings.name, settings.max_in_flight)
        self._painter = painter or _painter(settings, source)
        self._facts: PipelineFacts | None = None
        self._queue: PictureQueue | None = None
        self._edits: Edits = ()
        self._beside: dict[str, Edits] = {}

    async def start(self) -> None:
        """Load the pipeline (seconds) and start drawing. Raises `ConfigError` if it cannot be loaded."""
        try:
            self._facts = await asyncio.to_thread(self._painter.start)
        except PainterDied:
            raise ConfigError(
                f"backends: '{self.name}' died while its model was loaded; it may need more memory than there is"
            ) from None
        try:
            await self.use_edits(self._settings.edits)
        except RetrievalError as error:
            raise ConfigError(f"backends: '{self.name}', edits: {error}") from None
        if can_be_led_away(self._facts, self._settings.drawing):
            self.capabilities = self.capabilities | {Capability.NEGATIVE_PROMPT}
        if self._facts.can_edit:
            self.capabilities = self.capabilities | {Capability.EDITS}
        self._queue = PictureQueue(self._painter, name=self.name, max_waiting=self._settings.max_waiting)
        self._queue.start()

    @property
    def edits(self) -> Edits:
        """The edits of the weights that requests are drawn with."""
        return self._edits

    async def use_edits(self, folders: Sequence[Path]) -> Edits:
        """These and no others, for every request that comes after; one that is being drawn keeps those it came under.

        Raises `InvalidEdit` where a folder holds none, `UnfitPipeline` where it is another model's, with all as it was.
        """
        if self._facts is None:
            raise backend_down(self.name)
        self._edits = await asyncio.to_thread(_looked_at, folders, self._facts.weights)
        return self._edits

    async def load_weights(self, name: str, folder: Path) -> None:
        """An edit beside those of the settings, for orders under its name; put into the pipeline when one is drawn."""
        if self._facts is None:
            raise backend_down(self.name)
        try:
            found = await asyncio.to_thread(_looked_at, [folder], self._facts.weights)
        except RetrievalError as error:
            raise ConfigError(f"backends: '{self.name}': {error}") from None
        self._beside[name] = found

    async def unload_weights(self, name: str) -> None:
        """Orders that are drawn already keep them."""
        self._beside.pop(name, None)

    async def has_weights(self, name: str) -> bool:
        """Whether orders under the name are drawn with them."""
        return name in self._beside

    async def models(self) -> list[dict[str, Any]]:
        """One card per served model."""
        return [{"id": name, "object": "model", "created": 0, "owned_by": "expunge"} for name in self._models]

    async def health(self) -> Health:
        """Well while the pipeline is loaded and the drawing thread lives."""
        facts: dict[str, Any] = {"in_flight": self._flight.count, "models": list(self._models)}
        if self._facts is None or self._queue is None:
            return Health(ok=False, detail="the pipeline is not loaded", facts=facts)
        facts |= {
            "device": self._facts.device,
            "pipeline": self._facts.family,
            "generating": self._queue.open_jobs,
            "steps_done": self._queue.steps_done,
        }
        alive = self._queue.alive
        return Health(ok=alive, detail="" if alive else "drawing has stopped; restart the proxy", facts=facts)

    async def send(self, call: BackendCall) -> BackendAnswer:
        """Draw. Raises 429 when the queue is full, 503 at `max_in_flight`, `BackendError` if it fails (500, 502, 504)."""
        facts, queue = self._facts, self._queue
        if facts is None or queue is None:
            raise backend_down(self.name)
        self._flight.enter()
        try:
            reading = partial(
                read,
                call.path,
                call.body,
                headers=call.headers,
                facts=facts,
                drawing=self._settings.drawing,
                models=[*self._models, *self._beside],
                steering=call.steering,
            )
            # Files take long to open.
            asked = await asyncio.to_thread(reading) if call.path == picture_edits.PATH else reading()
            edits = (*self._edits, *self._beside.get(call.model or "", ()))
            job = PictureJob([replace(one, edits=edits) for one in asked.orders], fair_key=call.fair_key)
            queue.submit(job)
            return WholeAnswer(await asyncio.to_thread(_answer, asked, await self._drawn(job), facts))
        except ApiError as error:
            if error.status in (400, 404):
                return error_answer(error)
            raise
        finally:
            self._flight.leave()

    def prepare(self, preparations: Sequence[Preparation]) -> None:
        """What to get ready while no request waits, in the place of what was told before. Nothing before `start`."""
        if self._queue is not None:
            self._queue.prepare(preparations)

    async def _drawn(self, job: PictureJob) -> list[bytes]:
        """All pictures of a job; a caller who gives up, or too long a wait, cancels it."""
        try:
            async with asyncio.timeout(self._settings.total_timeout_s):
                return await asyncio.wrap_future(job.drawn)
        except TimeoutError:
            raise backend_slow(self.name) from None
        except DrawingFailed:
            raise BackendError(
                f"The backend '{self.name}' could not draw this.",
                status=500,
                type="server_error",
                code="backend_broke_off",
                should_retry=False,
            ) from None
        except (PainterDied, ConfigError):
            raise BackendError(
                f"The backend '{self.name}' failed while drawing.",
                status=502,
                type="server_error",
                code="backend_broke_off",
            ) from None

    async def count_prompt(self, call: BackendCall) -> int | None:
        """Not told: what is billed follows from the text's length, see `openai_wire.images.usage`."""
        del call
        return None

    async def aclose(self) -> None:
        """End drawing and let go of the pipeline; calls under way fail."""
        queue, self._queue, self._facts = self._queue, None, None
        await asyncio.to_thread(self._painter.close if queue is None else queue.close)


def _looked_at(folders: Sequence[Path], weights: Shapes) -> Edits:
    found = [edit_files(folder.expanduser().resolve()) for folder in folders]
    for one in found:
        check_shapes(read_edit(Path(one.folder), sha256=one.sha256), weights)
    return tuple(found)


def _painter(settings: BackendSettings, source: str) -> Painter:
    loading = partial(load, source, device=settings.device, dtype=settings.dtype)
    if settings.drawing.separate_process:
        return PainterApart(loading, name=settings.name)
    return PainterHere(loading)


def _public_name(source: str) -> str:
    path = Path(source).expanduser()
    return path.name if path.is_dir() else source


def _answer(asked: Asked, contents: Sequence[bytes], facts: PipelineFacts) -> bytes:
    drawn = [
        Drawn(index=index, content=content, format=asked.request.output_format, seed=seed)
        for index, (content, seed) in enumerate(zip(contents, asked.seeds, strict=True))
    ]
    order = asked.orders[0]
    counted = images.usage(
        asked.request.prompt,
        pictures=len(drawn),
        width=order.width or facts.width or 0,
        height=order.height or facts.height or 0,
        pictures_read=0 if order.picture is None else 1,
    )
    return images.answer(drawn, created=int(time.time()), usage=counted)
