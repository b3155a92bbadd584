"""The queue before a painter: one thread, one pass at a time, tenants in turn.

Requests wait in one line per `fair_key`; after every pass the next key has its turn, so that a tenant who wants ten
pictures delays himself rather than others. A painter that dies is started again by the next pass, and what it was drawing
is tried once more. Cancelling takes effect between two steps. It knows nothing of OpenAI, of event loops or of diffusion.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict, deque
from collections.abc import Sequence
from concurrent.futures import Future, InvalidStateError

from guardrail.backends.diffusers_drawing import DrawingCancelled, Order
from guardrail.backends.diffusers_painters import DrawingFailed, Painter, PainterDied
from guardrail.errors import ConfigError, overloaded

RETRY_AFTER_S = 5.0
STOP_TIMEOUT_S = 30.0

_log = logging.getLogger("expunge")


class PictureJob:
    """One request: its passes, and in `drawn` the pictures of all of them once they are there.

    `drawn` fails with `DrawingFailed` or `PainterDied`. Cancelling it cancels the job.
    """

    def __init__(self, orders: Sequence[Order], *, fair_key: str) -> None:
        self.fair_key = fair_key
        self.drawn: Future[list[bytes]] = Future()
        self.waiting = deque(orders)
        self.pictures: list[bytes] = []
        self.retried = False
        self.steps_done = 0

    def is_cancelled(self) -> bool:
        return self.drawn.done()

    def note_step(self, step: int) -> None:
        self.steps_done = step

    def finish(self) -> None:
        self._end(None)

    def fail(self, error: Exception) -> None:
        self._end(error)

    def _end(self, error: Exception | None) -> None:
        try:
            if error is None:
                self.drawn.set_result(self.pictures)
            else:
                self.drawn.set_exception(error)
        except InvalidStateError:
            pass  # the caller hung up at this very moment


class PictureQueue:
    """One job is drawn, `max_waiting` more may wait."""

    def __init__(self, painter: Painter, *, name: str, max_waiting: int) -> None:
        self._painter = painter
        self._name = name
        self._max_jobs = 1 + max_waiting
        self._changed = threading.Condition()
        self._lines: OrderedDict[str, deque[PictureJob]] = OrderedDict()
        self._current: PictureJob | None = None
        self._closing = False
        self._thread = threading.Thread(target=self._run, name=f"draw-{name}", daemon=True)

    def start(self) -> None:
        """Start drawing; the painter should have been started."""
        self._thread.start()

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    @property
    def open_jobs(self) -> int:
        """Requests that are drawn or wait."""
        with self._changed:
            jobs = {id(job): job for line in self._lines.values() for job in line}
            if self._current is not None:
                jobs[id(self._current)] = self._current
        return sum(not job.is_cancelled() for job in jobs.values())

    @property
    def steps_done(self) -> int | None:
        """Steps of the pass that is being drawn; None when nothing is."""
        current = self._current
        return current.steps_done if current is not None else None

    def submit(self, job: PictureJob) -> None:
        """Queue a request; raises 429 with `retry-after` when as many as allowed are drawn or wait."""
        if self._closing or not self.alive:
            raise overloaded(f"The backend '{self._name}' is stopping. Retry later.")
        if self.open_jobs >= self._max_jobs:
            raise overloaded(
                f"The backend '{self._name}' already has {self._max_jobs} requests running or waiting. Retry soon.",
                status=429,
                retry_after_s=RETRY_AFTER_S,
            )
        with self._changed:
            self._lines.setdefault(job.fair_key, deque()).append(job)
            self._changed.notify()

    def close(self) -> None:
        """End drawing and wait for it; requests under way fail. Blocking."""
        with self._changed:
            self._closing = True
            left = [job for line in self._lines.values() for job in line]
            self._lines.clear()
            if self._current is not None:
                left.append(self._current)
            self._changed.notify()
        for job in left:
            job.fail(PainterDied())
        if self._thread.ident is not None:
            self._thread.join(STOP_TIMEOUT_S)
        self._painter.close()

    def _run(self) -> None:
        while (job := self._next()) is not None:
            self._pass(job)
            with self._changed:
                self._current = None

    def _next(self) -> PictureJob | None:
        """The job whose pass comes next, taken out of its line; None to end."""
        with self._changed:
            while not self._closing:
                while self._lines:
                    key, line = self._lines.popitem(last=False)
                    job = line.popleft()
                    if line:
                        self._lines[key] = line  # at the end: other keys come first now
                    if not job.is_cancelled():
                        self._current = job
                        return job
                self._changed.wait()
        return None

    def _pass(self, job: PictureJob) -> None:
        job.steps_done = 0
        try:
            order = job.waiting[0]
            job.pictures += self._painter.draw(order, is_cancelled=job.is_cancelled, on_step=job.note_step)
            job.waiting.popleft()
        except DrawingCancelled:
            return
        except (DrawingFailed, ConfigError) as error:
            _log.warning("backend '%s': a picture could not be drawn (%s)", self._name, _kind(error))
            job.fail(error)
            return
        except PainterDied as error:
            _log.error("backend '%s': what draws has died; it is started again", self._name)
            if job.retried:
                job.fail(error)
                return
            job.retried = True
        if job.waiting:
            self._line_up_again(job)
        else:
            job.finish()

    def _line_up_again(self, job: PictureJob) -> None:
        """First in its own line, behind the others' lines."""
        with self._changed:
            if self._closing:
                job.fail(PainterDied())
                return
            self._lines.setdefault(job.fair_key, deque()).appendleft(job)


def _kind(error: DrawingFailed | ConfigError) -> str:
    return error.kind if isinstance(error, DrawingFailed) else type(error).__name__
