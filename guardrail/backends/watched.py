"""A backend whose failures are counted: which backend failed, and how, wherever in its answer that was.

Passes everything on unchanged, exceptions too. Knows no metrics; whoever wants the counts hands in a callable.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Literal

from guardrail.backends.protocol import Backend, BackendAnswer, BackendCall, Capability, Health
from guardrail.errors import ApiError

FailureKind = Literal["unavailable", "timeout", "overloaded", "broken_off", "bad_answer"]
OnFailure = Callable[[str, FailureKind], None]
"""Gets the backend's name and the kind of failure."""

_KINDS: dict[str, FailureKind] = {
    "backend_unavailable": "unavailable",
    "backend_timeout": "timeout",
    "backend_broke_off": "broken_off",
    "overloaded": "overloaded",
    "rate_limit_exceeded": "overloaded",
}


def kind_of(error: ApiError) -> FailureKind:
    """The kind of a failure that a backend raised."""
    return _KINDS.get(error.code or "", "bad_answer")


class Watched:
    """See the module."""

    def __init__(self, backend: Backend, on_failure: OnFailure) -> None:
        self.name = backend.name
        self._backend = backend
        self._on_failure = on_failure

    @property
    def capabilities(self) -> frozenset[Capability]:
        """The backend's own: some are only known once it has started."""
        return self._backend.capabilities

    async def start(self) -> None:
        await self._backend.start()

    async def models(self) -> list[dict[str, Any]]:
        return await self._backend.models()

    async def send(self, call: BackendCall) -> BackendAnswer:
        try:
            answer = await self._backend.send(call)
        except ApiError as error:
            self._on_failure(self.name, kind_of(error))
            raise
        return _WatchedAnswer(answer, self._failed)

    def _failed(self, error: ApiError) -> None:
        self._on_failure(self.name, kind_of(error))

    async def count_prompt(self, call: BackendCall) -> int | None:
        return await self._backend.count_prompt(call)

    async def health(self) -> Health:
        return await self._backend.health()

    async def aclose(self) -> None:
        await self._backend.aclose()


class _WatchedAnswer:
    """An answer whose break-off is counted."""

    def __init__(self, answer: BackendAnswer, failed: Callable[[ApiError], None]) -> None:
        self.status = answer.status
        self.headers: Sequence[tuple[bytes, bytes]] = answer.headers
        self.aclose = answer.aclose
        self._answer = answer
        self._failed = failed

    def chunks(self) -> AsyncIterator[bytes]:
        # The answer's own iterator with its failures caught: one more generator a chunk would cost more than the rest.
        return _WatchedChunks(self._answer.chunks(), self._failed)


class _WatchedChunks:
    """An iterator over chunks."""

    def __init__(self, chunks: AsyncIterator[bytes], failed: Callable[[ApiError], None]) -> None:
        self._next = chunks.__anext__
        self._failed = failed

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        try:
            return await self._next()
        except ApiError as error:
            self._failed(error)
            raise
