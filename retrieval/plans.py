"""What a consolidation would do: which entries are due on which model and why, which are not, and what it would cost.

Workers write the newest plan of each model as a row; whoever wants to know reads it. It holds ids, never entry text.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from retrieval.stores import named_rows
from retrieval.stores.database import Database

_PREFIX = "plan:"


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PlanItem(_Value):
    """One entry at one revision: due or not, and why in words."""

    entry: str
    revision: int
    is_due: bool
    is_allowed: bool = True
    """Whether an operator may ask for it; the reason says why not."""

    is_covered: bool
    """Whether the weights that serve cover it already; it stays in the next ones."""
    reason: str


class Cost(_Value):
    """What is expected of a run, from the ones before on this machine or from the model's size."""

    seconds: float = Field(ge=0)
    memory_bytes: int | None = Field(default=None, ge=0)
    measured_by: Literal["earlier runs", "size of the model"]


class ModelPlan(_Value):
    """The plan of one public model. `refused` says why nothing of it can be consolidated, where that is so."""

    model: str
    backend: str
    modality: Literal["text", "image"]
    items: tuple[PlanItem, ...]
    method: str
    cost: Cost | None
    refused: str = ""
    made_at: AwareDatetime = Field(default_factory=lambda: datetime.now(UTC))

    @property
    def due(self) -> tuple[PlanItem, ...]:
        """What a run is begun for."""
        return tuple(item for item in self.items if item.is_due)

    @property
    def covered_then(self) -> dict[str, int]:
        """Entries with their revisions that the run's weights would cover: those that are due, and those covered before."""
        return {item.entry: item.revision for item in self.items if item.is_due or item.is_covered}


class Plans:
    """The newest plan of each model of one registry."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, plan: ModelPlan) -> None:
        """In the place of the model's last one."""
        with self._database.write() as connection:
            named_rows.write(connection, _PREFIX + plan.model, plan.model_dump(mode="json"))

    def all(self) -> list[ModelPlan]:
        """By model."""
        with self._database.read() as connection:
            return [ModelPlan.model_validate(body) for _, body in named_rows.read_all(connection, _PREFIX)]
