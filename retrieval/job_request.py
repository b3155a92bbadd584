"""What a consolidation job is asked to do: entries, model, method, and what happens at its end. Without entry text."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class JobRequest(BaseModel):
    """`entries`: all that the weights shall cover, with revisions; `due`: those that the run is begun for, and why."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    modality: Literal["text", "image"]
    backend: str
    base: str
    entries: dict[str, int] = Field(min_length=1)
    due: dict[str, str] = Field(min_length=1)
    rung: int = Field(default=0, ge=0)
    """Of the ladder of methods, where `method` names none."""

    method: str | None = None
    hyper_parameters: dict[str, Any] = {}
    plan: dict[str, Any] = {}
    edit_scale: float | None = None
    needs_approval: bool = False
    canary_share: float = Field(default=1.0, gt=0, le=1)
