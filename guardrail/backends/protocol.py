"""What a backend is: OpenAI-shaped bytes in, OpenAI-shaped bytes out.

A backend does not know entries, treatments or callers. It forwards (or computes) one call and gives back status,
headers and a stream of body bytes. Closing the answer before its end cancels the work behind it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from guardrail.decision import Capability
from guardrail.pictures import Steering
from retrieval.picture_edits import EditFiles


@dataclass(frozen=True, kw_only=True, slots=True)
class BackendCall:
    """One call. `path` begins with `/v1/` (or is another route for RAW); `model` is the backend's own model name.

    `body` is already final: a backend that forwards bytes sends exactly these. `headers` hold what the caller sent and
    may be passed on (never his key). `fair_key` tells tenants apart for queueing. `has_embeds`: prompt embeddings in
    the body are a treatment's, not the caller's. `steering`: what a treatment does inside a diffusion pipeline; only for
    a backend that can STEERING.
    """

    path: str
    body: bytes
    method: str = "POST"
    query: str = ""
    headers: Sequence[tuple[bytes, bytes]] = ()
    model: str | None = None
    stream: bool = False
    fair_key: str = ""
    has_embeds: bool = False
    steering: Steering | None = None


class BackendAnswer(Protocol):
    """Status, headers and body of an answer. `aclose` may be called at any time, more than once; it cancels."""

    status: int
    headers: Sequence[tuple[bytes, bytes]]

    def chunks(self) -> AsyncIterator[bytes]:
        """The body's bytes as they come; raises `BackendError` if the backend breaks off or is too slow."""
        ...

    async def aclose(self) -> None:
        """End the answer; work under way behind it is cancelled."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Health:
    """What `/readyz` and `expunge doctor` show of a backend."""

    ok: bool
    detail: str = ""
    facts: dict[str, Any] = field(default_factory=dict)


class Backend(Protocol):
    """A served model source. `name` is its label in settings; every method may be called concurrently."""

    name: str

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What it can do; some of it is only known after `start`."""
        ...

    async def start(self) -> None:
        """Open connections or load the model."""
        ...

    async def models(self) -> list[dict[str, Any]]:
        """Model cards as `/v1/models` lists them; raises `BackendError` when out of reach."""
        ...

    async def send(self, call: BackendCall) -> BackendAnswer:
        """Send one call; returns once status and headers are known. Raises `BackendError` (502, 504) or an `ApiError`
        (429, 503) when it cannot take the call. An error answer of the backend itself is an answer, not an exception.
        """
        ...

    async def count_prompt(self, call: BackendCall) -> int | None:
        """Tokens of a call's prompt as the backend would bill them, without an answer; None where it does not tell."""
        ...

    async def health(self) -> Health:
        """Never raises."""
        ...

    async def aclose(self) -> None:
        """Free everything; calls under way are cancelled."""
        ...


__all__ = ["Backend", "BackendAnswer", "BackendCall", "Capability", "Health"]


@runtime_checkable
class WeightedBackend(Protocol):
    """A backend that can hold weights that consolidation made beside its own, and answer with them under a name of theirs.

    Raises `GuardrailError` where it cannot be reached or does not take them.
    """

    async def load_weights(self, name: str, folder: Path) -> None:
        """From now on calls whose `model` is this name are answered with them."""
        ...

    async def unload_weights(self, name: str) -> None:
        """Let go of them; one that is not there is no error. Calls under way end as they began."""
        ...

    async def has_weights(self, name: str) -> bool:
        """Whether it has them now, as it says itself."""
        ...


@runtime_checkable
class EditedBackend(Protocol):
    """A backend whose weights can be edited while it serves."""

    @property
    def edits(self) -> Sequence[EditFiles]:
        """Those that requests are answered with now."""
        ...

    async def use_edits(self, folders: Sequence[Path]) -> Sequence[EditFiles]:
        """These and no others. Raises `InvalidEdit` or `UnfitPipeline`, with all as it was."""
        ...
