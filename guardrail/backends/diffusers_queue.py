"""The queue before a painter: one thread, one pass at a time, tenants in turn.

Requests wait in one line per `fair_key`; after every pass the next key has its turn, so that a tenant who wants ten
pictures delays himself rather than others. Where no more may wait, the last request of the key that has most makes room for
one of a key that has less. A painter that dies is started again by the next pass, and what it was drawing is tried once
more. Cancelling takes effect between two steps. While nobody waits the painter gets things ready, and leaves them for the
first who comes. It knows nothing of OpenAI, of event loops or of diffusion.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter, OrderedDict, deque
from collections.abc import Sequence
from concurrent.futures import Future, InvalidStateError
from typing import Literal

from guardrail.backends.diffusers_drawing import DrawingCancelled, Order
from guardrail.backends.diffusers_painters import DrawingFailed, Painter, PainterDied
from guardrail.denoising.preparation import Preparation
from guardrail.errors import ApiError, ConfigError, overloaded

RETRY_AFTER_S = 5.0
STOP_TIMEOUT_S = 30.0

_log = logging.getLogger("expunge")


class PictureJob:
    """One request: its passes, and in `drawn` the pictures of all of them once they are there.

    `drawn` fails with `DrawingFailed`, `PainterDied`, or 429 where another's makes room. Cancelling it cancels the job.
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

    @property
    def has_begun(self) -> bool:
        """True if something of it has been drawn or tried."""
        return bool(self.pictures) or self.retried

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
        self._idle = deque[Preparation]()
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
        return len(self._open())

    def _open(self) -> list[PictureJob]:
        with self._changed:
            jobs = {id(job): job for line in self._lines.values() for job in line}
            if self._current is not None:
                jobs[id(self._current)] = self._current
        return [job for job in jobs.values() if not job.is_cancelled()]

    @property
    def steps_done(self) -> int | None:
        """Steps of the pass that is being drawn; None when nothing is."""
        current = self._current
        return current.steps_done if current is not None else None

    def submit(self, job: PictureJob) -> None:
        """Queue a request; raises 429 with `retry-after` when as many as allowed are drawn or wait."""
        if self._closing or not self.alive:
            raise overloaded(f"The backend '{self._name}' is stopping. Retry later.")
        with self._changed:
            if self.open_jobs >= self._max_jobs:
                self._make_room(job.fair_key)
            self._lines.setdefault(job.fair_key, deque()).append(job)
            self._changed.notify()

    def _make_room(self, key: str) -> None:
        """Give up a request of the key that has most, if that leaves it with no less than `key` has; raises 429."""
        held = Counter(job.fair_key for job in self._open())
        (greedy, most), *_ = held.most_common(1)
        line = self._lines.get(greedy, deque())
        if most >= held[key] + 2:
            for last in reversed(line):
                if not last.has_begun and not last.is_cancelled():
                    line.remove(last)
                    if not line:
                        del self._lines[greedy]
                    last.fail(self._full())
                    return
        raise self._full()

    def _full(self) -> ApiError:
        return overloaded(
            f"The backend '{self._name}' already has {self._max_jobs} requests running or waiting. Retry soon.",
            status=429,
            retry_after_s=RETRY_AFTER_S,
        )

    def prepare(self, preparations: Sequence[Preparation]) -> None:
        """What to get ready while nobody waits, in the place of what was told before."""
        with self._changed:
            self._idle = deque(preparations)
            self._changed.notify()

    def close(self) -> None:
        """End drawing and wait for it; requests under way fail. Blocking."""
        with self._changed:
            self._closing = True
            left = [job for line in self._lines.values() for job in line]
            self._lines.clear()
            self._idle.clear()
            if self._current is not None:
                left.append(self._current)
            self._changed.notify()
        for job in left:
            job.fail(PainterDied())
        if self._thread.ident is not None:
            self._thread.join(STOP_TIMEOUT_S)
        self._painter.close()

    def _run(self) -> None:
        while (work := self._next()) is not None:
            if isinstance(work, PictureJob):
                self._pass(work)
            else:
                self._get_ready()
            with self._changed:
                self._current = None

    def _next(self) -> PictureJob | Literal["idle"] | None:
        """The job whose pass comes next, taken out of its line; "idle" for getting something ready; None to end."""
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
                if self._idle:
                    return "idle"
                self._changed.wait()
        return None

    def _get_ready(self) -> None:
        """The first of what waits; left for later when a request comes."""
        with self._changed:
            waiting = self._idle
            if not waiting:
                return
            first = waiting.popleft()

        def is_over() -> bool:
            return self._closing or bool(self._lines) or self._idle is not waiting

        try:
            self._painter.prepare(first, is_cancelled=is_over)
        except DrawingCancelled:
            waiting.appendleft(first)
        except Exception as error:  # noqa: BLE001 - requests do without it
            _log.warning("backend '%s': nothing could be got ready for an entry (%s)", self._name, _kind(error))

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
        except Exception as error:  # noqa: BLE001 - the painter died, or could not be started at all
            _log.error("backend '%s': what draws has died (%s); it is started again", self._name, _kind(error))
            if job.retried:
                job.fail(PainterDied())
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


def _kind(error: Exception) -> str:
    return error.kind if isinstance(error, DrawingFailed) else type(error).__name__
