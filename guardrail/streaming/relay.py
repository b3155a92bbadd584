"""Relaying a backend's bytes to the caller: raw where nothing is to be inspected, through the stream guard elsewhere.

The relay owns the backend's answer: it is closed when the relay ends, however it ends, which cancels the generation.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from guardrail.backends.protocol import BackendAnswer
from guardrail.errors import ApiError, BackendError
from guardrail.openai_wire.errors import error_event
from guardrail.openai_wire.sse import DONE, SseEvent, SseSplitter, write_event
from guardrail.streaming.guard import StreamGuard


async def relay_raw(answer: BackendAnswer, *, is_stream: bool) -> AsyncIterator[bytes]:
    """The backend's bytes as they come; a break-off inside a stream becomes an error event."""
    try:
        async for chunk in answer.chunks():
            yield chunk
    except BackendError as error:
        if not is_stream:
            raise
        yield error_event(error)
    finally:
        await answer.aclose()


async def relay_guarded(answer: BackendAnswer, guard: StreamGuard, *, max_held_bytes: int) -> AsyncIterator[bytes]:
    """The guarded stream. Stops early, without an end marker, when `guard.restart` is set."""
    splitter = SseSplitter(max_held_bytes)
    out: list[bytes] = []
    try:
        async for chunk in answer.chunks():
            await _guard_events(guard, splitter.push(chunk), out)
            if guard.restart:
                return
            if guard.finished:
                await _end(guard, out)
                yield b"".join(out)
                return
            if out:
                yield b"".join(out)
                out.clear()
            if splitter.overflow or guard.held_bytes > max_held_bytes:
                raise too_long()
        await _guard_events(guard, splitter.end(), out)
        await _end(guard, out)
        if out and not guard.restart:
            yield b"".join(out)
    except ApiError as error:
        # What was cleared before the failure has its place before the error.
        yield b"".join([*out, error_event(error)])
    finally:
        await answer.aclose()


async def _guard_events(guard: StreamGuard, events: Sequence[SseEvent], out: list[bytes]) -> None:
    """Append to `out` what may leave of the events; stops where the guard wants no more of them."""
    for event in events:
        out += guard.push(event)
        if guard.awaits_verdict:
            await _settle(guard, out)
        if guard.restart or guard.finished:
            return


async def _settle(guard: StreamGuard, out: list[bytes]) -> None:
    """Wait for the verdicts that text is held back for."""
    while guard.jury is not None and guard.awaits_verdict:
        await guard.jury.deliberate()
        out += guard.settle()


async def _end(guard: StreamGuard, out: list[bytes]) -> None:
    """Append what is left; a stream that was ended here gets the end that the backend has not sent."""
    closing = [*map(write_event, guard.closing_events()), DONE] if guard.finished else []
    out += guard.end()
    await _settle(guard, out)
    out += closing


def too_long() -> BackendError:
    """502: more had to be buffered than the limit allows."""
    return BackendError(
        "The backend's answer is too long to be inspected.", status=502, type="server_error", code="answer_too_long"
    )


async def read_all(answer: BackendAnswer, *, max_bytes: int) -> bytes:
    """A whole body, bounded; closes the answer."""
    pieces: list[bytes] = []
    size = 0
    try:
        async for chunk in answer.chunks():
            size += len(chunk)
            if size > max_bytes:
                raise too_long()
            pieces.append(chunk)
    finally:
        await answer.aclose()
    return b"".join(pieces)
