"""Values of the request flow for pictures: picture request -> concepts -> plan -> what was drawn.

All are frozen. They know nothing of HTTP, of stores or of diffusion libraries. Sizes in pixels; scores in 0..1, higher =
nearer.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from guardrail.decision import RefusalStyle
from retrieval.entry import RegisteredEntry

PictureFormat = Literal["png", "jpeg", "webp"]


@dataclass(frozen=True, kw_only=True, slots=True)
class PictureRequest:
    """What a caller asks to be drawn. None: the pipeline's own default. `seed` of the first picture; the next
    ones follow. `pictures`: files to begin from, as handed in; `mask`: a file, transparent where something new shall be;
    `strength`: how much of them is drawn anew."""

    prompt: str
    model: str | None = None
    n: int = 1
    width: int | None = None
    height: int | None = None
    seed: int | None = None
    negative_prompt: str = ""
    steps: int | None = None
    guidance_scale: float | None = None
    response_format: Literal["b64_json", "url"] = "b64_json"
    output_format: PictureFormat = "png"
    pictures: tuple[bytes, ...] = ()
    mask: bytes | None = None
    strength: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Concept:
    """What must not be drawn, of one entry: its name and aliases, the exemplars and what may stand for it.

    `met` are the spans (start, end) of the prompt where it is named; empty where only its meaning was met.
    """

    entry: RegisteredEntry
    phrases: tuple[str, ...]
    substitute: str | None = None
    neighbors: tuple[str, ...] = ()
    met: tuple[tuple[int, int], ...] = ()


class Steering(Protocol):
    """What a treatment does inside a diffusion pipeline, for one request. Knows no queue and no wire."""

    @property
    def name(self) -> str:
        """For logs and explanations."""
        ...

    def attached(self, pipeline: Any, arguments: Mapping[str, Any]) -> AbstractContextManager[Mapping[str, Any]]:
        """The pipeline's call arguments, changed; hooks may hang on the pipeline while the context is open.

        Called in the worker's thread, one request at a time. `arguments` are those of a diffusers text-to-image pipeline
        (`prompt`, `negative_prompt`, `num_inference_steps`, `guidance_scale`, `generator`, `num_images_per_prompt` ...); a
        `callback_on_step_end` that comes back is called before the worker's own.
        """
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class PicturePlan:
    """before: another prompt, or words to be led away from; during: `steering`; or no picture at all.

    `prompt` None: the caller's own. `negative_prompt` is added to the caller's. `refusal`: nothing is drawn, it is refused
    openly. `is_blank`: nothing is drawn, a picture of the policy stands for every one asked.
    """

    treatment: str
    prompt: str | None = None
    negative_prompt: str = ""
    steering: Steering | None = None
    refusal: RefusalStyle | None = None
    is_blank: bool = False
    entry_ids: tuple[str, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Drawn:
    """One picture as encoded bytes, the number of it in the answer, and its seed where the backend tells."""

    index: int
    content: bytes
    format: PictureFormat = "png"
    seed: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class PictureLeak:
    """A picture that shows an entry."""

    entry: RegisteredEntry
    index: int
    score: float
