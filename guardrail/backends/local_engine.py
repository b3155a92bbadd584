"""The generation loop: one thread, several answers at once, one token each in turn.

Requests wait in one queue per `fair_key`, served round-robin, so that a busy tenant delays itself rather than others.
Running sequences share a forward pass where the model allows it (see `local_batch`). The loop knows nothing of OpenAI
or of event loops: text leaves through each sequence's `emit`. Cancelling takes effect before the next token.
"""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable

from guardrail.backends.local_batch import Batch
from guardrail.backends.local_model import LoadedModel
from guardrail.backends.local_sequence import Sequence
from guardrail.errors import overloaded

RETRY_AFTER_S = 2.0
STOP_TIMEOUT_S = 30.0


def _cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Job:
    """The sequences of one request. `on_failure` is called once if they cannot be finished."""

    def __init__(self, sequences: list[Sequence], *, fair_key: str, on_failure: Callable[[], None]) -> None:
        self.sequences = sequences
        self.fair_key = fair_key
        self.on_failure = on_failure
        self.open = len(sequences)


class Engine:
    """`max_concurrent` sequences run at once; `max_waiting` more requests than that may wait."""

    def __init__(self, loaded: LoadedModel, *, name: str, max_concurrent: int, max_waiting: int) -> None:
        self._loaded = loaded
        self._name = name
        self._max_running = max_concurrent
        self._max_jobs = max_concurrent + max_waiting
        self._changed = threading.Condition()
        self._waiting: OrderedDict[str, deque[Sequence]] = OrderedDict()
        self._jobs: dict[int, Job] = {}
        self._batches: list[Batch] = []
        self._closing = False
        self._thread = threading.Thread(target=self._run, name=f"generate-{name}", daemon=True)

    def start(self) -> None:
        """Start the loop."""
        self._thread.start()

    @property
    def alive(self) -> bool:
        """False once the loop has ended."""
        return self._thread.is_alive()

    @property
    def open_jobs(self) -> int:
        """Requests running or waiting."""
        return len({id(job) for job in list(self._jobs.values())})

    def submit(self, job: Job) -> None:
        """Queue a request; raises 429 with `retry-after` when as many as allowed are running or waiting."""
        with self._changed:
            if self._closing or not self.alive:
                raise overloaded(f"The backend '{self._name}' is stopping. Retry later.")
            if self.open_jobs >= self._max_jobs:
                raise overloaded(
                    f"The backend '{self._name}' already has {self._max_jobs} requests running or waiting. Retry soon.",
                    status=429,
                    retry_after_s=RETRY_AFTER_S,
                )
            self._jobs.update((id(sequence), job) for sequence in job.sequences)
            self._waiting.setdefault(job.fair_key, deque()).extend(job.sequences)
            self._changed.notify()

    def cancel(self, job: Job) -> None:
        """Stop a request's sequences; those that wait leave at once, those that run before their next token."""
        with self._changed:
            for sequence in job.sequences:
                sequence.cancelled = True
            queue = self._waiting.get(job.fair_key, deque())
            for sequence in [item for item in queue if item.cancelled]:
                queue.remove(sequence)
                self._jobs.pop(id(sequence), None)
            self._changed.notify()

    def close(self) -> None:
        """End the loop and wait for it; requests under way fail. Blocking."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        if self._thread.ident is not None:
            self._thread.join(STOP_TIMEOUT_S)

    def _run(self) -> None:
        import torch

        if self._loaded.device.type == "cpu":
            # One core is left to the event loop: where all are taken, torch's threads wait for each other's turn and
            # a two-core machine generates several times slower. Threads that already use torch keep their setting.
            torch.set_num_threads(min(torch.get_num_threads(), max(1, _cores() - 1)))
        try:
            with torch.inference_mode():
                while self._admit():
                    for batch in list(self._batches):
                        self._advance(batch)
                        # Hand the interpreter to the event loop, which has text to send.
                        time.sleep(0)
        finally:
            with self._changed:
                self._closing = True
                self._waiting.clear()
                left = list(self._jobs)
            self._fail(left)

    def _admit(self) -> bool:
        """Let go of cancelled sequences, let waiting ones in, sleep when there is nothing to do; False to end."""
        with self._changed:
            while True:
                if self._closing:
                    return False
                self._drop_cancelled()
                running = sum(len(batch.sequences) for batch in self._batches)
                while running < self._max_running and (sequence := self._next_waiting()) is not None:
                    self._batches.append(Batch(self._loaded, sequence))
                    running += 1
                if self._batches:
                    return True
                self._changed.wait()

    def _drop_cancelled(self) -> None:
        for batch in self._batches:
            gone = [sequence for sequence in batch.sequences if sequence.cancelled]
            if gone:
                batch.keep([row for row, sequence in enumerate(batch.sequences) if not sequence.cancelled])
                self._forget(gone)
        self._batches = [batch for batch in self._batches if batch.sequences]

    def _next_waiting(self) -> Sequence | None:
        while self._waiting:
            key, queue = self._waiting.popitem(last=False)
            if queue:
                sequence = queue.popleft()
                if queue:
                    self._waiting[key] = queue  # at the end: other keys come first now
                return sequence
        return None

    def _advance(self, batch: Batch) -> None:
        """One forward pass for a batch, and what follows from it."""
        try:
            was_reading = batch.reading
            logits_BV = batch.read() if was_reading else batch.step()
            if logits_BV is None:
                return
            last = [sequence.accept(logits_BV[row]) for row, sequence in enumerate(batch.sequences)]
            finished = [(sequence, piece) for sequence, piece in zip(batch.sequences, last, strict=True) if piece]
            if finished:
                batch.keep([row for row, piece in enumerate(last) if piece is None])
                with self._changed:
                    self._forget(sequence for sequence, _ in finished)
                # Only now: whoever reads the end of an answer may ask anew and must find the place free.
                for sequence, piece in finished:
                    sequence.emit(piece)
            if was_reading and batch.sequences:
                self._join(batch)
        except (RuntimeError, ValueError, IndexError):
            # Out of memory and the like: these requests fail, the loop goes on for the others.
            failed, batch.sequences = batch.sequences, []
            self._fail([id(sequence) for sequence in failed])
        self._batches = [item for item in self._batches if item.sequences]

    def _join(self, batch: Batch) -> None:
        """Let a batch that has just read its prompt run with the others."""
        if not batch.can_join:
            return
        for other in self._batches:
            if other is not batch and other.sequences and other.can_join:
                other.join(batch)
                batch.sequences = []
                return

    def _forget(self, sequences: Iterable[Sequence]) -> None:
        for sequence in sequences:
            self._jobs.pop(id(sequence), None)

    def _fail(self, keys: Iterable[int]) -> None:
        with self._changed:
            jobs = {id(job): job for job in (self._jobs.pop(key, None) for key in keys) if job is not None}
        for job in jobs.values():
            for sequence in job.sequences:
                sequence.cancelled = True
            job.on_failure()
