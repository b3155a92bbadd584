"""Who holds the pipeline: a painter in the calling thread, or one in a process of its own.

A painter draws one order at a time. What goes wrong is one of three: the drawing was cancelled, it failed (the painter is
as good as before), or the painter died and starts again at the next order. One in a process of its own that does not answer
a cancel is ended and starts again, too; in the calling thread a pipeline that hangs can only be waited for. It knows no
queue and no wire, and repeats nobody's words: a pipeline's message may quote the prompt, so only the kind of an error is
kept. Times in seconds.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pickle import PicklingError
from typing import Any, Protocol, TypeVar

from guardrail.backends.diffusers_drawing import DrawingCancelled, IsCancelled, OnStep, Order, draw, prepare
from guardrail.backends.diffusers_loading import LoadedPipeline, PipelineFacts
from guardrail.denoising.preparation import Preparation
from guardrail.errors import ConfigError

LOOK_S = 0.05
"""How often a painter in a process of its own is looked after."""
STOP_S = 5.0
PATIENCE_S = 60.0
"""How long a cancel may go unanswered: longer than a step takes on any machine that is of use."""
DEVICE_IS_LOST = "AcceleratorError"
"""What torch raises when the GPU's context is broken: only another process has a good one."""

Load = Callable[[], LoadedPipeline]
T = TypeVar("T")

_log = logging.getLogger("expunge")


class DrawingFailed(Exception):
    """The pipeline raised; `kind` is the error's class name."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


class PainterDied(Exception):
    """The painter is gone in the middle of an order; the next one starts it again."""


class Painter(Protocol):
    """See the module. Every call is blocking; `draw` is for one thread at a time."""

    def start(self) -> PipelineFacts:
        """Load the pipeline if it is not there. Raises `ConfigError`, or `PainterDied` if the painter dies of it."""
        ...

    def draw(self, order: Order, *, is_cancelled: IsCancelled, on_step: OnStep) -> list[bytes]:
        """Encoded pictures, one a seed. Raises as the module says."""
        ...

    def prepare(self, preparation: Preparation, *, is_cancelled: IsCancelled) -> None:
        """Get something ready in the pipeline. Raises as the module says."""
        ...

    def close(self) -> None:
        """Let go of the pipeline."""
        ...


class PainterHere:
    """Draws in the thread that asks."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._loaded: LoadedPipeline | None = None

    def start(self) -> PipelineFacts:
        if self._loaded is None:
            self._loaded = self._load()
        return self._loaded.facts

    def draw(self, order: Order, *, is_cancelled: IsCancelled, on_step: OnStep) -> list[bytes]:
        return self._done(lambda loaded: draw(loaded, order, is_cancelled=is_cancelled, on_step=on_step))

    def prepare(self, preparation: Preparation, *, is_cancelled: IsCancelled) -> None:
        self._done(lambda loaded: prepare(loaded, preparation, is_cancelled=is_cancelled))

    def _done(self, work: Callable[[LoadedPipeline], T]) -> T:
        self.start()
        if self._loaded is None:
            raise PainterDied
        try:
            return work(self._loaded)
        except DrawingCancelled:
            failure: Exception = DrawingCancelled()
        except Exception as error:  # noqa: BLE001 - a pipeline, and a steering in it, may raise anything
            failure = DrawingFailed(type(error).__name__)
        except BaseException:  # noqa: BLE001 - an exit out of the middle of a pipeline leaves it in no known state
            self._loaded, failure = None, PainterDied()
        # Not inside the handler: the error would keep the pipeline's frames, with all their tensors, and its words.
        raise failure

    def close(self) -> None:
        self._loaded = None


class PainterApart:
    """Draws in a spawned process, which is started again when it dies. `load` must be picklable, steerings too."""

    def __init__(self, load: Load, *, name: str, patience_s: float = PATIENCE_S) -> None:
        self._load = load
        self._name = name
        self._patience_s = patience_s
        self._context = multiprocessing.get_context("spawn")
        self._stop: Any = self._context.Event()
        self._process: Any = None
        self._line: Connection[Any, Any] | None = None
        self._facts: PipelineFacts | None = None

    @property
    def process_id(self) -> int | None:
        """The process that draws; None while there is none."""
        return self._process.pid if self._process is not None else None

    def start(self) -> PipelineFacts:
        if self._facts is not None and self._process is not None and self._process.is_alive():
            return self._facts
        self.close()
        self._line, theirs = self._context.Pipe()
        self._process = self._context.Process(
            target=_paint, args=(theirs, self._stop, self._load), name=f"draw-{self._name}", daemon=True
        )
        self._process.start()
        theirs.close()
        kind, value = self._hear(lambda: False)
        if kind == "misconfigured":
            self.close()
            raise ConfigError(value)
        self._facts = value
        return self._facts

    def draw(self, order: Order, *, is_cancelled: IsCancelled, on_step: OnStep) -> list[bytes]:
        return self._done(order, is_cancelled, on_step)

    def prepare(self, preparation: Preparation, *, is_cancelled: IsCancelled) -> None:
        self._done(preparation, is_cancelled, lambda _step: None)

    def _done(self, work: Order | Preparation, is_cancelled: IsCancelled, on_step: OnStep) -> list[bytes]:
        self.start()
        self._stop.clear()
        self._tell(work)
        while True:
            kind, value = self._hear(is_cancelled)
            if kind == "step":
                on_step(value)
            elif kind == "done":
                return list(value)
            elif kind == "cancelled":
                raise DrawingCancelled
            else:
                raise DrawingFailed(value)

    def _tell(self, work: Order | Preparation) -> None:
        if self._line is None:
            raise PainterDied
        try:
            self._line.send(work)
        except OSError:
            self.close()
            raise PainterDied from None
        except (PicklingError, TypeError, AttributeError) as error:
            raise DrawingFailed(type(error).__name__) from None

    def _hear(self, is_cancelled: IsCancelled) -> tuple[str, Any]:
        """The next message; passes a cancel on, and ends a process that does not answer it. Raises `PainterDied` when the
        process is gone."""
        line, told_at = self._line, None
        try:
            while line is not None:
                if is_cancelled():
                    told_at = told_at or time.monotonic()
                    self._stop.set()
                if line.poll(LOOK_S):
                    kind, value = line.recv()
                    return kind, value
                if told_at is not None and time.monotonic() - told_at > self._patience_s:
                    return self._given_up()
                if not self._process.is_alive() and not line.poll(0):
                    break
        except (EOFError, OSError):
            pass
        self.close()
        raise PainterDied

    def _given_up(self) -> tuple[str, Any]:
        """The end of a process that hangs, as if it had answered the cancel."""
        _log.error("backend '%s': what draws hangs; it is ended, and started again for the next request", self._name)
        self.close()
        return "cancelled", None

    def close(self) -> None:
        line, process = self._line, self._process
        self._line = self._process = self._facts = None
        if line is not None:
            line.close()
        if process is not None:
            # One that draws sees the closed line only after its picture.
            process.terminate()
            process.join(STOP_S)
            if process.is_alive():
                process.kill()
                process.join(STOP_S)


def _paint(line: Connection[Any, Any], stop: Any, load: Load) -> None:
    """The process: load, then do what comes until the line is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the proxy decides when to end
    try:
        loaded = load()
    except ConfigError as error:
        line.send(("misconfigured", str(error)))
        return
    line.send(("ready", loaded.facts))
    while True:
        try:
            work: Order | Preparation = line.recv()
        except (EOFError, OSError):
            return
        line.send(_outcome(line, stop, loaded, work))


def _outcome(
    line: Connection[Any, Any], stop: Any, loaded: LoadedPipeline, work: Order | Preparation
) -> tuple[str, Any]:
    def on_step(step: int) -> None:
        line.send(("step", step))

    try:
        if isinstance(work, Order):
            return "done", draw(loaded, work, is_cancelled=stop.is_set, on_step=on_step)
        prepare(loaded, work, is_cancelled=stop.is_set)
    except DrawingCancelled:
        return "cancelled", None
    except Exception as error:  # noqa: BLE001 - a pipeline, and a steering in it, may raise anything
        if type(error).__name__ == DEVICE_IS_LOST:
            os._exit(1)
        return "failed", type(error).__name__
    return "done", []
