"""What the running proxies serve, as far as consolidation has to know: written by them, read by workers.

A model whose weights are out of reach says why (`refused`). No keys and no entry text are here.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from retrieval.stores import named_rows
from retrieval.stores.database import Database

_PREFIX = "served:"


class ServedModel(BaseModel):
    """A public model. `base`: folder or hub id of its untouched weights; `upstream`: the backend's own name for them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    backend: str
    kind: str
    modality: Literal["text", "image"]
    base: str | None = None
    base_url: str | None = None
    upstream: str | None = None
    looking: dict[str, Any] = {}
    """How the proxies look at pictures: the fields `picture_*` of their `RetrievalSettings`."""

    drawing: dict[str, Any] = {}
    """How pictures are drawn: `steps`, `guidance_scale` and `size`, as far as they are set."""

    refused: str = ""
    """Why none of its entries can be consolidated; empty where they can."""

    told_at: AwareDatetime = Field(default_factory=lambda: datetime.now(UTC))


class ServedModels:
    """The models of one registry's proxies."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, served: ServedModel) -> None:
        """In the place of what was said of the model before."""
        with self._database.write() as connection:
            named_rows.write(connection, _PREFIX + served.model, served.model_dump(mode="json"))

    def all(self) -> list[ServedModel]:
        """By public name."""
        with self._database.read() as connection:
            return [ServedModel.model_validate(body) for _, body in named_rows.read_all(connection, _PREFIX)]
